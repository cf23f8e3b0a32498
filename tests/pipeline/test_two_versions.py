"""Workers of two versions of the program side by side, of which the newer knows a newer version of an event type."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from tests.support.events import event, record
from tests.support.faults import account
from tests.support.installation import Installation

TREE = Path(__file__).parents[2]
EVENTS, RUNS = 3_000, 30
OLDER, NEWER = "file.produced.v1", "file.produced.v2"

DECLARED = '@event("file.produced", Family.execution, log="run_file", about="run")'
FIELD = "    size_bytes: Maybe[Count] = UNSET\n"
NO_UPCASTERS = "UPCASTERS: Mapping[str, Upcaster] = {}\n"
UPCASTERS = """
def _bytes(data: Raw) -> tuple[str, Raw]:
    members = msgspec.json.decode(data, type=dict[str, Raw])
    renamed = {"bytes" if name == "size_bytes" else name: value for name, value in members.items()}
    return "siltstone.file.produced.v2", Raw(msgspec.json.encode(renamed))


UPCASTERS: Mapping[str, Upcaster] = {"siltstone.file.produced.v1": _bytes}
"""


def newer_program(folder: Path) -> Path:
    """A copy of the program in which files have a version 2, whose size is called `bytes`."""
    for package in ("contracts", "persistence", "workers", "alembic"):
        shutil.copytree(TREE / package, folder / package)
    changes = {
        "execution": {
            DECLARED: DECLARED.replace(")", ", version=2)"),
            FIELD: FIELD.replace("UNSET", 'field(default=UNSET, name="bytes")'),
            "from msgspec import ": "from msgspec import field, ",
        },
        "upcast": {NO_UPCASTERS: UPCASTERS, "from msgspec import Raw": "import msgspec\nfrom msgspec import Raw"},
    }
    for name, replaced in changes.items():
        place = folder / f"contracts/{name}.py"
        text = place.read_text(encoding="utf-8")
        for old, new in replaced.items():
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        place.write_text(text, encoding="utf-8")
    return folder


def produced(number: int) -> dict[str, Any]:
    """File `number`: of the newer version every third one."""
    size = "bytes" if number % 3 == 0 else "size_bytes"
    one = event("file.produced", f"run-{number % RUNS}", {"filename": f"f{number}", size: number}, seconds=number)
    return one | {"type": f"siltstone.{NEWER if number % 3 == 0 else OLDER}"}


async def test_two_versions_side_by_side_leave_what_the_newer_would(installation: Installation, tmp_path: Path) -> None:
    """What the older one cannot read waits in the dead letters; redriven, every file is stored once, as it was told."""
    await installation.create_topics()
    old = [installation.worker("--family", "execution", "--consumers", "1") for _ in range(2)]
    newer = {"PYTHONPATH": str(newer_program(tmp_path / "newer"))}
    new = installation.worker("--family", "execution", "--consumers", "2", environment=newer, anew=True)
    await asyncio.gather(*(worker.ready() for worker in (*old, new)))
    await installation.produce(installation.topic("execution"), [record(produced(n)) for n in range(EVENTS)])
    await installation.settled("execution")
    kept = await account(installation, "execution")
    assert kept["stored"] + kept["refused"] == EVENTS
    assert 0 < kept["refused"] < EVENTS // 3, "each of the versions had some of them"
    letters = await installation.letters(kept["refused"])
    assert {(letter["reason"], letter["event_type"]) for letter in letters} == {
        ("schema_unsupported", f"siltstone.{NEWER}")
    }

    assert [await worker.stop() for worker in old] == [0, 0]
    done = await asyncio.to_thread(installation.run, "dlq", "redrive", "--all", "--yes", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = await installation.fetch("SELECT ce_type, filename, size_bytes FROM run_file ORDER BY size_bytes")
    assert rows == [{"ce_type": produced(n)["type"], "filename": f"f{n}", "size_bytes": n} for n in range(EVENTS)]
    assert await installation.fetch("SELECT DISTINCT files::int FROM run") == [{"files": EVENTS // RUNS}]
    assert await installation.value("SELECT count(*) FROM dead_letter WHERE status <> 'resolved'") == 0
    assert await new.stop() == 0
