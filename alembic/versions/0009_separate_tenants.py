"""Keep tenants apart: row-level security on every table, and the least privileges for each role."""

from alembic import op

from persistence.migrate import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

LOGS = (
    "session_event",
    "extraction_event",
    "code_block_occurrence",
    "definition_event",
    "run_event",
    "node_execution",
    "assertion_result",
    "run_file",
    "exception_event",
)
STATES = ("session", "code_block", "definition", "run", "exception")
READ_BY_TENANTS = (*LOGS, *STATES, "dead_letter", "tenant")
EVERY_TABLE = (*READ_BY_TENANTS, "dead_letter_action", "ingest_batch", "ingest_retired")

GRANTS = {
    "siltstone_worker": {
        **dict.fromkeys(LOGS, "SELECT, INSERT"),
        **dict.fromkeys(STATES, "SELECT, INSERT, UPDATE"),
        "tenant": "SELECT",
        "dead_letter": "SELECT, INSERT, UPDATE",
        "ingest_batch": "SELECT, INSERT",
        "ingest_retired": "SELECT",
        "alembic_version": "SELECT",
    },
    "siltstone_operator": {
        "tenant": "SELECT, INSERT, UPDATE",
        "dead_letter": "SELECT, UPDATE",
        "dead_letter_action": "SELECT, INSERT",
    },
    "siltstone_reader": dict.fromkeys(READ_BY_TENANTS, "SELECT"),
}


def upgrade() -> None:
    statements = []
    for table in EVERY_TABLE:
        statements += [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            f"CREATE POLICY owner_all ON {table} TO siltstone_owner USING (true) WITH CHECK (true)",
        ]
    for role in ("siltstone_worker", "siltstone_operator"):
        for table in GRANTS[role]:
            if table != "alembic_version":
                policy = role.removeprefix("siltstone_") + "_all"
                statements.append(f"CREATE POLICY {policy} ON {table} TO {role} USING (true) WITH CHECK (true)")
    for table in READ_BY_TENANTS:
        # nullif: after SET LOCAL in a pooled session the setting reads '', and must then show nothing.
        own = "tenant_id = nullif(current_setting('app.tenant_id', true), '')"
        statements.append(f"CREATE POLICY reader_own ON {table} FOR SELECT TO siltstone_reader USING ({own})")
    for role, tables in GRANTS.items():
        statements += [f"GRANT {privileges} ON {table} TO {role}" for table, privileges in tables.items()]
    for function in (
        "siltstone_add_partition(text, text, text, text)",
        "siltstone_maintain(text, integer, timestamptz, integer)",
        "siltstone_fold_ledger(interval)",
        "siltstone_months(text)",
        "siltstone_history_end(text)",
    ):
        statements.append(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    statements += [
        "GRANT EXECUTE ON FUNCTION siltstone_maintain(text, integer, timestamptz, integer) TO siltstone_worker",
        "GRANT EXECUTE ON FUNCTION siltstone_fold_ledger(interval) TO siltstone_worker",
        "GRANT EXECUTE ON FUNCTION siltstone_months(text) TO siltstone_worker",
    ]
    run_script(op.get_bind(), ";\n".join(statements))


def downgrade() -> None:
    statements = [f"DROP POLICY owner_all ON {table}" for table in EVERY_TABLE]
    statements += [f"DROP POLICY reader_own ON {table}" for table in READ_BY_TENANTS]
    for role, tables in GRANTS.items():
        if role != "siltstone_reader":
            policy = role.removeprefix("siltstone_") + "_all"
            statements += [f"DROP POLICY {policy} ON {table}" for table in tables if table != "alembic_version"]
        statements += [f"REVOKE ALL ON {table} FROM {role}" for table in tables]
    statements += [
        f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY" for table in EVERY_TABLE
    ]
    statements += [
        "REVOKE ALL ON FUNCTION siltstone_maintain(text, integer, timestamptz, integer) FROM siltstone_worker",
        "REVOKE ALL ON FUNCTION siltstone_fold_ledger(interval) FROM siltstone_worker",
        "REVOKE ALL ON FUNCTION siltstone_months(text) FROM siltstone_worker",
    ]
    run_script(op.get_bind(), ";\n".join(statements))
