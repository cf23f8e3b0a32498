"""Postgres, and all SQL: tables, the transaction that stores a batch, partitions, ledger and letters."""
