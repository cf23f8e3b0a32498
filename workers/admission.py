"""Whether a worker takes a record: what its decoder says, then whether its tenant is let in."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.envelope import Headers
from contracts.event import Event
from contracts.record import Message
from contracts.refusal import Reason, Refusal, Stage
from contracts.window import TimeWindow
from workers.decoding import Decoded, decode_batch


@dataclass(slots=True)
class _Arriving:
    """A message as a record that comes now; where it will lie changes no verdict."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    topic: str = ""
    partition: int = 0
    offset: int = 0


def judge(message: Message, window: TimeWindow) -> Event | Refusal:
    """What a worker's decoder would say of a message that came now."""
    decoded = Decoded()
    decode_batch([_Arriving(int(time.time() * 1000), *message)], window, decoded)
    return decoded.readable[0].event if decoded.readable else decoded.refused[0].refusal


def tenant_refusal(event: Event, status: str | None) -> Refusal | None:
    """Why a tenant of this status, None when there is none such, is not let in; None for one that is."""
    match status:
        case "active":
            return None
        case None:
            reason, message = Reason.tenant_unknown, "no such tenant; `siltstone tenants create` makes one"
        case _:
            reason = Reason.tenant_suspended
            message = f"the tenant is {status}; `siltstone tenants activate` lets it in again"
    return Refusal(reason, Stage.tenant, message, tenant_id=event.tenant_id, event_type=event.type_name)


def refusal_of(judged: Event | Refusal, statuses: Mapping[str, str]) -> Refusal | None:
    """Why a worker would refuse what was judged, as far as its bytes and the tenants' statuses tell.

    What only Postgres refuses is not seen: a number in free JSON that no numeric holds, a constraint of the
    installation's own.
    """
    if isinstance(judged, Refusal):
        return judged
    return tenant_refusal(judged, statuses.get(judged.tenant_id))
