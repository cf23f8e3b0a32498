"""docs/settings.md, docs/metrics.md."""

from collections.abc import Iterator

from pydantic import SecretStr

from docs.pages.markdown import page, table
from workers.metrics import Metrics
from workers.settings import FILE_SUFFIX, Settings, is_secret, variable_of

OTHERS = {
    "SILTSTONE_STACK_DIR": "where the local stack keeps its data; a folder of the user's unless set",
    "SILTSTONE_TENANT": "the tenant of sessions that `wrap` records, unless it is named there",
    "SILTSTONE_TRACEBACK": "1 shows where an unexpected error came from",
    "SILTSTONE_USE_EXTERNAL": "1 lets `demo` and the tests use KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL, in a database "
    "and a topic prefix of their own; without it they ignore both and start a stack",
    "NO_COLOR": "no colours in what is printed",
}
"""Variables that settings.py does not read."""


def settings() -> str:
    """docs/settings.md."""
    intro = (
        "Environment variables, read once and checked at start; an empty variable is as good as none. "
        f"A secret may also be given as `NAME{FILE_SUFFIX}`, the path of a file that holds it."
    )
    return page("Settings", intro, _settings())


def _settings() -> Iterator[str]:
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
        shown = "" if default is None or default == "" else f"`{str(default).lower() if default is False else default}`"
        secret = f"; also `{variable_of(name)}{FILE_SUFFIX}`" if is_secret(name) else ""
        rows.append((f"`{variable_of(name)}`", shown, (field.description or "") + secret))
    yield from table(("variable", "default", "meaning"), rows)
    yield "\n## Of the program itself\n\nThese are no worker's settings; commands and tests read them."
    yield from table(("variable", "meaning"), [(f"`{name}`", meaning) for name, meaning in OTHERS.items()])


def metrics() -> str:
    """docs/metrics.md."""
    intro = (
        "`/metrics` on `SILTSTONE_HTTP_PORT` gives these in the Prometheus text format; counters end in `_total`, "
        "histograms in `_bucket`, `_sum` and `_count`."
    )
    return page("Metrics", intro, _metrics())


def _metrics() -> Iterator[str]:
    rows = []
    for name, metric in vars(Metrics()).items():
        if name != "registry":
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 - no public name for it
            rows.append((f"`{metric._name}`", metric._type, labels, metric._documentation))  # noqa: SLF001
    yield from table(("metric", "kind", "labels", "meaning"), rows)
