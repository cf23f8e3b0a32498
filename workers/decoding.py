"""A batch of records to events and refusals. One bad record harms only itself (G4)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.decode import decode
from contracts.record import Record
from contracts.refusal import Reason, Refusal, Stage
from contracts.window import TimeWindow
from persistence.batch import Arrived, arrived


class Refused(NamedTuple):
    """A record, and why no retry will store it."""

    record: Record
    refusal: Refusal


@dataclass(slots=True)
class Decoded:
    """What a batch's bytes were, in the order of the records."""

    readable: list[Arrived] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)


def decode_batch(records: Sequence[Record], window: TimeWindow, decoded: Decoded) -> None:
    """Decode every record and add it to `decoded`; never raises for what a record holds."""
    for record in records:
        try:
            event = decode(record.value, record.key, record.headers, record.timestamp, window)
            readable = arrived(event, record)
        except Refusal as refusal:
            decoded.refused.append(Refused(record, refusal))
        except Exception as error:  # noqa: BLE001 - our own defect on one record must not harm its neighbours
            decoded.refused.append(Refused(record, defect(error)))
        else:
            decoded.readable.append(readable)


def defect(error: Exception) -> Refusal:
    """The refusal of a record that our own code failed on: the type and place of the error, never its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = type(error).__name__
    where = f"{trace.tb_frame.f_code.co_qualname} at line {trace.tb_lineno}" if trace else "an unknown place"
    return Refusal(Reason.unexpected, Stage.decode, f"{name} in {where}: a defect of ours", exception=name)
