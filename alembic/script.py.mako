"""${message}."""

from alembic import op

from persistence.migrate import run_script

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None

UP = """
"""  # lock tables in the workers' order (logs, states, letters, ledger): another order deadlocks with them

DOWN = """
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), DOWN)
