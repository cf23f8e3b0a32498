"""What agents publish, and what goes wrong on the way: a seeded stream of records without end.

Sessions, runs, definitions and exceptions of several tenants go on side by side, each a script of its own. On the way
events are repeated, contradicted, delayed and poisoned. The same seed and base give the same stream.
"""

import heapq
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import count, islice
from typing import Any, NamedTuple

import msgspec

from tests.storm.model import digest

TENANTS = ("acme", "globex", "initech", "umbrella")
SUSPENDED = ("resting",)
LATE = ("newcomer",)
ACTORS = 60  # scripts that go on side by side
PAST = timedelta(hours=36)  # scripts began within it, before the base
SKEWS = (0.0, 0.0, 0.0, -90.0, 0.4, 180.0)  # seconds by which a source's clock is wrong
REPEATED, CONTRADICTED, POISONED = 0.03, 0.004, 0.01  # shares of all records
STRUCTURED = ("content-type", b"application/cloudevents+json; charset=UTF-8")
WORDS = ("parse", "naïve", "日本", "token", "Überlauf", "retry", "🛠", "a\\b", 'quoted "x"', "tab\there", "plan", "null")

Headers = tuple[tuple[str, bytes | None], ...]
Json = dict[str, Any]
Script = Iterator[Json]

_encode = msgspec.json.Encoder().encode


class Outgoing(NamedTuple):
    """A record to publish; `reason` is why it must become a letter, None for an event that must be stored."""

    family: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    reason: str | None


class Traffic:
    """The stream. `late` tenants are unknown until the storm makes them; `suspended` ones stay so."""

    tenants = TENANTS
    suspended = SUSPENDED
    late = LATE

    def __init__(self, seed: int, base: datetime) -> None:
        self.poison: dict[bytes, str] = {}
        self._random = random.Random(seed)
        self._base = base
        self._numbers = count()
        self._stream = self._delayed()

    def take(self, number: int) -> list[Outgoing]:
        """The next records, in the order in which they are to be published."""
        taken = list(islice(self._stream, number))
        for one in taken:
            if one.reason is not None:
                self.poison[digest(one.key, one.value, one.headers)] = one.reason
        return taken

    def _delayed(self) -> Iterator[Outgoing]:
        """Some records come later than others that were made after them: reordering, and repeats long after."""
        draw = self._random
        waiting: list[tuple[int, int, Outgoing]] = []
        for place, one in enumerate(self._made()):
            delay = 0 if draw.random() < 0.7 else draw.choice((1, 3, 20, 400, 4000))
            heapq.heappush(waiting, (place + delay, next(self._numbers), one))
            if draw.random() < REPEATED:
                heapq.heappush(waiting, (place + draw.choice((1, 2, 50, 3000, 20_000)), next(self._numbers), one))
            while waiting and waiting[0][0] <= place:
                yield heapq.heappop(waiting)[2]

    def _made(self) -> Iterator[Outgoing]:
        draw = self._random
        for one in self._events():
            if draw.random() < POISONED:
                yield self._poisoned(one)
            yield self._sent(one)
            if draw.random() < CONTRADICTED:
                yield self._sent(self._contradiction(one))
            if draw.random() < REPEATED / 4:
                yield self._sent(one | {"time": self._later(one["time"])})

    def _events(self) -> Iterator[Json]:
        """One event after another from scripts that go on side by side; now and then a burst from one of them."""
        draw = self._random
        scripts = [self._script() for _ in range(ACTORS)]
        while True:
            at = draw.randrange(ACTORS)
            for _ in range(draw.choice((1, 1, 1, 1, 1, 1, 1, 1, 3, 200)) if draw.random() < 0.05 else 1):
                one = next(scripts[at], None)
                if one is None:
                    scripts[at] = self._script()
                    break
                yield one

    def _script(self) -> Script:
        draw = self._random
        tenant = draw.choice(TENANTS * 6 + LATE)
        makers = (self._session, self._session, self._run, self._run, self._definition, self._exception)
        maker: Callable[[Callable[..., Json]], Script] = draw.choice(makers)
        return maker(self._teller(tenant))

    def _teller(self, tenant: str) -> Callable[..., Json]:
        """A function that makes the events of one source, whose clock goes on from event to event."""
        draw = self._random
        now = self._base - PAST * draw.random() + timedelta(seconds=draw.choice(SKEWS))
        source = f"/agents/{tenant}/{draw.randrange(9)}"
        is_numbered, number = draw.random() < 0.5, 0

        def tell(noun_verb: str, subject: str, data: Mapping[str, Any]) -> Json:
            nonlocal now, number
            # Many events of one time; now and then hours pass.
            now += timedelta(seconds=draw.choice((0, 0, 0, 0.000_001, 0.001, 0.3, 2, 9, 900, 7200)) * draw.random())
            number += 1
            one: Json = {
                "specversion": "1.0",
                "id": f"{next(self._numbers)}-{draw.getrandbits(32):08x}",
                "source": source,
                "type": f"siltstone.{noun_verb}.v1",
                "time": self._written(now),
                "subject": subject,
                "tenantid": tenant,
                "datacontenttype": "application/json",
                "data": {name: value for name, value in data.items() if value is not ...},
            }
            if is_numbered and draw.random() < 0.9:
                one["sequence"] = f"{number:06}"
            if draw.random() < 0.02:
                one["unknownattribute"] = self._words(2)
            if draw.random() < 0.02:
                one["data"]["unknown_field"] = self._json()
            if draw.random() < 0.1:
                one["traceparent"] = f"00-{draw.getrandbits(128):032x}-{draw.getrandbits(64):016x}-01"
            return one

        return tell

    def _written(self, moment: datetime) -> str:
        form = self._random.randrange(4)
        if form == 0:
            return moment.isoformat()
        if form == 1:
            return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "999Z"  # cut, never rounded
        if form == 2:
            return (moment + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat() + "+05:30"
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _later(self, time: str) -> str:
        moved = datetime.fromisoformat(time) + timedelta(milliseconds=self._random.randrange(1, 5000))
        return moved.isoformat()

    def _session(self, tell: Callable[..., Json]) -> Script:
        draw, session, agent = self._random, self._id("s"), f"agent-{self._random.randrange(5)}"
        yield tell("session.started", session, {"agent_name": agent, "environment": self._maybe(self._words(1))})
        for line in range(draw.randrange(1, 40)):
            kind = draw.random()
            if kind < 0.6:
                yield tell("extraction.recorded", session, self._extraction(agent, line))
            elif kind < 0.75:
                yield tell("code_block.captured", session, self._code(agent, line))
            elif kind < 0.85:
                state = draw.choice(("working", "waiting", "idle"))
                more = {"exit_code": self._maybe(draw.randrange(256)), "metadata": self._maybe(self._object())}
                yield tell("session.state_changed", session, {"state": state} | _not_null(more, "metadata"))
            else:
                more = {"agent_name": self._maybe(agent.upper()), "total_lines_processed": self._maybe(line * 7)}
                more |= {"total_extraction_events": self._maybe(line), "metadata": self._maybe(self._object())}
                more |= {"ended_at": self._base.isoformat()} if line % 5 == 0 else {}
                yield tell("session.updated", session, _not_null(more, "metadata"))
        if draw.random() < 0.8:
            yield tell("session.completed", session, {"exit_code": draw.choice((0, 1, -9))})
        if draw.random() < 0.05:
            yield tell("session.deleted", session, {})

    def _extraction(self, agent: str, line: int) -> Json:
        draw = self._random
        found = {
            "agent_name": agent,
            "event_type": draw.choice(("error", "prompt", "tool_call", "file_edit")),
            "pattern": draw.choice(("traceback", "question", "fence", "cost")),
            "matched_value": self._maybe(self._words(4)),
            "original_line": self._words(draw.choice((3, 12, 30))),
            "line_number": self._maybe(line),
            "metadata": self._maybe(self._object()),
            "risk_level": self._maybe(draw.choice(("low", "medium", "high", "critical"))),
            "auto_confirmable": self._maybe(draw.random() < 0.5),
        }
        if draw.random() < 0.0003:
            found["original_line"] = "x" * draw.randrange(50_000, 200_000)
        return _not_null(found, "metadata")

    def _code(self, agent: str, line: int) -> Json:
        block = self._random.randrange(400)  # repeated content
        found = {
            "agent_name": agent,
            "content": f"def f_{block}():\n    return '{WORDS[block % len(WORDS)]}'\n" * (1 + block % 7),
            "language": self._maybe(self._random.choice(("python", "sh", "typescript"))),
            "line_start": line,
            "line_end": line + 9,
            "context": self._maybe(self._json()),
            "parseable": self._maybe(block % 2 == 0),
        }
        return _not_null(found, "context")

    def _run(self, tell: Callable[..., Json]) -> Script:
        draw, run = self._random, self._id("r")
        begun = {
            "kind": draw.choice(("graph", "test", "analysis")),
            "status": draw.choice((..., "pending", "running", None)),
            "definition_id": self._maybe(f"d-{draw.randrange(40)}"),
            "provider": self._maybe("provider"),
            "model": self._maybe(self._words(1)),
            "external_ref": self._maybe(self._id("x")),
            "config_snapshot": self._maybe(self._json()),
            "initial_state": self._maybe(self._object()),
        }
        yield tell("run.started", run, _not_null(begun, "config_snapshot", "initial_state"))
        for step in range(draw.randrange(1, 14)):
            yield tell("node.executed", run, self._node(step))
            kind = draw.random()
            if kind < 0.3:
                went = {
                    "current_stage": self._maybe(f"stage {step}"),
                    "progress_percent": self._maybe(min(100, step * 8)),
                    "iterations": self._maybe(step),
                    "status": self._maybe(draw.choice(("pending", "running", "paused"))),
                    "current_state": self._maybe(self._object()),
                }
                yield tell("run.progressed", run, _not_null(went, "current_state"))
            elif kind < 0.5:
                yield tell("assertion.evaluated", run, self._assertion())
            elif kind < 0.6:
                made = {
                    "filename": f"out-{step}.txt",
                    "file_type": self._maybe("text"),
                    "size_bytes": draw.getrandbits(40),
                }
                yield tell("file.produced", run, made)
            elif kind < 0.7:
                yield tell("run.updated", run, self._result() | {"source": self._maybe("cli")})
        if draw.random() < 0.9:
            yield tell(
                "run.finished", run, self._result() | {"status": draw.choice(("completed", "failed", "cancelled"))}
            )
        if draw.random() < 0.03:
            yield tell("run.deleted", run, {})

    def _node(self, step: int) -> Json:
        draw = self._random
        made = {
            "node_name": f"node {step} {self._words(1)}",
            "status": draw.choice(("pending", "running", "completed", "failed", "skipped")),
            "iteration": self._maybe(step),
            "started_at": self._maybe(self._base.isoformat()),
            "duration_ms": self._maybe(draw.getrandbits(20)),
            "state_snapshot": self._maybe(self._object()),
            "error_message": self._maybe(self._words(5)),
        }
        return _not_null(made, "state_snapshot")

    def _assertion(self) -> Json:
        draw = self._random
        made = {
            "assertion_type": draw.choice(("contains", "regex", "llm-judge")),
            "passed": draw.random() < 0.8,
            "assertion_value": self._maybe(self._json()),
            "actual_value": self._maybe(self._json()),
            "failure_reason": self._maybe(self._words(6)),
            "output_text": self._maybe(self._words(20)),
            "tool_calls": self._maybe(self._json()),
        }
        return _not_null(made, "assertion_value", "actual_value", "tool_calls")

    def _result(self) -> Json:
        draw = self._random
        made = {
            "final_state": self._maybe(self._object()),
            "results_summary": self._maybe(self._json()),
            "error_message": self._maybe(self._words(4)),
            "error_info": self._maybe(self._json()),
            "latency_ms": self._maybe(draw.getrandbits(16)),
            "duration_ms": self._maybe(draw.getrandbits(63)),
            "tokens_input": self._maybe(draw.getrandbits(30)),
            "cost_usd": self._maybe(draw.choice(("0.10", "12.000000000000000000000000001", "1e-7", 3, 0.25))),
        }
        return _not_null(made, "final_state", "results_summary", "error_info")

    def _definition(self, tell: Callable[..., Json]) -> Script:
        draw, definition = self._random, f"d-{self._random.randrange(40)}"
        for revision in range(draw.randrange(1, 6)):
            saved = {
                "kind": "test",
                "name": self._words(2),
                "spec": self._object(),
                "description": self._maybe(self._words(8)),
                "spec_yaml": self._maybe(f"name: x\nversion: {revision}\n"),
                "canvas_state": self._maybe(self._object()),
                "version": self._maybe(f"1.{revision}"),
            }
            saved = _not_null(saved, "canvas_state")
            if revision % 2:
                saved = {name: value for name, value in saved.items() if draw.random() < 0.5 and name != "spec"}
            yield tell("definition.updated" if revision % 2 else "definition.saved", definition, saved)
        if draw.random() < 0.3:
            yield tell(f"definition.{draw.choice(('deactivated', 'deleted'))}", definition, {})

    def _exception(self, tell: Callable[..., Json]) -> Script:
        draw, exception = self._random, self._id("e")
        new = {"domain": "billing", "type": self._words(1), "severity": "high", "source_system": "erp"}
        yield tell("exception.created", exception, self._actor() | {"set": new | self._changes()})
        verbs: tuple[str, ...] = (
            "normalized",
            "triage_completed",
            "policy_evaluated",
            "resolution_suggested",
            "resolution_approved",
        )
        verbs += (
            "feedback_captured",
            "llm_decision_proposed",
            "copilot_question_asked",
            "copilot_answer_given",
            "updated",
        )
        for _ in range(draw.randrange(12)):
            data = self._actor() | {"payload": self._maybe(self._object())}
            if draw.random() < 0.7:
                data["set"] = self._changes()
            yield tell(f"exception.{draw.choice(verbs)}", exception, _not_null(data, "payload"))

    def _actor(self) -> Json:
        draw = self._random
        return {
            "actor_type": draw.choice(("agent", "user", "system")),
            "actor_id": self._maybe(f"u-{draw.randrange(20)}"),
        }

    def _changes(self) -> Json:
        draw = self._random
        changes = {
            "severity": self._maybe(draw.choice(("low", "medium", "high", "critical"))),
            "status": self._maybe(draw.choice(("open", "analyzing", "resolved", "escalated"))),
            "entity": self._maybe(self._words(2)),
            "amount": self._maybe(draw.choice(("10.50", "-0.001", 7, "123456789012345678901234567890.5"))),
            "sla_deadline": self._maybe(self._base.isoformat()),
            "owner": self._maybe(self._words(1)),
            "current_playbook_id": self._maybe(-draw.getrandbits(62)),
            "current_step": self._maybe(draw.randrange(9)),
        }
        return {name: value for name, value in _not_null(changes, "severity").items() if value is not ...}

    def _maybe(self, value: object) -> Any:
        """The value, an explicit null, or nothing at all (`...`)."""
        chance = self._random.random()
        return value if chance < 0.5 else ... if chance < 0.9 else None

    def _words(self, number: int) -> str:
        return " ".join(self._random.choices(WORDS, k=number))

    def _object(self) -> Json:
        draw = self._random
        return {f"k{n}": self._json() for n in range(draw.choice((0, 1, 2, 5)))}

    def _json(self) -> Any:
        draw = self._random
        return draw.choice(
            (7, -1.5, True, None, "text", self._words(2), [1, [2, None]], {"a": {"b": []}}, 2**70, {"é": "日"}, [], {})
        )

    def _id(self, kind: str) -> str:
        return f"{kind}-{self._random.getrandbits(48):012x}"

    def _contradiction(self, one: Json) -> Json:
        """The same identity with other content."""
        data = dict(one["data"])
        for name, value in data.items():
            if isinstance(value, str) and name in (
                "original_line",
                "error_message",
                "node_name",
                "matched_value",
                "name",
            ):
                data[name] = f"{value} (again, otherwise)"
        return one | {"data": data}

    def _sent(self, one: Json) -> Outgoing:
        draw = self._random
        family = family_of(one["type"])
        key = f"{one['tenantid']}/{one['subject']}".encode() if draw.random() < 0.97 else None
        reason = "tenant_suspended" if one["tenantid"] in SUSPENDED else None
        if draw.random() < 0.1 and not (one.keys() & {"unknownattribute"}):
            names = [name for name in one if name not in ("data", "datacontenttype")]
            headers = [("content-type", b"application/json"), *((f"ce_{n}", one[n].encode()) for n in names)]
            return Outgoing(family, key, _encode(one["data"]), tuple(headers), reason)
        return Outgoing(family, key, _encode(one), (STRUCTURED,), reason)

    def _poisoned(self, one: Json) -> Outgoing:
        """A bad record made of a good one, under an id of its own."""
        draw = self._random
        one = one | {"id": f"bad-{next(self._numbers)}", "tenantid": draw.choice(TENANTS)}
        maker = draw.choice(POISONS) if draw.random() < 0.995 else large
        return maker(one)


def _not_null(data: Json, *names: str) -> Json:
    """Fields that are never null are absent instead."""
    return {n: v for n, v in data.items() if v is not ... and not (v is None and n in names)}


def family_of(name: str) -> str:
    """The family of an event type."""
    noun = name.split(".")[1]
    return {
        "session": "extraction",
        "extraction": "extraction",
        "code_block": "extraction",
        "exception": "exception",
    }.get(noun, "execution")


def _bad(
    one: Json, reason: str, value: bytes | None = None, *, key: bytes | None = b"", headers: Headers = ()
) -> Outgoing:
    key = f"{one.get('tenantid')}/{one.get('subject')}".encode() if key == b"" else key
    return Outgoing(
        family_of(one["type"]), key, _encode(one) if value is None else value, (STRUCTURED, *headers), reason
    )


def without(one: Json, name: str) -> Json:
    """The event, less an attribute."""
    return {n: v for n, v in one.items() if n != name}


def spliced(one: Json, text: bytes) -> bytes:
    """The event with these bytes as the value of one more field of its data."""
    return _encode(one | {"data": one["data"] | {"spliced": "@@"}}).replace(b'"@@"', text)


def large(one: Json) -> Outgoing:
    """More than 1 MiB."""
    return _bad(one, "too_large", spliced(one, b'"' + b"x" * 1_100_000 + b'"'))


def tombstone(one: Json) -> Outgoing:
    """No value, under a key."""
    bad = _bad(one, "not_cloudevent", key=f"{one['tenantid']}/{one['id']}".encode())
    return bad._replace(value=None)


POISONS: tuple[Callable[[Json], Outgoing], ...] = (
    lambda e: _bad(e, "bad_utf8", spliced(e, b'"caf\xe9"')),
    lambda e: _bad(e, "bad_utf8", headers=(("x-bytes", b"\xff\xfe"),)),
    lambda e: _bad(e, "bad_json", _encode(e)[:-1]),  # one byte: more could cut a character in two
    lambda e: _bad(e, "bad_json", spliced(e, b"NaN")),
    lambda e: _bad(e, "not_cloudevent", b"[" + _encode(e) + b"]"),
    lambda e: _bad(e | {"specversion": "0.3"}, "not_cloudevent"),
    lambda e: _bad(e, "not_cloudevent", headers=(("x-null", None),)),
    tombstone,
    lambda e: _bad(without(e, "id") | {"x": e["id"]}, "missing_id"),
    lambda e: _bad(e | {"id": "", "x": e["id"]}, "missing_id"),
    lambda e: _bad(e | {"time": "2026-01-31T12:00:00"}, "bad_time"),
    lambda e: _bad(e | {"time": 1_769_860_800}, "bad_time"),
    lambda e: _bad(e | {"time": "1970-01-01T00:00:00Z"}, "time_out_of_range"),
    lambda e: _bad(e | {"time": "2200-01-01T00:00:00Z"}, "time_out_of_range"),
    lambda e: _bad(e | {"data": "no object"}, "schema_invalid"),
    lambda e: _bad(e | {"type": "siltstone.run.finished.v1", "data": {"status": "undecided"}}, "schema_invalid"),
    lambda e: _bad(e | {"type": e["type"].replace(".v1", ".v9")}, "schema_unsupported"),
    lambda e: _bad(e, "schema_registry_framed", b"\0\0\0\0\x2a" + _encode(e)),
    lambda e: _bad(e, "too_large", spliced(e, b"[" * 65 + b"]" * 65)),
    lambda e: _bad(without(e, "tenantid"), "tenant_missing"),
    lambda e: _bad(e | {"tenantid": "nobody"}, "tenant_unknown"),
    lambda e: _bad(e | {"tenantid": "resting"}, "tenant_suspended"),
    lambda e: _bad(e, "tenant_not_allowed", key=b"somebody-else/" + e["subject"].encode()),
    lambda e: _bad(e, "unstorable_text", spliced(e, rb'"a\u0000b"')),
    lambda e: _bad(e, "unstorable_text", spliced(e, rb'"\ud800"')),
    lambda e: _bad(
        e | {"type": "siltstone.run.finished.v1", "data": {"status": "failed", "tokens_input": 2**63}},
        "numeric_out_of_range",
    ),
    lambda e: _bad(e, "numeric_out_of_range", spliced(e, b'{"a": 1e400000}')),
    lambda e: _bad(
        e | {"type": "siltstone.run.started.v1", "data": {"kind": "test", "external_ref": "x" * 641}},
        "constraint_violation",
    ),
)
"""Each makes a bad record of a good event; what is wrong with it is all that is wrong."""
