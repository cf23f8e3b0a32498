"""Settings: environment variables, read once, checked at start, passed on as one value."""

import os
import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

FILE_SUFFIX = "_FILE"


class InvalidSettings(Exception):
    """A variable has a value that cannot be used; the message names it and says what is accepted."""


def _variable(name: str, default: Any, description: str, **limits: Any) -> Any:
    return Field(default, validation_alias=AliasChoices(name), description=description, **limits)


class Settings(BaseSettings):
    """Every setting, by the name of its variable. Secrets may also be given as NAME_FILE, a file that holds one."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", case_sensitive=True, populate_by_name=True)

    kafka_bootstrap_servers: str = _variable(
        "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092", "brokers, host:port, by comma"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _variable(
        "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _variable(
        "KAFKA_SASL_MECHANISM", "PLAIN", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_sasl_username: str | None = _variable("KAFKA_SASL_USERNAME", None, "the login for SASL")
    kafka_sasl_password: SecretStr | None = _variable("KAFKA_SASL_PASSWORD", None, "its password")
    kafka_ssl_ca_location: Path | None = _variable("KAFKA_SSL_CA_LOCATION", None, "a PEM file of trusted authorities")
    kafka_ssl_certificate_location: Path | None = _variable(
        "KAFKA_SSL_CERTIFICATE_LOCATION", None, "a PEM file with the client's certificate"
    )
    kafka_ssl_key_location: Path | None = _variable("KAFKA_SSL_KEY_LOCATION", None, "a PEM file with the client's key")
    kafka_group_id: str = _variable(
        "KAFKA_GROUP_ID", "siltstone", "groups are <id>.<family> and <id>.dlq", min_length=1
    )
    kafka_group_instance_id: str | None = _variable(
        "KAFKA_GROUP_INSTANCE_ID", None, "static membership, unique for each worker; off unless set"
    )
    database_url: SecretStr = _variable(
        "DATABASE_URL",
        SecretStr("postgresql+asyncpg://localhost/siltstone"),
        "postgresql+asyncpg://…, with sslmode and sslrootcert as libpq has them",
    )
    migration_database_url: SecretStr | None = _variable(
        "SILTSTONE_MIGRATION_DATABASE_URL", None, "the login that may migrate; DATABASE_URL unless set"
    )
    db_pool_size: int = _variable("DB_POOL_SIZE", 8, "connections kept open", ge=1, le=1000)
    db_max_overflow: int = _variable("DB_MAX_OVERFLOW", 4, "connections above the pool, closed after use", ge=0)
    db_pool_timeout: float = _variable("DB_POOL_TIMEOUT", 30.0, "seconds to wait for a free connection", gt=0)
    db_statement_cache_size: int = _variable(
        "DB_STATEMENT_CACHE_SIZE", 100, "prepared statements a connection; 0 for a pooler that keeps none", ge=0
    )
    db_echo: bool = _variable("DB_ECHO", default=False, description="log the SQL of commands")
    topic_prefix: str = _variable("SILTSTONE_TOPIC_PREFIX", "", "put before every topic's name")
    batch_max_rows: int = _variable("SILTSTONE_BATCH_MAX_ROWS", 4000, "records a transaction", ge=1, le=100_000)
    batch_max_bytes: int = _variable(
        "SILTSTONE_BATCH_MAX_BYTES", 4 * 1024 * 1024, "bytes of values a transaction, and about as many a poll", ge=1024
    )
    batch_wait_ms: int = _variable(
        "SILTSTONE_BATCH_WAIT_MS", 50, "how long an empty poll waits, in milliseconds", ge=1, le=10_000
    )
    max_attempts: int = _variable(
        "SILTSTONE_MAX_ATTEMPTS", 3, "tries before a record that our code fails on is refused", ge=1
    )
    max_redrives: int = _variable("SILTSTONE_MAX_REDRIVES", 3, "redrives before a letter is parked", ge=0)
    dlq_extra_topics: str = _variable(
        "SILTSTONE_DLQ_EXTRA_TOPICS", "", "other systems' dead-letter topics to read too: exact names, by comma"
    )
    oldest_time: datetime = _variable(
        "SILTSTONE_OLDEST_TIME", datetime(2000, 1, 1, tzinfo=UTC), "events before it are refused"
    )
    retention_months: int = _variable(
        "SILTSTONE_RETENTION_MONTHS", 0, "months of logs to keep; 0 keeps all", ge=0, le=1200
    )
    shutdown_timeout_seconds: float = _variable(
        "SILTSTONE_SHUTDOWN_TIMEOUT_SECONDS", 30.0, "seconds to finish what is in flight on SIGTERM", gt=0
    )
    http_port: int = _variable(
        "SILTSTONE_HTTP_PORT", 8080, "health and metrics; 0 picks a free one and logs it", ge=0, le=65535
    )
    spool_folder: Path | None = _variable(
        "SILTSTONE_SPOOL_FOLDER", None, "where `wrap` keeps what is not sent yet; the user's state folder unless set"
    )
    spool_max_bytes: int = _variable(
        "SILTSTONE_SPOOL_MAX_BYTES", 1024 * 1024 * 1024, "bytes of output that one session keeps there at most", ge=4096
    )
    log_format: Literal["json", "console"] = _variable("SILTSTONE_LOG_FORMAT", "json", "json or console")

    @field_validator("oldest_time")
    @classmethod
    def _with_offset(cls, value: datetime) -> datetime:
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        if value.timestamp() < 0:
            raise ValueError("expected a time from 1970 on: a row's key counts milliseconds from there")
        return value

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _are_servers(cls, value: str) -> str:
        if not all(re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?", name.strip()) for name in value.split(",")):
            raise ValueError("expected host:port, by comma")
        return value

    @field_validator("dlq_extra_topics")
    @classmethod
    def _are_topics(cls, value: str) -> str:
        if not all(re.fullmatch(r"[a-zA-Z0-9._-]{1,249}", name) for name in _names(value)):
            raise ValueError("expected names of topics, by comma")
        return value

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            from sqlalchemy.engine import URL, make_url  # noqa: PLC0415 - slow, and where agents run none is set
            from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

            try:
                url = make_url(value.get_secret_value())
            except (ArgumentError, ValueError):  # the latter quotes what stands in the place of a port
                url = URL.create("")
            if url.get_backend_name() != "postgresql":
                raise ValueError("expected postgresql+asyncpg://user:password@host:port/database")
            if root := url.query.get("sslrootcert"):
                _check_authorities(Path(str(root)))
        return value

    @field_validator("kafka_ssl_ca_location")
    @classmethod
    def _holds_authorities(cls, value: Path | None) -> Path | None:
        if value is not None:
            _check_authorities(value)
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """What one variable asks for is there in the others."""
        certificate, key = self.kafka_ssl_certificate_location, self.kafka_ssl_key_location
        is_login = self.kafka_security_protocol.startswith("SASL")
        if is_login and not (self.kafka_sasl_username and self.kafka_sasl_password):
            raise ValueError(f"{self.kafka_security_protocol} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD")
        if certificate or key:
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate or "", key, password="")
            except OSError as error:
                raise ValueError(
                    "KAFKA_SSL_CERTIFICATE_LOCATION and KAFKA_SSL_KEY_LOCATION: expected PEM files of a certificate "
                    f"and of its key, without a password ({type(error).__name__})"
                ) from None
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        *_others: PydanticBaseSettingsSource,
        **_named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Nothing is read but what load() gives: no .env file, no second look at the environment."""
        return (init_settings,)

    @property
    def dlq_extra_topic_names(self) -> list[str]:
        """The other systems' dead-letter topics, each once."""
        return _names(self.dlq_extra_topics)

    @property
    def owner_url(self) -> str:
        """The URL for migrations."""
        return (self.migration_database_url or self.database_url).get_secret_value()


def _check_authorities(path: Path) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ValueError(f"expected a PEM file of certificates ({type(error).__name__})") from None


def _names(listed: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


def variable_of(name: str) -> str:
    """The variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else name


def is_secret(name: str) -> bool:
    """Whether a setting may also come from a file."""
    return "SecretStr" in str(Settings.model_fields[name].annotation)


def variable_names() -> set[str]:
    """Every variable that is read, with the *_FILE form of the secrets."""
    names = {variable_of(name) for name in Settings.model_fields}
    return names | {variable_of(name) + FILE_SUFFIX for name in Settings.model_fields if is_secret(name)}


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of an environment; raises InvalidSettings with the variable's name, never its value."""
    environ = os.environ if environ is None else environ
    given: dict[str, Any] = {}
    for name in Settings.model_fields:
        variable = variable_of(name)
        if environ.get(variable, "") != "":
            given[variable] = environ[variable]
        elif is_secret(name) and environ.get(variable + FILE_SUFFIX):
            given[variable] = _read_secret(variable + FILE_SUFFIX, Path(environ[variable + FILE_SUFFIX]))
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = [": ".join((*map(str, e["loc"]), e["msg"])) for e in error.errors(include_input=False)]
        raise InvalidSettings("these variables cannot be used:\n  " + "\n  ".join(faults)) from None


def _read_secret(variable: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{variable} does not name a file that can be read: {type(error).__name__}") from None
