"""Revoke what no role needs: a worker asks siltstone_maintain alone, which runs as the owner."""

from alembic import op

from persistence.migrate import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    run_script(op.get_bind(), "REVOKE EXECUTE ON FUNCTION siltstone_months(text) FROM siltstone_worker")


def downgrade() -> None:
    run_script(op.get_bind(), "GRANT EXECUTE ON FUNCTION siltstone_months(text) TO siltstone_worker")
