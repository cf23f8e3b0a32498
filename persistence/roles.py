"""The roles of Postgres that a login acts as: each may do what its work needs (docs/deployment.md)."""

WORKER = "siltstone_worker"
OPERATOR = "siltstone_operator"
READER = "siltstone_reader"
