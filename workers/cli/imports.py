"""`siltstone import`: a command for each kind of file, all with the same options."""

import importlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Annotated, NamedTuple

import typer

from contracts.window import TimeWindow
from persistence.database import READER, Database
from producers.event_lines import Outgoing, RefusedLine
from producers.imports.imported import Importer, Origin, Refused
from workers import importing
from workers.cli.database import with_database
from workers.cli.environment import settings
from workers.cli.publish import SHOWN, send
from workers.cli.terminal import Exit, Output, fail, print_rows, printable, progress, say
from workers.importing import File
from workers.settings import Settings

VERIFY_SECONDS = 60.0

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """What other tools recorded."""


class Kind(NamedTuple):
    """A kind of file: the command's name, the module that reads it, and what it is, for `--help`."""

    name: str
    module: str
    what: str


KINDS = (
    Kind("swe-agent", "producers.imports.swe_agent", "Recorded runs of SWE-agent (.traj): a session and a run a file."),
    Kind("junit", "producers.imports.junit", "JUnit's XML, as most test runners write it: a run a suite."),
    Kind("promptfoo", "producers.imports.promptfoo", "Results of promptfoo: a run a result, with its assertions."),
    Kind("otel", "producers.imports.otel", "OpenTelemetry's traces, OTLP in JSON lines: a run a trace."),
    Kind("runs-json", "producers.imports.runs_json", "An older analysis tool's JSON, a file a run."),
    Kind("sentinel-yaml", "producers.imports.sentinel_yaml", "Test definitions in YAML, one a document."),
)


Files = Annotated[list[Path], typer.Argument(help="The files; a folder stands for every file in it.")]
Tenant = Annotated[str, typer.Option(help="The tenant that they belong to.")]
Source = Annotated[str | None, typer.Option(help="The source of the events; /importers/ and the kind unless named.")]
Start = Annotated[
    datetime | None, typer.Option(help="When it began, UTC, where the file does not say; else from the content.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count the events by type; publish nothing.")]
Verify = Annotated[bool, typer.Option("--verify", help="Read again what was stored; compare counts and sums.")]
Archive = Annotated[Path | None, typer.Option(help="A folder to move each file to, once it is verified whole.")]
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
        output: How = Output.table,
    ) -> None:
        origin = _origin(tenant, source or f"/importers/{kind.name}", start)
        importer: Importer = _module(kind.name, kind.module).read
        Work(importer, origin, settings(), list(_files(files))).do(output, archive, dry_run=dry_run, verify=verify)

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
    jsonl = _module("jsonl", "producers.imports.jsonl")
    try:
        importer: Importer = jsonl.importer(jsonl.mapping(mapping.read_text(encoding="utf-8"), str(mapping)))
    except OSError as error:
        fail(f"{mapping} cannot be read: {error.strerror}", Exit.NOT_FOUND)
    except (jsonl.BadMapping, UnicodeDecodeError) as error:
        fail(printable(str(error)), Exit.USAGE)
    origin = _origin(tenant, source or "/importers/jsonl", start)
    Work(importer, origin, settings(), list(_files(files))).do(output, archive, dry_run=dry_run, verify=verify)


class Work:
    """The files of one command, and what became of them."""

    def __init__(self, importer: Importer, origin: Origin, read: Settings, paths: list[Path]) -> None:
        self._importer, self._origin, self._settings, self._paths = importer, origin, read, paths
        self._files: list[File] = []
        self._failed: set[Path] = set()

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
            fail(f"{len(self._failed)} of {len(self._paths)} files were not imported whole", Exit.SOME_FAILED)

    def count(self, output: Output) -> None:
        """Print how many events there are of each type."""
        for _ in self._records():
            pass
        kinds = sum((file.kinds for file in self._files), Counter[str]())
        print_rows([{"type": t, "events": n} for t, n in sorted(kinds.items())], ["type", "events"], output)

    def publish(self, output: Output) -> None:
        """Publish everything; ends the command when the broker is away."""
        report = send(self._settings, self._records(), None)
        rows = [{"topic": topic, "acknowledged": n} for topic, n in sorted(report.acknowledged.items())]
        print_rows(rows, ["topic", "acknowledged"], output)
        for refused in report.refused:
            self._failed.update(self._paths)  # which of them is not known
            say(printable(refused.reason))
        say(f"imported {len(self._files)} of {len(self._paths)} files, {report.acknowledged.total()} events")

    def verify(self) -> None:
        """Read again what was stored, and name what is not there."""
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
        read = self._settings
        window = TimeWindow(read.oldest_time, read.retention_months)
        for path in self._paths:
            file = File(path)
            try:
                for taken in importing.read(file, self._importer, self._origin, window, read.topic_prefix):
                    if not isinstance(taken, Refused):
                        yield taken
                    elif file.refused <= SHOWN:
                        say(printable(f"{path}: {taken.item}: {taken.reason}"))
            except importing.NotRead as error:
                self._failed.add(path)
                say(printable(str(error)))
            if file.refused:
                self._failed.add(path)
                if file.refused > SHOWN:
                    say(f"{path}: … and {file.refused - SHOWN} more")
            if file.kinds or path not in self._failed:
                self._files.append(file)


def _module(name: str, module: str) -> ModuleType:
    """The module that reads a kind of file: some need what workers do not have."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        needs = "pip install 'siltstone[producers]'"
        fail(f"{name} cannot be imported here ({error.name} is missing): {needs}", Exit.UNAVAILABLE)


def _origin(tenant: str, source: str, start: datetime | None) -> Origin:
    begin = start.replace(tzinfo=UTC) if start is not None and start.tzinfo is None else start
    return Origin(tenant, source, begin)


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        else:
            yield path
