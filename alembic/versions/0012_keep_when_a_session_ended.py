"""Keep when a session ended whose exit code nobody knows: `session.updated` says so, and its log has a column for it.

A column without a default: an instant on a table of any size, under a lock that waits for no more than 5 s.
"""

from alembic import op

from persistence.migrate import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE session_event ADD COLUMN ended_at timestamptz;
DO $$
DECLARE
  named text;
BEGIN
  FOR named IN
    SELECT 'session_event' UNION ALL SELECT inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = 'session_event'::regclass
  LOOP
    EXECUTE format('COMMENT ON COLUMN %s.ended_at IS %L', named, 'the event''s ended_at');
  END LOOP;
END $$;
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), "ALTER TABLE session_event DROP COLUMN ended_at")
