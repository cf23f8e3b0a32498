"""Passwords that a command line gives to curl, to MySQL's and MariaDB's programs, and to sshpass."""

import re
from typing import Any

import re2

_QUOTE = r"\\*[\"']"
_PLACE = (  # of a command: a line's begin behind any numbers and signs, behind a prompt or another command, in quotes
    r"(?:^(?:[^\w\"'`]|\d)*|[;&|(]\s*|[$#%>+»]\s+|\b(?:sudo|then|do|time|RUN)\s+|(?P<within>\\*[\"'`])\s*)"
    r"(?:\w+=\S*\s+)*(?:sudo\s+)?"
)
_GAP = r"(?:(?:[^;&|]|\"[^\"]*\"|'[^']*')*?\s)?"
_USER = r"(?:\$\{?\w+\}?|\[masked: \w+\]|[^\s:\"'$\[<{]*)"
PATTERN = (
    rf"{_PLACE}(?:"
    rf"curl(?:\.exe)?\s{_GAP}(?:-[A-Za-z#]*[uU]\s*|--(?:proxy-)?user[\s=]\s*)(?P<open>{_QUOTE})?{_USER}:"
    rf"|(?:mysql(?:admin|check|dump|import)?|mariadb(?:-\w+)?)\s{_GAP}(?:-p|--password=)"
    r"|sshpass\s(?:-[vV]\s+|-P\s*\S+\s+)*-p\s*)"
)
_BEFORE = re2.compile(PATTERN)
_OPENING = re.compile(_QUOTE)
_NO_PASSWORD = ("$", "<", "{", "[", "//")  # variables, what a help text has, what is masked already, an address


def mask_logins(line: str) -> str:
    """The line with each of them as `[masked: password]`."""
    kept, done = "", 0
    for found in _BEFORE.finditer(line):
        at = found.end()
        if at < done:
            continue
        end = _end(line, at, found)
        given = line[at:end]
        if not given.strip("\\\"'") or given.lstrip("\\\"'").startswith(_NO_PASSWORD):
            continue
        kept += f"{line[done:at]}[masked: password]{found.group('open') or ''}"
        done = end
    return kept + line[done:]


def _end(line: str, at: int, found: Any) -> int:
    """Of the shell's word that begins there, or before it with an open quote."""
    quote, within = found.group("open"), found.group("within")
    while at < len(line):
        if quote and line.startswith(quote, at):
            at, quote = at + len(quote), None
        elif quote:
            at += 1
        elif line[at].isspace() or line[at] in ";&|)" or (within and line.startswith(within, at)):
            break
        elif line[at] == "\\" and not within:  # else the whole line is in quotes, and these are escaped
            at += 2
        elif opening := _OPENING.match(line, at):
            at, quote = opening.end(), opening.group(0)
        else:
            at += 1
    return min(at, len(line))
