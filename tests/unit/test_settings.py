"""Settings: read once from variables, checked at start; a wrong one is named, its value never said."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.settings import InvalidSettings, load, variable_names

SECRET = "s3cr3t-canary"  # noqa: S105 - looked for where it must not be


def test_defaults_need_no_environment() -> None:
    """An empty environment gives the documented defaults; an empty variable counts as not set."""
    settings = load({"KAFKA_GROUP_ID": "", "SILTSTONE_BATCH_MAX_ROWS": ""})
    assert settings.kafka_bootstrap_servers == "127.0.0.1:9092"
    assert settings.kafka_group_id == "siltstone"
    assert settings.oldest_time == datetime(2000, 1, 1, tzinfo=UTC)
    assert (settings.max_attempts, settings.max_redrives, settings.retention_months) == (3, 3, 0)
    assert settings.shutdown_timeout_seconds == 30
    assert settings.owner_url == settings.database_url.get_secret_value()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SILTSTONE_BATCH_MAX_ROWS", "0"),
        ("SILTSTONE_BATCH_MAX_ROWS", "many"),
        ("SILTSTONE_BATCH_MAX_BYTES", "1"),
        ("SILTSTONE_MAX_ATTEMPTS", "0"),
        ("SILTSTONE_RETENTION_MONTHS", "-1"),
        ("SILTSTONE_HTTP_PORT", "65536"),
        ("SILTSTONE_LOG_FORMAT", "xml"),
        ("SILTSTONE_OLDEST_TIME", "long ago"),
        ("SILTSTONE_OLDEST_TIME", "1969-12-31T23:59:59Z"),
        ("SILTSTONE_SHUTDOWN_TIMEOUT_SECONDS", "0"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS"),
        ("DB_POOL_SIZE", "0"),
        ("DATABASE_URL", f"mysql://user:{SECRET}@host/db"),
        ("DATABASE_URL", SECRET),
        ("SILTSTONE_MIGRATION_DATABASE_URL", f"http://{SECRET}"),
    ],
)
def test_a_wrong_value_is_named_not_quoted(variable: str, value: str) -> None:
    """A value out of bounds, or of another form, fails at start with the variable's name and without the value."""
    with pytest.raises(InvalidSettings, match=variable) as failed:
        load({variable: value})
    assert SECRET not in str(failed.value)


def test_every_wrong_variable_is_named_at_once() -> None:
    """Two wrong variables are both in the one message."""
    with pytest.raises(InvalidSettings, match=r"(?s)SILTSTONE_MAX_ATTEMPTS.*SILTSTONE_HTTP_PORT"):
        load({"SILTSTONE_HTTP_PORT": "x", "SILTSTONE_MAX_ATTEMPTS": "x"})


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    """NAME_FILE is read without the last newline; NAME itself goes before it; a file that is away is an error."""
    file = tmp_path / "url"
    file.write_text(f"postgresql+asyncpg://u:{SECRET}@h/d\n")
    settings = load(
        {"DATABASE_URL_FILE": str(file), "KAFKA_SASL_PASSWORD": "own", "KAFKA_SASL_PASSWORD_FILE": str(file)}
    )
    assert settings.database_url.get_secret_value() == f"postgresql+asyncpg://u:{SECRET}@h/d"
    assert settings.kafka_sasl_password is not None
    assert settings.kafka_sasl_password.get_secret_value() == "own"
    assert SECRET not in repr(settings)
    with pytest.raises(InvalidSettings, match="DATABASE_URL_FILE"):
        load({"DATABASE_URL_FILE": str(tmp_path / "missing")})


def test_a_time_without_offset_is_utc() -> None:
    """SILTSTONE_OLDEST_TIME as a date alone means midnight UTC; an offset is kept; 1970 itself is accepted."""
    assert load({"SILTSTONE_OLDEST_TIME": "2024-05-01T00:00:00"}).oldest_time == datetime(2024, 5, 1, tzinfo=UTC)
    moved = load({"SILTSTONE_OLDEST_TIME": "2024-05-01T02:00:00+02:00"}).oldest_time
    assert moved - datetime(2024, 5, 1, tzinfo=UTC) == timedelta(0)
    assert load({"SILTSTONE_OLDEST_TIME": "1970-01-01T00:00:00Z"}).oldest_time.timestamp() == 0


def test_settings_are_frozen_and_read_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A given environment is all that counts, and no field can be set later."""
    monkeypatch.setenv("KAFKA_GROUP_ID", "of-the-process")
    settings = load({})
    assert settings.kafka_group_id == "siltstone"
    assert load().kafka_group_id == "of-the-process"
    with pytest.raises(ValidationError):
        settings.kafka_group_id = "other"


def test_only_secrets_have_a_file() -> None:
    """The *_FILE variables are those of the three secrets."""
    assert {name for name in variable_names() if name.endswith("_FILE")} == {
        "DATABASE_URL_FILE",
        "SILTSTONE_MIGRATION_DATABASE_URL_FILE",
        "KAFKA_SASL_PASSWORD_FILE",
    }
