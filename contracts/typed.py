"""A whole event in one pass over its bytes: the attributes, and data as its type declares it.

What producers send every day is read so. Whatever does not fit is read again, attributes first, by
contracts/decode.py, which then says what is wrong, or keeps what is unknown.
"""

from typing import Union, cast

import msgspec

from contracts.envelope import Attributes
from contracts.event_type import EventType
from contracts.fields import Data
from contracts.registry import EVENT_TYPES


class Message(Attributes, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An event of a known type, with nothing in it that is unknown."""

    data: Data


def _message_of(kind: EventType) -> type[Message]:
    made = msgspec.defstruct(
        kind.data.__name__,
        [("data", kind.data)],
        bases=(Message,),
        module=__name__,
        tag_field="type",
        tag=kind.name,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,
    )
    return cast("type[Message]", made)


KIND_OF = {_message_of(kind): kind for kind in EVENT_TYPES.values()}
"""The event type of each class of message."""

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Union[tuple(KIND_OF)])  # noqa: UP007 - made at run time


def decode_message(value: bytes) -> Message | None:
    """The event in a structured-mode value; None when it must be read the careful way."""
    try:
        return _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
