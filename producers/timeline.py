"""CloudEvents about one recording, in order, with ids and times that its digest and start fix."""

import uuid
from datetime import datetime, timedelta
from typing import Any


class Timeline:
    """Events as they are added; now_ms is when the next one happens, in milliseconds after the start."""

    def __init__(self, digest: bytes, tenant: str, source: str, start: datetime) -> None:
        self.events: list[dict[str, Any]] = []
        self.now_ms = 0
        self._added = 0
        self._start = start.replace(microsecond=start.microsecond // 1000 * 1000)
        self._ids = uuid.UUID(bytes=digest[:16], version=5)
        self._envelope = {"tenantid": tenant, "datacontenttype": "application/json"}
        self._source = source
        self.session, self.run, self.exception = (self.id_of(kind) for kind in ("session", "run", "exception"))

    def id_of(self, label: str) -> str:
        return str(uuid.uuid5(self._ids, label))

    def moment(self) -> datetime:
        """When the next event happens."""
        return self._start + timedelta(milliseconds=self.now_ms)

    def now(self) -> str:
        """The same, as an event's time."""
        return self.moment().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def add(self, noun: str, subject: str, label: str, data: dict[str, Any]) -> None:
        """Add siltstone.<noun>.v1, 1 ms after the last; noun and label name one event, None is absent."""
        self._added += 1
        self.events.append(
            {
                "specversion": "1.0",
                "id": self.id_of(f"{noun}:{label}"),
                "source": self._source,
                "type": f"siltstone.{noun}.v1",
                "time": self.now(),
                "subject": subject,
                **self._envelope,
                "sequence": f"{self._added:08d}",
                "data": {key: value for key, value in data.items() if value is not None},
            }
        )
        self.now_ms += 1

    def take(self) -> list[dict[str, Any]]:
        """The events added since the last call; they are kept no longer."""
        taken, self.events = self.events, []
        return taken
