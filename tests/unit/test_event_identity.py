"""The stored identity of an event, and its place in the order of events about one thing."""

import hashlib
import uuid

import pytest

from contracts.event import event_uid, order_key
from contracts.event_type import Rank
from tests.support.decoding import STAMP, decoded, finished

TIME_US = STAMP * 1000


def test_the_uid_is_a_uuid_version_8_of_the_identity() -> None:
    """48 bits of milliseconds, then version, variant and SHA-256 over length-prefixed tenant, source and id."""
    uid = uuid.UUID(bytes=event_uid(TIME_US, "acme", "/s", "é"))
    digest = hashlib.sha256("4:acme2:/s1:é".encode()).digest()
    assert (uid.version, uid.variant) == (8, uuid.RFC_4122)
    assert uid.int >> 80 == STAMP
    assert uid.bytes[7] == digest[1]
    assert uid.bytes[9:] == digest[3:10]
    assert uid.bytes[6] & 0x0F == digest[0] & 0x0F
    assert uid.bytes[8] & 0x3F == digest[2] & 0x3F


def test_the_uid_of_a_known_event_never_changes() -> None:
    """Rows stored long ago keep their key: the uid of this identity is fixed for ever."""
    assert event_uid(TIME_US, "acme", "/s", "i").hex() == "019c13ec9e008c35adc8cd0e3c94ae4a"


def test_no_text_moves_between_tenant_source_and_id() -> None:
    """Two identities never share a uid by moving characters from one part to the next (G2)."""
    parts = [("a", "bc", "d"), ("ab", "c", "d"), ("a", "b", "cd"), ("a", "bcd", ""), ("abcd", "", ""), ("", "abcd", "")]
    parts += [("a", "b\0c", "d"), ("a", "b", "\0cd"), ("a\0b", "c", "d")]
    parts += [("a", "1:b", ""), ("a", "", "1:b"), ("a1:b", "", "")]
    assert len({event_uid(TIME_US, *part) for part in parts}) == len(parts)


def test_identity_is_time_to_the_millisecond() -> None:
    """Two times within one millisecond give one uid; the next millisecond gives another, and sorts after it."""
    uids = [event_uid(TIME_US + us, "acme", "/s", "i") for us in (0, 1, 999, 1000)]
    assert uids[0] == uids[1] == uids[2]
    assert uids[3] > uids[0]
    assert uids[3][:6] != uids[0][:6]
    assert uids[3][6:] == uids[0][6:]


def test_an_event_has_the_uid_of_its_attributes_alone() -> None:
    """Type, data, subject and headers have no part in the identity; the offset of its time neither."""
    one = finished(id="i", source="/s")
    uid = event_uid(TIME_US, "acme", "/s", "i")
    assert decoded(one).uid == uid
    others: list[dict[str, object]] = [
        {"subject": "other"},
        {"time": "2026-01-31T13:00:00+01:00"},
        {"data": {"status": "failed"}},
    ]
    assert [decoded(one | other).uid for other in others] == [uid] * 3


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ((TIME_US, "9", Rank.LAST, b"z"), (TIME_US + 1, None, Rank.FIRST, b"a")),
        ((TIME_US, None, Rank.LAST, b"z"), (TIME_US, "0", Rank.FIRST, b"a")),
        ((TIME_US, "a", Rank.LAST, b"z"), (TIME_US, "ab", Rank.FIRST, b"a")),
        ((TIME_US, "10", Rank.LAST, b"z"), (TIME_US, "9", Rank.FIRST, b"a")),
        ((TIME_US, "Z", Rank.LAST, b"z"), (TIME_US, "a", Rank.FIRST, b"a")),
        ((TIME_US, "z", Rank.LAST, b"z"), (TIME_US, "é", Rank.FIRST, b"a")),
        ((TIME_US, None, Rank.FIRST, b"z"), (TIME_US, None, Rank.MIDDLE, b"a")),
        ((TIME_US, None, Rank.MIDDLE, b"z"), (TIME_US, None, Rank.LAST, b"a")),
        ((TIME_US, "1", Rank.MIDDLE, b"a"), (TIME_US, "1", Rank.MIDDLE, b"b")),
    ],
)
def test_the_order_is_time_sequence_rank_uid(
    earlier: tuple[int, str | None, Rank, bytes], later: tuple[int, str | None, Rank, bytes]
) -> None:
    """Each part decides before the next; a missing sequence is first, and sequences compare as bytes (G3)."""
    head = event_uid(TIME_US, "acme", "/s", "i")[:6]
    keys = [order_key(us, sequence, rank, head + last * 10) for us, sequence, rank, last in (earlier, later)]
    assert keys[0] < keys[1]


def test_a_value_that_stands_in_is_below_every_other() -> None:
    """The order of a fill is below the order of the oldest event, and keeps the order among fills."""
    old, new = decoded(finished(time="2000-01-01T00:00:00Z")), decoded(finished())
    assert new.fill_order() < old.order()
    assert old.fill_order() < new.fill_order()
