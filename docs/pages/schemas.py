"""schemas/: what `siltstone schemas` prints, kept for those who do not run it."""

from importlib.metadata import version

from contracts.schemas import as_text, schemas
from workers import asyncapi
from workers.settings import load


def schema_files() -> dict[str, str]:
    """File name to text: one JSON Schema a type, and the AsyncAPI document of an installation without settings."""
    documents = {**schemas(), "asyncapi": asyncapi.document(load({}), version("siltstone"))}
    return {f"{name}.json": as_text(document) for name, document in documents.items()}
