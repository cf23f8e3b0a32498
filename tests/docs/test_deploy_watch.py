"""The dashboard and the alerts of deploy/: every metric, label and value in them is one that a worker gives."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.test_docs import anchors
from workers import kafka
from workers.metrics import Metrics
from workers.settings import load

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "siltstone.json").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
PROMETHEUS = ROOT / "deploy" / "prometheus"
RULES = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERT_TESTS = yaml.safe_load((PROMETHEUS / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
EXPRESSIONS = {
    **{f"{p['title']}, {t['refId']}": t["expr"] for p in PANELS for t in p["targets"]},
    **{rule["alert"]: rule["expr"] for rule in RULES},
}
OF_PROMETHEUS = {"job", "instance"}  # labels that a scrape adds
OPERATORS = {"and", "or", "unless"}
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
SERIES = re.compile(r"\b([a-z]\w*)(?:\{([^}]*)\})?(?!\w|\s*\()")


def rendered() -> dict[str, set[str]]:
    """Every sample that `/metrics` gives, with its labels."""
    metrics = Metrics()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase) and metric._labelnames:
            metric.labels(*("1" for _ in metric._labelnames))
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    return {sample.name: set(sample.labels) for family in families for sample in family.samples}


def meanings() -> dict[str, str]:
    """What is written of each sample's metric, where the values of labels are listed."""
    families = text_string_to_metric_families(generate_latest(Metrics().registry).decode())
    said = {family.name: family.documentation for family in families}
    return {name: next(text for start, text in said.items() if name.startswith(start)) for name in rendered()}


SAMPLES, MEANINGS = rendered(), meanings()


def series(expression: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Each metric that an expression names, with the matchers of its labels."""
    bare = re.sub(r"\[[^\]]*\]", "", GROUPING.sub("", expression))
    for name, matchers in SERIES.findall(bare):
        if name not in OPERATORS:
            yield name, MATCHER.findall(matchers)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_asks_for_what_workers_give(name: str) -> None:
    """Each metric is a sample of `/metrics`; each label is one of its own, or of a scrape."""
    asked = list(series(EXPRESSIONS[name]))
    assert asked
    assert {metric for metric, _ in asked} - set(SAMPLES) == set()
    for metric, matchers in asked:
        assert {label for label, _, _ in matchers} - SAMPLES[metric] - OF_PROMETHEUS == set()
        unknown = [
            value for label, sign, value in matchers if sign == "=" and label not in OF_PROMETHEUS
            and not re.search(rf"\b{re.escape(value)}\b", MEANINGS[metric])
        ]  # fmt: skip
        assert unknown == []
    grouped = {label.strip() for labels in GROUPING.findall(EXPRESSIONS[name]) for label in labels.split(",")}
    known = {label for metric, _ in asked for label in SAMPLES[metric]}
    assert grouped - known - OF_PROMETHEUS == set()


def test_a_counter_is_asked_for_its_rate_and_a_quantile_for_its_buckets() -> None:
    """A counter stands in rate() or max_over_time(), a histogram's quantile keeps `le`."""
    for name, expression in EXPRESSIONS.items():
        for quantile in re.findall(r"histogram_quantile\((.*)\)$", expression, flags=re.MULTILINE):
            assert re.search(r"by \([^)]*\ble\b[^)]*\) \(rate\(\w+_bucket\b", quantile), name
        bare = re.findall(r"(?<!rate\()(?<!max_over_time\()\bsiltstone_\w+(?:_total|_bucket|_count|_sum)\b", expression)
        assert set(bare) <= {"siltstone_lost_records_total"}, name  # its first sample is its first loss


def test_the_dashboard_shows_every_metric() -> None:
    """Each metric of a worker is in a panel."""
    shown = {metric for panel in PANELS for target in panel["targets"] for metric, _ in series(target["expr"])}
    wanted = {metric.name for metric in Metrics().registry.collect()}
    assert {name for name in wanted if not any(sample.startswith(name) for sample in shown)} == set()


def test_every_panel_says_what_it_shows() -> None:
    """A panel has a title of its own, a description, a unit, and the data source that the variable names."""
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}
        legends = {label for t in panel["targets"] for label in re.findall(r"{{(\w+)}}", t["legendFormat"])}
        assert legends <= {
            g.strip() for t in panel["targets"] for gs in GROUPING.findall(t["expr"]) for g in gs.split(",")
        }
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    metric, label = re.findall(r"label_values\((\w+), (\w+)\)", variables["job"]["query"]["query"])[0]
    assert (metric in SAMPLES, label in OF_PROMETHEUS) == (True, True)


def test_topics_of_dead_letters_are_told_from_those_of_events() -> None:
    """What leaves out dead letters' topics matches all of these and no event's topic, with a prefix or without."""
    patterns = {
        value for e in EXPRESSIONS.values() for _, matchers in series(e) for _, sign, value in matchers if sign == "!~"
    }
    assert len(patterns) == 1
    for prefix in ("", "eu."):
        read = load({"SILTSTONE_TOPIC_PREFIX": prefix})
        assert all(re.fullmatch(p, topic) for p in patterns for topic in kafka.dlq_topics(read).values())
        assert not any(re.fullmatch(p, topic) for p in patterns for topic in kafka.topics(read).values())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_happened_and_what_to_do(rule: dict[str, Any]) -> None:
    """An alert has a severity, a summary, a description, and a section of the runbook that is there."""
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert len(rule["annotations"]["summary"]) <= 80 < len(rule["annotations"]["description"])
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert file == "docs/runbook.md"
    assert anchor in anchors(ROOT / file)
    used = {label for text in rule["annotations"].values() for label in re.findall(r"\$labels\.(\w+)", text)}
    kept = {label.strip() for labels in GROUPING.findall(rule["expr"]) for label in labels.split(",")}
    assert used <= kept


def test_every_alert_is_tried_and_explained() -> None:
    """Each alert fires in alerts.test.yaml, where all series are ones that workers give, and is in the page."""
    samples = [s for t in ALERT_TESTS for e in t["promql_expr_test"] for s in e["exp_samples"]]
    fired = {value for s in samples for label, _, value in MATCHER.findall(s["labels"]) if label == "alertname"}
    names = [rule["alert"] for rule in RULES]
    assert sorted(fired) == sorted(names)
    for text in {entry["series"] for t in ALERT_TESTS for entry in t["input_series"]}:
        [(metric, matchers)] = series(text)
        assert {label for label, _, _ in matchers} == SAMPLES[metric] | OF_PROMETHEUS, text
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Siltstone\w+)`", page, flags=re.MULTILINE) == names


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not on PATH: Prometheus' own check is left out"
)
def test_promtool_takes_the_alerts_and_their_tests_if_it_is_installed() -> None:
    """The rules parse, and each alert fires and stays silent when alerts.test.yaml says so."""
    for arguments in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"]):
        done = subprocess.run(
            ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
