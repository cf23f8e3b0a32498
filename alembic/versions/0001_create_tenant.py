"""Create the tenant table."""

from alembic import op

from persistence.migrate import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UP = """\
CREATE TABLE tenant (
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT DEFAULT 'active' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT tenant_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT tenant_status_check CHECK (status IN ('active', 'suspended', 'archived')),
    CONSTRAINT tenant_tenant_id_check CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);
COMMENT ON TABLE tenant IS 'Whose events are accepted';
COMMENT ON COLUMN tenant.tenant_id IS 'the tenantid of its events';
COMMENT ON COLUMN tenant.name IS 'for people';
COMMENT ON COLUMN tenant.status IS 'active, suspended or archived';
COMMENT ON COLUMN tenant.created_at IS 'when it was created';
COMMENT ON COLUMN tenant.updated_at IS 'when its status last changed';
"""

DOWN = """\
DROP TABLE tenant;
"""


def upgrade() -> None:
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    run_script(op.get_bind(), DOWN)
