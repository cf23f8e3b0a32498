"""docs/commands.md."""

from collections.abc import Iterator, Mapping
from typing import Any

import typer

from docs.pages.markdown import page, table
from workers.cli.main import program as whole
from workers.cli.terminal import Exit


def commands() -> str:
    """docs/commands.md."""
    intro = (
        "Data goes to standard output, messages to standard error. `-o json` and `-o jsonl` are for programs; "
        "`NO_COLOR` is respected."
    )
    return page("Commands", intro, _commands())


def _commands() -> Iterator[str]:
    yield "\n## Exit codes"
    yield from table(("code", "meaning"), [(str(code.value), _EXITS[code]) for code in Exit])
    for path, command in walk(program(), "siltstone"):
        yield f"\n## `{path}`\n\n{help_of(command)}"
        rows = [
            (f"`{names_of(parameter)}`", _default(parameter), getattr(parameter, "help", None) or "")
            for parameter in command.params
            if parameter.name != "help"
        ]
        yield from table(("argument or option", "default", "meaning"), rows)


_EXITS: Mapping[Exit, str] = {
    Exit.DONE: "done",
    Exit.UNEXPECTED: "unexpected: a defect, or a worker that stopped; the message says which",
    Exit.USAGE: "the command was not understood, or a setting cannot be used",
    Exit.NOT_FOUND: "what was asked for is not there",
    Exit.SOME_FAILED: "some of it failed; each is named",
    Exit.UNAVAILABLE: "a service is unavailable",
    Exit.CHECK_FAILED: "a check failed",
    Exit.STOPPED: "stopped before its end, by Ctrl-C or another signal",
}


def program() -> Any:
    """The program's root command."""
    return typer.main.get_command(whole())


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command below `command`, with the words that call it; groups are their commands."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from walk(child, f"{path} {name}")


def help_of(command: Any) -> str:
    """A command's help, as one paragraph."""
    return " ".join((command.help or "").split())


def names_of(parameter: Any) -> str:
    """How an argument or option is written."""
    if parameter.param_type_name == "argument":
        name = parameter.metavar or parameter.name.upper()
        return name if parameter.required else f"[{name.strip('[]')}]"
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    if default is None or default in (False, (), []) or callable(default):
        return ""
    return f"`{getattr(default, 'value', str(default).lower() if default is True else default)}`"
