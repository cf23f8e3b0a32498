"""What is looked for in an agent's output: a YAML file of patterns, each in linear time (RE2).

`examples/patterns.yaml` is the default, and shows every member.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import re2
import yaml

MAX_MATCH_CHARACTERS = 1_024
MAX_MEMBER_CHARACTERS = 1_024  # of a named group that is kept
RISKS = ("low", "medium", "high", "critical")
_MEMBERS = {"name", "event_type", "match", "agents", "risk", "auto_confirmable", "when"}
_AGENT_MEMBERS = {"commands", "next_text"}
_WHEN = ("line", "pause")


class BadPatterns(Exception):
    """A file of patterns that cannot be used; the message says what is wrong, and in which line."""


@dataclass(frozen=True)
class Pattern:
    """One thing to look for: in every line, or, `when` output pauses, in the last lines on the screen.

    `agents` are those in whose output alone it is looked for; none: in any.
    """

    name: str
    event_type: str
    expression: Any
    risk: str | None
    auto_confirmable: bool
    when: str
    agents: frozenset[str]


@dataclass(frozen=True)
class Agent:
    """How an agent is known: the commands that start it, and the lines with which it begins another text."""

    name: str
    commands: frozenset[str]
    next_text: Any | None

    def begins_text(self, line: str) -> bool:
        """Whether a block of code that is open ends before this line, closed or not."""
        return self.next_text is not None and self.next_text.search(line) is not None


class Match(NamedTuple):
    """What a pattern found: the match, and the named groups in it."""

    pattern: Pattern
    value: str
    groups: dict[str, str]


class Patterns:
    """The patterns of a file, and the agents that it knows."""

    def __init__(self, patterns: Sequence[Pattern], agents: Sequence[Agent]) -> None:
        self._patterns = patterns
        self._agents = agents

    def agent_of(self, command: str) -> Agent:
        """The agent that a command starts (its last path segment); one of the command's own name when none is known."""
        name = command.rpartition("/")[2]
        return next((a for a in self._agents if name in a.commands), Agent(name, frozenset({name}), None))

    def agent(self, name: str) -> Agent:
        """The agent of that name, known or not."""
        return next((a for a in self._agents if a.name == name), Agent(name, frozenset(), None))

    def names(self) -> list[str]:
        """The names of the agents that are known."""
        return [agent.name for agent in self._agents]

    def of(self, agent: str, when: str) -> "Finder":
        """Those that are looked for in an agent's output."""
        return Finder([p for p in self._patterns if p.when == when and (not p.agents or agent in p.agents)])


class Finder:
    """Some patterns, looked for together in one pass."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self._set = re2.Set.SearchSet()
        for pattern in patterns:
            self._set.Add(pattern.expression.pattern)
        if patterns:
            self._set.Compile()

    def matches(self, line: str) -> Iterator[Match]:
        """What each pattern finds first in a line, in the order of the file."""
        if not self._patterns:
            return
        for number in sorted(self._set.Match(line) or ()):
            pattern = self._patterns[number]
            found = pattern.expression.search(line)
            if found:
                groups = {n: v[:MAX_MEMBER_CHARACTERS] for n, v in found.groupdict().items() if v is not None}
                yield Match(pattern, found.group(0).strip()[:MAX_MATCH_CHARACTERS], groups)

    def first(self, lines: Iterable[str]) -> tuple[Match, str] | None:
        """The first match in some lines, and its line."""
        return next(((match, line) for line in lines for match in self.matches(line)), None)


def load(text: str, name: str) -> Patterns:
    """The patterns of a file's text; `name` stands in messages. Raises BadPatterns."""
    root, whole = _read(text, name)
    if not isinstance(whole, dict) or not isinstance(whole.get("patterns"), list):
        raise BadPatterns(f"{name}: a mapping with a list `patterns` is expected, as in examples/patterns.yaml")
    if unknown := whole.keys() - {"patterns", "agents"}:
        raise BadPatterns(f"{name}: unknown: {', '.join(sorted(map(str, unknown)))}; known: agents, patterns")
    lines = _lines_of_items(root, "patterns")
    found: dict[str, Pattern] = {}
    for item, line in zip(whole["patterns"], lines, strict=True):
        pattern = _pattern(item, f"{name}, line {line}")
        if pattern.name in found:
            raise BadPatterns(f"{name}, line {line}: a pattern named {pattern.name} is there already")
        found[pattern.name] = pattern
    return Patterns(list(found.values()), _agents(whole.get("agents") or {}, name))


class _Loader(yaml.SafeLoader):
    """Says where a value is that YAML takes for a date or a number, and that is none."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's own form
        try:
            return super().construct_object(node, deep=deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError):
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(problem=f"{node.value!r} is no {kind}", problem_mark=node.start_mark) from None


def _read(text: str, name: str) -> tuple[Any, Any]:
    """The nodes of a YAML text, and what they say."""
    where, why, loader = name, None, None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        _refuse_doubles(root)
        return root, loader.construct_document(root) if root else None
    except yaml.YAMLError as error:
        mark, why = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"{name}, line {mark.line + 1}" if mark else name
    except (RecursionError, ValueError):  # nested too deep, or an escape beyond Unicode
        where = f"{name}, line {loader.get_mark().line + 1}" if loader else name
    raise BadPatterns(f"{where}: no YAML: {why or 'it cannot be read'}")


def _refuse_doubles(root: Any) -> None:
    """A key that is there twice, of which YAML's reader would take the last."""
    nodes, seen = [root], set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        nodes += [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else node.value
        known = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value in known:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            known.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))


def _lines_of_items(root: Any, member: str) -> list[int]:
    items = next(value for key, value in reversed(root.value) if key.value == member)
    return [item.start_mark.line + 1 for item in items.value]


def _pattern(item: Any, where: str) -> Pattern:
    if not isinstance(item, dict):
        raise BadPatterns(f"{where}: a pattern is a mapping with name, event_type and match")
    if unknown := item.keys() - _MEMBERS:
        raise BadPatterns(
            f"{where}: unknown: {', '.join(sorted(map(str, unknown)))}; known: {', '.join(sorted(_MEMBERS))}"
        )
    texts = {}
    for member in ("name", "event_type", "match"):
        text = item.get(member)
        if not isinstance(text, str) or not text or (member != "match" and len(text) > 100):  # noqa: PLR2004 - a name
            raise BadPatterns(f"{where}: {member} must be a text, and is {text!r}")
        texts[member] = text
    risk, when, agents = item.get("risk"), item.get("when", "line"), item.get("agents", [])
    if risk is not None and risk not in RISKS:
        raise BadPatterns(f"{where}: risk is one of {', '.join(RISKS)}, not {risk!r}")
    if when not in _WHEN:
        raise BadPatterns(f"{where}: when is line or pause, not {when!r}")
    if not isinstance(agents, list) or not all(isinstance(a, str) for a in agents):
        raise BadPatterns(f"{where}: agents is a list of names")
    return Pattern(
        texts["name"],
        texts["event_type"],
        _expression(texts["match"], where),
        risk,
        bool(item.get("auto_confirmable", False)),
        when,
        frozenset(agents),
    )


def _expression(text: str, where: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except UnicodeEncodeError:
        raise BadPatterns(f"{where}: {text!r} has half of a character") from None
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise BadPatterns(
            f"{where}: {text!r} is no regular expression of RE2 ({said}); it has no look-around and no back-references"
        ) from None


def _agents(members: Any, name: str) -> list[Agent]:
    if not isinstance(members, dict):
        raise BadPatterns(f"{name}: agents is a mapping of names")
    agents = []
    for agent, said in members.items():
        where = f"{name}, agent {agent}"
        if not isinstance(said, dict) or said.keys() - _AGENT_MEMBERS:
            raise BadPatterns(f"{where}: a mapping of {' and '.join(sorted(_AGENT_MEMBERS))} is expected")
        commands, text = said.get("commands", []), said.get("next_text")
        if not isinstance(commands, list) or not all(isinstance(c, str) for c in commands):
            raise BadPatterns(f"{where}: commands is a list of names")
        expression = _expression(text, where) if isinstance(text, str) else None
        agents.append(Agent(str(agent), frozenset(commands), expression))
    return agents
