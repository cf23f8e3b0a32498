"""Which dead letters redriven records come from: what their headers say counts only if the index confirms it."""

import uuid

from contracts import letter as form
from contracts.fields import INTEGER_MAX
from contracts.record import Place, Record, place_of
from persistence.batch import Redriven
from persistence.database import Database
from persistence.letters import Claim, confirm
from workers.decoding import Decoded
from workers.judging import judged


class Claims:
    """Asks the index; most batches claim nothing, and then it is not asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def confirmed(self, decoded: Decoded) -> dict[Place, Redriven]:
        """The letter of each redriven record. Anybody who can publish can write an x-dlq-id: others are ignored."""
        claiming: list[tuple[Record, str | None]] = [
            (a.record, a.event.tenant_id) for a in decoded.readable for name, _ in a.record.headers if name == form.ID
        ]
        claiming += [(r.record, r.refusal.tenant_id) for r in decoded.refused]
        claims = [
            Claim(letter, count, place_of(record), tenant)
            for record, tenant in claiming
            for letter, count in _claims_of(record)
        ]
        if not claims:
            return {}
        with judged("the index of dead letters cannot be read"):
            async with self._database.transaction() as connection:
                known = await confirm(connection, claims)
        return {c.place: Redriven(str(c.letter_id), c.redrive_count) for c in claims if c.place in known}


def _claims_of(record: Record) -> list[tuple[uuid.UUID, int]]:
    headers = dict(record.headers)
    if form.ID not in headers:
        return []
    try:
        letter = uuid.UUID((headers[form.ID] or b"").decode())
        count = int((headers.get(form.REDRIVE_COUNT) or b"").decode())
    except (UnicodeDecodeError, ValueError):
        return []
    return [(letter, count)] if 0 <= count <= INTEGER_MAX else []
