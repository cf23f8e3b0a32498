"""What a file looks like, by how it begins: so that one of another kind is named, and never read as what it is not."""

import re
from typing import NamedTuple

MAX_BEGINNING = 4_096  # bytes that are looked at


class Known(NamedTuple):
    """A kind of file: its name as `siltstone import` has it, or one of our own; what it is; what to do with it."""

    kind: str
    what: str
    remedy: str


_PACKED = (
    (b"\x1f\x8b", "compressed by gzip"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\x00", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_ROOTS = {
    b"testsuites": Known("junit", "JUnit's XML", "siltstone import junit reads it"),
    b"testsuite": Known("junit", "JUnit's XML", "siltstone import junit reads it"),
    b"test-run": Known("nunit", "NUnit's XML", "have the runner write JUnit's XML"),
    b"test-results": Known("nunit", "NUnit's XML", "have the runner write JUnit's XML"),
    b"TestRun": Known("trx", "Visual Studio's TRX", "have the runner write JUnit's XML"),
    b"assemblies": Known("xunit", "xUnit.net's XML", "have the runner write JUnit's XML"),
}
_ROOT = re.compile(rb"<([A-Za-z][\w:.-]*)")
_JSON = (
    ("otel", re.compile(rb'"(?:resourceSpans|resource_spans|scopeSpans|scope_spans|instrumentationLibrarySpans)"\s*:')),
    ("asciicast", re.compile(rb'^\s*\{[^[]*?"version"\s*:\s*[123]\s*,[^[]*?"(?:width|term)"\s*:', re.DOTALL)),
    ("swe-agent", re.compile(rb'"(?:trajectory|trajectory_format|replay_config)"\s*:')),
    ("events", re.compile(rb'"specversion"\s*:')),
    ("promptfoo", re.compile(rb'"(?:evalId|promptIdx|gradingResult|testIdx)"\s*:')),
)
_OF_JSON = {
    "otel": Known("otel", "OpenTelemetry's OTLP in JSON", "siltstone import otel reads it"),
    "asciicast": Known("asciicast", "an asciicast", "siltstone wrap --replay reads it"),
    "swe-agent": Known("swe-agent", "a recorded run of SWE-agent", "siltstone import swe-agent reads it"),
    "events": Known("events", "lines of CloudEvents", "siltstone publish sends them"),
    "promptfoo": Known("promptfoo", "results of promptfoo", "siltstone import promptfoo reads it"),
}
_TIMING = re.compile(rb"(?:[IOHS] )?\d+\.\d+ \d+\r?\n")


def known(beginning: bytes) -> Known | None:
    """What a file that begins so is; None where that is not known, as of texts and of other JSON."""
    for magic, what in _PACKED:
        if beginning.startswith(magic):
            return Known("packed", what, "unpack it first")
    if beginning.startswith(_UTF16):
        return Known("utf-16", "UTF-16", "write it as UTF-8, for example by iconv -f UTF-16 -t UTF-8")
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<"):
        root = _ROOT.search(text)
        return _ROOTS.get(root[1]) if root else None
    if text.startswith((b"{", b"[")):
        return next((_OF_JSON[kind] for kind, form in _JSON if form.search(text)), None)
    if _TIMING.match(text):
        return Known("timing", "the timing file of script", "give the typescript beside it")
    return None


def unreadable(beginning: bytes) -> str | None:
    """Why no line of a file that begins so can be read, whatever it holds, and what to do; None where one may be."""
    found = known(beginning)
    return f"it is {found.what}: {found.remedy}" if found and found.kind in ("packed", "utf-16") else None


def otherwise(beginning: bytes, *expected: str) -> str | None:
    """What a file that begins so is instead of one of these kinds, and what to do; None where it may be one."""
    found = known(beginning)
    return None if found is None or found.kind in expected else f"it is {found.what}: {found.remedy}"
