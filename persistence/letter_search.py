"""Which dead letters are meant: a selection, and how SQL says it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Selection:
    """Letters for which every given condition holds; one that is empty holds for all.

    `since` and `until` bound the time of the last refusal; `text` is sought in the error, the event's id and subject,
    and in the value's bytes; `is_mended` means edited ones alone.
    """

    ids: Sequence[uuid.UUID] = ()
    reasons: Sequence[str] = ()
    stages: Sequence[str] = ()
    topics: Sequence[str] = ()
    partitions: Sequence[int] = ()
    tenants: Sequence[str] = ()
    types: Sequence[str] = ()
    subjects: Sequence[str] = ()
    statuses: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    is_mended: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether it means every letter there is."""
        return not any(getattr(self, field.name) for field in fields(self))

    def where(self, first: int = 1) -> tuple[str, list[Any]]:
        """A condition on `dead_letter AS l` whose arguments are numbered from `first`, and the arguments."""
        conditions: list[str] = []
        arguments: list[Any] = []

        def add(condition: str, argument: object) -> None:
            conditions.append(condition.replace("?", f"${first + len(arguments)}"))
            arguments.append(argument)

        for condition, wanted in (
            ("l.id = ANY(?::uuid[])", self.ids),
            ("l.reason = ANY(?::text[])", self.reasons),
            ("l.stage = ANY(?::text[])", self.stages),
            ("l.topic = ANY(?::text[])", self.topics),
            ("l.partition = ANY(?::int[])", self.partitions),
            ("l.tenant_id = ANY(?::text[])", self.tenants),
            ("l.event_type = ANY(?::text[])", self.types),
            ("l.subject = ANY(?::text[])", self.subjects),
            ("l.status = ANY(?::text[])", self.statuses),
        ):
            if wanted:
                add(condition, list(wanted))
        if self.since is not None:
            add("l.last_failed_at >= ?", self.since)
        if self.until is not None:
            add("l.last_failed_at < ?", self.until)
        if self.text:
            add(
                "(position(?::text in concat_ws(E'\\n', l.error, l.event_id, l.subject)) > 0"
                " OR position(convert_to(?::text, 'UTF8') in coalesce(l.value, ''::bytea)) > 0)",
                self.text,
            )
        if self.is_mended:
            conditions.append("l.is_mended")
        return " AND ".join(conditions) or "true", arguments
