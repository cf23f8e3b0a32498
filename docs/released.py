"""The published types (schemas/released/<version>/), and what today's would break of them (G8, ADR 12).

`python -m docs.released` keeps today's as the snapshot of this version; one that is there is never overwritten.
"""

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from contracts.schemas import as_text, schemas
from contracts.upcast import UPCASTERS
from docs.compatibility import Schema, moved, refused

RELEASED = Path(__file__).parent.parent / "schemas" / "released"

OLD_PRODUCERS = "old producers, whose events today's workers would refuse"
OLD_WORKERS = "old workers, which would refuse what new producers send"
OLD_MEANING = "old producers, whose events would be stored as if they said something else"


def snapshots(folder: Path = RELEASED) -> dict[str, dict[str, Schema]]:
    """The schema of every type, by version of ours and by full name."""
    return {
        release.name: {path.stem: json.loads(path.read_bytes()) for path in sorted(release.glob("*.json"))}
        for release in sorted(folder.iterdir())
        if release.is_dir()
    }


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise to those who publish, or who run older workers, that today's types break."""

    release: str
    type_name: str
    field: str
    what: str
    whom: str

    def __str__(self) -> str:
        stem, _, major = self.type_name.rpartition(".v")
        where = f"{self.type_name}, {self.field}" if self.field else self.type_name
        return (
            f"{where}: {self.what}. This breaks {self.whom}. Keep {self.type_name} as {self.release} published it, "
            f"or make {stem}.v{int(major) + 1} with an upcaster (contracts/upcast.py)."
        )


def breaches(
    released: Mapping[str, Mapping[str, Schema]],
    today: Mapping[str, Schema],
    upcasters: Collection[str] = UPCASTERS.keys(),
) -> list[Breach]:
    """What `today` breaks of each release. A type with an upcaster is no longer compared: its data become another's."""
    return [
        Breach(release, name, field, what, whom)
        for release, types in released.items()
        for name, old in types.items()
        if name not in upcasters
        for field, what, whom in _of_type(old, today.get(name))
    ]


def _of_type(old: Schema, new: Schema | None) -> Iterator[tuple[str, str, str]]:
    if new is None:
        yield "", "the type is no longer accepted", OLD_PRODUCERS
        return
    for whom, broken in (
        (OLD_PRODUCERS, refused(old, new)),
        (OLD_WORKERS, refused(new, old)),
        (OLD_MEANING, moved(old, new)),
    ):
        for one in broken:
            yield one.field, one.what, whom


def release(folder: Path, name: str, today: Mapping[str, Schema]) -> str:
    """Keep today's types as the snapshot `name`; says what was done. Raises ValueError with what is in the way."""
    broken = breaches(snapshots(folder), today)
    if broken:
        raise ValueError("\n".join(map(str, broken)))
    texts = {f"{type_name}.json": as_text(schema) for type_name, schema in today.items()}
    kept = folder / name
    if kept.exists():
        if {path.name: path.read_text(encoding="utf-8") for path in kept.iterdir()} != texts:
            raise ValueError(
                f"schemas/released/{name} is published and never overwritten: "
                "raise the version in pyproject.toml, then: make setup release-schemas"
            )
        return f"schemas/released/{name} is there already, and is what the code gives"
    kept.mkdir(parents=True)
    for file, text in texts.items():
        (kept / file).write_text(text, encoding="utf-8")
    return f"wrote {len(texts)} files to schemas/released/{name}"


def main() -> None:
    """Keep the snapshot of this version."""
    try:
        print(release(RELEASED, version("siltstone"), schemas()))
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
