"""The kinds of files that `siltstone import` reads, each a command."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of file: the command's name, the module that reads it, what it is, and how its files' names end."""

    name: str
    module: str
    what: str
    endings: tuple[str, ...]


KINDS = (
    Kind(
        "swe-agent",
        "producers.imports.swe_agent",
        "Recorded runs of SWE-agent and mini-swe-agent (.traj): a session and a run a file.",
        (".traj", ".traj.json"),
    ),
    Kind("junit", "producers.imports.junit", "JUnit's XML, as most test runners write it: a run a suite.", (".xml",)),
    Kind(
        "promptfoo",
        "producers.imports.promptfoo",
        "Results of promptfoo: a run a result, with its assertions.",
        (".json", ".jsonl"),
    ),
    Kind(
        "otel",
        "producers.imports.otel",
        "OpenTelemetry's traces, OTLP in JSON: a run a trace.",
        (".json", ".jsonl", ".ndjson"),
    ),
    Kind("runs-json", "producers.imports.runs_json", "An older analysis tool's JSON, a file a run.", (".json",)),
    Kind(
        "sentinel-yaml",
        "producers.imports.sentinel_yaml",
        "Test definitions in YAML, one a document.",
        (".yaml", ".yml"),
    ),
)
LINES = (".jsonl", ".ndjson", ".log")
