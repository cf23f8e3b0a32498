"""One run of `siltstone dlq edit`: every letter of a selection changed, checked and kept."""

import difflib
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.record import Message
from contracts.refusal import Refusal
from contracts.window import TimeWindow
from persistence import letter_actions, tenants
from persistence.database import Database
from persistence.letter_actions import EDITABLE, Edit, Editable
from persistence.letter_search import Selection
from workers import mending
from workers.admission import judge, refusal_of
from workers.cli.dlq.actions import say_skipped, some_of
from workers.cli.dlq.editor import edited, pretty
from workers.cli.dlq.rendering import counted
from workers.cli.terminal import Exit, fail, printable, progress, say, stdout
from workers.mending import CannotMend, Origin, Step
from workers.settings import Settings

DIFFS = 3  # letters whose change a dry run shows
DIFF_MAX_BYTES = 256 * 1024  # of a value; a longer one is told of by its length
DIFF_MAX_LINES = 200
REASONS_SHOWN = 20
_NUMBER = re.compile(r"\d+")


@dataclass(slots=True)
class Refused:
    """Letters whose result is still refused for one reason: how many, and one of them."""

    example: uuid.UUID
    message: str
    is_checked: bool  # by what a worker would say: --no-check keeps it all the same
    count: int = 0


@dataclass(slots=True)
class Editing:
    """One run of the command: what it is to do, and what became of the letters."""

    selection: Selection
    steps: Sequence[Step]
    actor: str
    why: str | None
    check: bool
    dry_run: bool
    alone: str | None  # an option that must not be used on more than one letter
    kept: int = 0
    unchanged: int = 0
    skipped: int = 0
    refused: dict[str, Refused] = field(default_factory=dict)
    shown: int = 0

    async def run(self, read: Settings, database: Database) -> None:
        """Edit every letter of the selection, in transactions of at most 500, and say what became of them."""
        window = TimeWindow(read.oldest_time, read.retention_months)
        async with database.transaction(readonly=True) as connection:
            counts = await letter_actions.count_by_status(connection, self.selection)
            statuses = await tenants.statuses(connection)
        total = some_of(counts, EDITABLE, self.selection, "edited")
        if not total:
            return
        if total > 1 and self.alone:
            fail(
                f"{self.alone} would make one event of {counted(total)}; give it with one letter's ID",
                Exit.USAGE,
            )
        written = None
        if not self.steps:
            written = await self._in_editor(database)
            if written is None:
                say("unchanged or empty: nothing is kept")
                return
        after: uuid.UUID | None = None
        with progress("editing", total) as bar:
            while True:
                async with database.transaction() as connection:
                    ids = await letter_actions.editable_ids(connection, self.selection, after)
                    if not ids:
                        break
                    letters = await letter_actions.editable(connection, ids, lock=not self.dry_run)
                    self.skipped += len(ids) - len(letters)
                    edits = [edit for letter in letters if (edit := self._edit(letter, window, statuses))]
                    if not self.dry_run:
                        await letter_actions.keep(connection, edits, self.actor, self.why)
                self.kept += len(edits)
                after = ids[-1]
                bar.advance(bar.task_ids[0], len(ids))
        self._report(written)

    async def _in_editor(self, database: Database) -> Path | None:
        """Let the operator write the value: it becomes the one step. The file it is in; None for no change."""
        async with database.transaction(readonly=True) as connection:
            letters = await letter_actions.editable(connection, list(self.selection.ids), lock=False)
        if not letters:
            fail("the letter changed its status just now; nothing is changed", Exit.SOME_FAILED)
        before = letters[0].current
        value, place = edited(before[1])
        if value is None:
            return None

        def step(message: Message, _: Origin) -> Message:
            if message != before:
                raise CannotMend("another command changed the letter meanwhile")
            return message._replace(value=value)

        self.steps = [step]
        return place

    def _edit(self, letter: Editable, window: TimeWindow, statuses: Mapping[str, str]) -> Edit | None:
        """The letter's edit; None when it changes nothing, or its result is still refused."""
        before = letter.current
        origin = Origin(letter.id, letter.record_timestamp, letter.original)
        try:
            after = mending.mend(before, origin, self.steps)
        except CannotMend as error:
            self._refuse(letter.id, f"cannot be changed so: {error}", is_checked=False)
            return None
        if after == before:
            self.unchanged += 1
            return None
        refusal = refusal_of(judge(after, window), statuses) if self.check else None
        if self.dry_run and self.shown < DIFFS:
            self.shown += 1
            _show_change(letter.id, before, after, refusal)
        if refusal is not None:
            self._refuse(letter.id, f"{refusal.reason.value}: {refusal.message}", is_checked=True)
            return None
        return Edit(letter, after)

    def _refuse(self, letter: uuid.UUID, message: str, *, is_checked: bool) -> None:
        """Count a refusal; those that differ in their numbers alone are one."""
        self.refused.setdefault(_NUMBER.sub("#", message), Refused(letter, message, is_checked)).count += 1

    def _report(self, written: Path | None) -> None:
        sys.stdout.flush()
        say(f"{counted(self.kept)} {'would be changed' if self.dry_run else 'changed'}")
        if self.unchanged:
            say(f"{counted(self.unchanged)} unchanged: there was nothing to change")
        if written is not None and self.kept and not self.dry_run:
            written.unlink(missing_ok=True)
        self._report_refused(written)
        if self.skipped:
            say_skipped(self.skipped, self.selection)

    def _report_refused(self, written: Path | None) -> None:
        if not self.refused:
            return
        by_count = sorted(self.refused.values(), key=lambda refused: -refused.count)
        for refused in by_count[:REASONS_SHOWN]:
            say(f"{counted(refused.count)} not changed: {printable(refused.message)} (such as {refused.example})")
        if len(by_count) > REASONS_SHOWN:
            say(f"… and for {len(by_count) - REASONS_SHOWN} other reasons")
        hint = f"; {written} has what you wrote: --file goes on from it" if written is not None else ""
        checked = sum(refused.count for refused in by_count if refused.is_checked)
        if not checked:
            total = sum(refused.count for refused in by_count)
            fail(f"{counted(total)} cannot be changed so{hint}", Exit.SOME_FAILED)
        fail(f"{counted(checked)} would still be refused; --no-check keeps such changes{hint}", Exit.SOME_FAILED)


def _show_change(letter: uuid.UUID, before: Message, after: Message, refusal: Refusal | None) -> None:
    """A unified diff of one letter's key, headers and pretty-printed value."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"{letter} now", f"{letter} then", lineterm="")
    for number, line in enumerate(lines):
        if number == DIFF_MAX_LINES:
            stdout.print(f"… cut at {DIFF_MAX_LINES} lines", markup=False)
            break
        stdout.print(printable(line), markup=False)
    if refusal is not None:
        stdout.print(f"still refused: {refusal.reason.value}: {printable(refusal.message)}", markup=False)


def _lines(message: Message) -> list[str]:
    key, value, headers = message
    lines = [f"key: {_shown(key)}", *(f"header {name}: {_shown(text)}" for name, text in headers)]
    if value is None:
        return [*lines, "no value"]
    if len(value) > DIFF_MAX_BYTES:
        return [*lines, f"a value of {len(value)} bytes"]
    return [*lines, *pretty(value).decode("utf-8", "backslashreplace").splitlines()]


def _shown(value: bytes | None) -> str:
    return "none" if value is None else value.decode("utf-8", "backslashreplace")
