"""Why a record cannot be stored: the closed list of reasons, and where it was found out."""

from enum import StrEnum


class Reason(StrEnum):
    """The reasons of dead letters; closed, so that an operator can know them all (docs/dead-letters.md)."""

    bad_utf8 = "bad_utf8"
    bad_json = "bad_json"
    not_cloudevent = "not_cloudevent"
    missing_id = "missing_id"
    bad_time = "bad_time"
    time_out_of_range = "time_out_of_range"
    schema_invalid = "schema_invalid"
    schema_unsupported = "schema_unsupported"
    schema_registry_framed = "schema_registry_framed"
    too_large = "too_large"
    tenant_missing = "tenant_missing"
    tenant_unknown = "tenant_unknown"
    tenant_suspended = "tenant_suspended"
    tenant_not_allowed = "tenant_not_allowed"
    unstorable_text = "unstorable_text"
    numeric_out_of_range = "numeric_out_of_range"
    constraint_violation = "constraint_violation"
    unexpected = "unexpected"


class Stage(StrEnum):
    """Where in the pipeline a record was refused."""

    decode = "decode"
    envelope = "envelope"
    schema = "schema"
    tenant = "tenant"
    store = "store"


class Refusal(Exception):
    """A record that no retry will store. `message` never quotes the record's own text."""

    def __init__(
        self,
        reason: Reason,
        stage: Stage,
        message: str,
        *,
        exception: str | None = None,
        sqlstate: str | None = None,
        tenant_id: str | None = None,
        event_type: str | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.stage = stage
        self.message = message
        self.exception = exception or type(self).__name__
        self.sqlstate = sqlstate
        self.tenant_id = tenant_id  # as far as it could be read
        self.event_type = event_type
