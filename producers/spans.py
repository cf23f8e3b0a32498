"""What an OpenTelemetry span says of a run and a node: model, tokens, cost, how it ended and why.

By the semantic conventions for GenAI and for exceptions, by earlier names of both, and by those of OpenLLMetry,
OpenInference, the Vercel AI SDK and Logfire, which agents still send. The importer of OTLP and the SDK's span
processor read spans by it; the SDK has a copy (`make docs`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from producers.values import NotUnderstood, count, flag, money, text

PROVIDER = ("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider")
MODEL = (
    "gen_ai.response.model",
    "llm.response.model",
    "ai.response.model",
    "gen_ai.request.model",
    "llm.model_name",
    "llm.request.model",
    "ai.model.id",
)
ANSWERED = ("gen_ai.response.model", "llm.response.model", "ai.response.model")
TOKENS_INPUT = (
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.prompt_tokens",
    "llm.usage.prompt_tokens",
    "llm.token_count.prompt",
    "ai.usage.inputTokens",
    "ai.usage.promptTokens",
)
TOKENS_OUTPUT = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.usage.completion_tokens",
    "llm.token_count.completion",
    "ai.usage.outputTokens",
    "ai.usage.completionTokens",
)
COST_USD = ("gen_ai.usage.cost", "llm.cost.total", "operation.cost")
STATUS = {"0": None, "unset": None, "1": False, "ok": False, "2": True, "error": True}

T = TypeVar("T")


class NotRead(NamedTuple):
    """A value that is there and was not understood, with its name; `why` goes on from "it is …"."""

    name: str
    value: Any
    why: str


class Usage(NamedTuple):
    """What a span's attributes say; None where they say nothing. `not_read` are those that say it unreadably."""

    provider: str | None
    model: str | None
    tokens_input: int | None
    tokens_output: int | None
    cost_usd: str | None
    not_read: list[NotRead]
    answered: bool  # whether the model is the one that answered, and not only the one that was asked for


class Happened(NamedTuple):
    """An event of a span: its name, and what it says."""

    name: str
    attributes: Mapping[str, Any]


def usage(attributes: Mapping[str, Any]) -> Usage:
    """The first of each list of names that is there and can be read; numbers may be texts."""
    not_read: list[NotRead] = []

    def first(names: Iterable[str], reader: Callable[[Any], T]) -> T | None:
        for name in names:
            value = attributes.get(name)
            if value is None or value == "":
                continue
            try:
                return reader(value)
            except NotUnderstood as error:
                not_read.append(NotRead(name, value, str(error)))
        return None

    return Usage(
        first(PROVIDER, text),
        first(MODEL, text),
        first(TOKENS_INPUT, count),
        first(TOKENS_OUTPUT, count),
        first(COST_USD, money),
        not_read,
        any(attributes.get(name) for name in ANSWERED),
    )


def status(code: Any) -> bool | None:
    """Whether a span failed, by its status; None when that is unset. Raises NotUnderstood."""
    word = str(code).strip().lower().removeprefix("status_code_").removeprefix("statuscode.")
    if word not in STATUS:
        raise NotUnderstood("not a status of a span: unset, ok and error are")
    return STATUS[word]


def has_failed(stated: bool | None, events: Iterable[Happened], attributes: Mapping[str, Any]) -> bool:  # noqa: FBT001 - it has three values
    """By the span's status; where that is unset, by `error.type`, Langfuse's level, or an exception that ended it.

    An exception that is only recorded was dealt with: it fails no span.
    """
    if stated is not None:
        return stated
    is_error = str(attributes.get("langfuse.observation.level", "")).upper() == "ERROR"
    return is_error or bool(attributes.get("error.type")) or any(_escaped(event) for event in events)


def _escaped(event: Happened) -> bool:
    said = event.attributes.get("exception.escaped")
    try:
        return event.name == "exception" and said is not None and flag(said)
    except NotUnderstood:
        return False


def failure(message: str | None, events: Iterable[Happened], attributes: Mapping[str, Any]) -> str | None:
    """Why a span failed: its status' message, then each exception with its type, message and stack trace.

    A stack trace that begins or ends with type and message stands alone. None when nothing of it is said.
    """
    told = [_exception(event.attributes) for event in events if event.name == "exception"]
    exceptions = [one for one in dict.fromkeys(told) if one]
    if not exceptions and not message and (kind := attributes.get("error.type")):
        return str(kind)
    said = [message] if message and not any(message in one for one in exceptions) else []
    return "\n\n".join((*said, *exceptions)) or None


def _exception(attributes: Mapping[str, Any]) -> str:
    kind, said, stack = (str(attributes.get(f"exception.{n}") or "") for n in ("type", "message", "stacktrace"))
    headline = ": ".join(part for part in (kind, said) if part)
    if stack and kind.rpartition(".")[2] in stack and said in stack:
        return stack
    return "\n".join(part for part in (headline, stack) if part)
