"""`siltstone import`: a command for each kind of file, all with the same options."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.window import TimeWindow
from persistence.roles import READER
from producers.account import Differs
from workers.cli.database import with_database
from workers.cli.environment import settings
from workers.cli.import_kinds import KINDS, LINES, Kind
from workers.cli.publish import SHOWN, send
from workers.cli.terminal import Exit, Output, fail, print_rows, printable, progress, say

if TYPE_CHECKING:
    from persistence.database import Database
    from producers.event_lines import Outgoing, RefusedLine
    from producers.imports.imported import Importer, Origin
    from workers.importing import File
    from workers.settings import Settings


VERIFY_SECONDS = 60.0
NAMED = 3  # files that are passed over and named; the rest are counted

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """What other tools recorded."""


Files = Annotated[
    list[Path],
    typer.Argument(help="The files; a folder stands for those in it, and below, that have the kind's ending."),
]
Tenant = Annotated[str, typer.Option(help="The tenant that they belong to.")]
Source = Annotated[str | None, typer.Option(help="The source of the events; /importers/ and the kind unless named.")]
Start = Annotated[
    datetime | None, typer.Option(help="When it began, UTC, where the file does not say; else from the content.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count the events by type; publish nothing.")]
Verify = Annotated[bool, typer.Option("--verify", help="Read again what was stored; compare counts and sums.")]
Archive = Annotated[Path | None, typer.Option(help="A folder to move each file to, once it is verified whole.")]
Counts = Annotated[
    bool,
    typer.Option(help="Whether a file is not whole that states other numbers of itself than were found in it."),
]
How = Annotated[Output, typer.Option("-o", "--output", help="How to print.")]


def _add(kind: Kind) -> None:
    def command(
        files: Files,
        tenant: Tenant,
        source: Source = None,
        start: Start = None,
        dry_run: DryRun = False,  # noqa: FBT002
        verify: Verify = False,  # noqa: FBT002
        archive: Archive = None,
        check_counts: Counts = True,  # noqa: FBT002
        output: How = Output.table,
    ) -> None:
        origin = _origin(tenant, source or f"/importers/{kind.name}", start)
        importer: Importer = _module(kind.name, kind.module).read
        found = _files(files, kind.endings, archive, check_counts=check_counts)
        Work(importer, origin, settings(), found).do(output, archive, dry_run=dry_run, verify=verify)

    command.__doc__ = f"{kind.what} The same file again changes nothing."
    app.command(kind.name)(command)


for _kind in KINDS:
    _add(_kind)


@app.command("jsonl")
def import_jsonl(
    files: Files,
    tenant: Tenant,
    mapping: Annotated[Path, typer.Option(help="YAML that says which events a line makes (docs/importing.md).")],
    source: Source = None,
    start: Start = None,
    dry_run: DryRun = False,  # noqa: FBT002
    verify: Verify = False,  # noqa: FBT002
    archive: Archive = None,
    output: How = Output.table,
) -> None:
    """Any JSON lines, by a mapping. The same file again changes nothing."""
    jsonl, mappings = (_module("jsonl", f"producers.imports.{name}") for name in ("jsonl", "mapping"))
    try:
        importer: Importer = jsonl.importer(mappings.mapping(mapping.read_text(encoding="utf-8"), str(mapping)))
    except OSError as error:
        fail(f"{mapping} cannot be read: {error.strerror}", Exit.NOT_FOUND)
    except (mappings.BadMapping, UnicodeDecodeError) as error:
        fail(printable(str(error)), Exit.USAGE)
    origin = _origin(tenant, source or "/importers/jsonl", start)
    found = _files(files, LINES, archive)
    Work(importer, origin, settings(), found).do(output, archive, dry_run=dry_run, verify=verify)


class Work:
    """The files of one command, and what became of them."""

    def __init__(self, importer: Importer, origin: Origin, read: Settings, given: list[File]) -> None:
        self._importer, self._origin, self._settings, self._given = importer, origin, read, given
        self._files: list[File] = []  # of which something was read
        self._failed: set[Path] = set()
        self._left_out: Counter[str] = Counter()

    def do(self, output: Output, archive: Path | None, *, dry_run: bool, verify: bool) -> None:
        """Everything that the options ask for; exit 4 when some of it failed."""
        if dry_run:
            self.count(output)
        else:
            self.publish(output)
            if verify or archive:
                self.verify()
            if archive:
                self.put_away(archive)
        if self._failed:
            fail(f"{len(self._failed)} of {len(self._given)} files were not imported whole", Exit.SOME_FAILED)

    def count(self, output: Output) -> None:
        """Print how many events there are of each type."""
        for _ in self._records():
            pass
        self._say_left_out()
        kinds = sum((file.kinds for file in self._files), Counter[str]())
        print_rows([{"type": t, "events": n} for t, n in sorted(kinds.items())], ["type", "events"], output)

    def publish(self, output: Output) -> None:
        """Publish everything; ends the command when the broker is away."""
        report = send(self._settings, self._records(), None)
        rows = [{"topic": topic, "acknowledged": n} for topic, n in sorted(report.acknowledged.items())]
        print_rows(rows, ["topic", "acknowledged"], output)
        for refused in report.refused:
            self._failed.update(file.path for file in self._given)  # which of them is not known
            say(printable(refused.reason))
        self._say_left_out()
        say(f"imported {len(self._files)} of {len(self._given)} files, {report.acknowledged.total()} events")

    def verify(self) -> None:
        """Read again what was stored, and name what is not there."""
        from workers import importing

        with progress("reading again what was stored", len(self._files)) as bar:
            task = bar.task_ids[0]

            async def run(_: Settings, database: Database) -> None:
                tenant, advance = self._origin.tenant, lambda: bar.advance(task)
                await importing.verify(database, tenant, self._files, VERIFY_SECONDS, advance)

            with_database(READER, run)
        for file in self._files:
            for trouble in file.trouble:
                self._failed.add(file.path)
                say(f"{file.path}: {trouble}")
        if any(file.trouble for file in self._files):
            say("events that are missing wait for a worker, or were refused: siltstone dlq list")
        if found := sum(sum(file.kinds.values()) for file in self._files if not file.trouble):
            say(f"verified: {found} events are stored, with the sums of their numbers")

    def put_away(self, folder: Path) -> None:
        """Move the files that are whole."""
        from workers import importing

        for file in self._files:
            if file.path in self._failed or not file.is_whole:
                say(f"{file.path} stays where it is")
                continue
            try:
                say(f"{file.path} is now {importing.put_away(file, folder)}")
            except OSError as error:
                self._failed.add(file.path)
                say(f"{file.path} cannot be moved to {folder}: {error.strerror}")
            except importing.Kept as kept:
                self._failed.add(file.path)
                say(f"{file.path} stays where it is: {kept}")

    def _records(self) -> Iterator[Outgoing | RefusedLine]:
        """The records of one file after the other; says what is refused as it goes."""
        from producers.event_lines import Outgoing
        from workers import importing

        read = self._settings
        window = TimeWindow(read.oldest_time, read.retention_months)
        for file in self._given:
            path, shown = file.path, 0
            try:
                for taken in importing.read(file, self._importer, self._origin, window, read.topic_prefix):
                    if isinstance(taken, Outgoing):
                        yield taken
                        continue
                    shown += 1
                    if shown <= SHOWN:
                        say(printable(f"{path}: {taken}"))
            except importing.NotRead as error:
                self._failed.add(path)
                say(printable(str(error)))
            if shown > SHOWN:
                say(f"{path}: … and {shown - SHOWN} more")
            if not file.is_accounted_for:
                self._failed.add(path)
            self._left_out += file.left_out
            if file.kinds or path not in self._failed:
                self._files.append(file)

    def _say_left_out(self) -> None:
        """What no event was made of, over all files; and that counts which differ may be passed over."""
        for kind, number in sorted(self._left_out.items()):
            say(printable(f"left out: {kind}, {number}"))
        if any(file.said[Differs] and file.check_counts for file in self._given):
            say("numbers that a file states differ from what was found in it: --no-check-counts takes it all the same")


def _module(name: str, module: str) -> ModuleType:
    """The module that reads a kind of file: some need what workers do not have."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        needs = "pip install 'siltstone[producers]'"
        fail(f"{name} cannot be imported here ({error.name} is missing): {needs}", Exit.UNAVAILABLE)


def _origin(tenant: str, source: str, start: datetime | None) -> Origin:
    from producers.imports.imported import Origin

    begin = start.replace(tzinfo=UTC) if start is not None and start.tzinfo is None else start
    return Origin(tenant, source, begin)


def _files(
    paths: list[Path], endings: tuple[str, ...], archive: Path | None, *, check_counts: bool = True
) -> list[File]:
    """The files to import; says what is passed over. Ends the command when there are none."""
    from workers.import_folders import files_of

    found = files_of(paths, endings, archive, check_counts=check_counts)
    wanted = " or ".join(endings)
    for folder in found.without:
        say(
            printable(
                f"{folder}: no file in it, or below, ends in {wanted}; a file of another name can be named itself"
            )
        )
    if found.passed_over:
        names = [path.name for path in found.passed_over]
        shown = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
        say(printable(f"passed over: {len(names)} files whose names do not end in {wanted} ({shown})"))
    if not found.files:
        fail("there is nothing to import", Exit.NOT_FOUND)
    return found.files
