"""The last run in results_peers.csv as a picture; run by the Python of `.bench/venv`: CSV, PNG."""

import csv
import sys
from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt  # type: ignore[import-not-found]

COLOURS = {"Siltstone": "#2b6cb0", "limit": "#a0aec0"}
PEER = "#dd9b4b"


def colour(title: str) -> str:
    """Ours, a limit's, or a peer's."""
    return next((c for name, c in COLOURS.items() if title.startswith(name)), PEER)


def draw(lines: list[dict[str, str]], to: Path) -> None:
    """Throughput, and latency where it was measured."""
    late = sorted((line for line in lines if line["p50_ms"]), key=lambda line: -number(line["p99_ms"]))
    panels = 2 if late else 1
    ratios = (3, 2)[:panels]
    figure, places = plt.subplots(
        1, panels, figsize=(13, 4.2), width_ratios=ratios, layout="constrained", squeeze=False
    )
    left, *right = places[0]
    draw_rates(
        left, sorted((line for line in lines if line["rows_per_s"]), key=lambda line: number(line["rows_per_s"]))
    )
    if late:
        draw_latencies(right[0], late)
    one = lines[0]
    figure.suptitle(
        f"{int(one['events']):,} events from Kafka {one['kafka']} into PostgreSQL {one['postgres']}, "
        f"{one['cores']} cores for everything, {one['at'][:10]}"
    )
    for axes in (left, *right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(to, dpi=110)


def draw_rates(axes: Any, lines: list[dict[str, str]]) -> None:
    """A bar each, with the least and the most of its rounds."""
    rates = [number(line["rows_per_s"]) for line in lines]
    below = [rate - number(line["min"]) for rate, line in zip(rates, lines, strict=True)]
    above = [number(line["max"]) - rate for rate, line in zip(rates, lines, strict=True)]
    titles = [line["system"] for line in lines]
    bars = axes.barh(titles, rates, xerr=(below, above), color=[colour(title) for title in titles], ecolor="#4a5568")
    axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=6)
    axes.margins(x=0.15)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("rows a second: median, least and most of the rounds")


def draw_latencies(axes: Any, lines: list[dict[str, str]]) -> None:
    """Two bars each."""
    places = range(len(lines))
    for name, offset, alpha in (("p99", 0.2, 1.0), ("p50", -0.2, 0.5)):
        values = [number(line[f"{name}_ms"]) for line in lines]
        colours = [colour(line["system"]) for line in lines]
        bars = axes.barh([place - offset for place in places], values, 0.4, color=colours, alpha=alpha)
        axes.bar_label(bars, [f"{name} {value:,.0f}" for value in values], padding=4)
    titles = [f"{line['system'].split(',')[0]}\nat {number(line['latency_at_per_s']):,.0f} a second" for line in lines]
    axes.set_yticks(list(places), titles)
    axes.margins(x=0.25)
    axes.set_xlabel("milliseconds from publishing to the committed row")


def number(text: str) -> float:
    """Not a number where nothing was found."""
    return float(text or "nan")


def main(results: Path, to: Path) -> None:
    """Draw the lines with the last moment in the file."""
    with results.open(newline="") as file:
        lines = list(csv.DictReader(file))
    draw([line for line in lines if line["at"] == lines[-1]["at"]], to)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
