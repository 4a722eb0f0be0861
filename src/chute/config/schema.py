"""The JSON schema of `chute.toml`, for editors (taplo, Even Better TOML)."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from chute.config import document
from chute.config.descriptions import describe, summary
from chute.config.document import Document, Table
from chute.config.quantities import Quantity

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def render_schema() -> str:
    """Return the schema as JSON."""
    return json.dumps(make_schema(), indent=2)


def make_schema() -> dict[str, Any]:
    """Return the schema."""
    schema = msgspec.json.schema(Document, schema_hook=_schema_of_quantity)
    for name, definition in schema["$defs"].items():
        table = getattr(document, name, None)
        if isinstance(table, type) and issubclass(table, Table):
            definition["description"] = summary(table)
            descriptions = describe(table)
            for key, inner in definition["properties"].items():
                _without_null(inner)
                inner["description"] = descriptions[key]
    return {"$schema": DIALECT, "title": "chute.toml", **schema}


def _schema_of_quantity(kind: type) -> dict[str, Any]:
    if not issubclass(kind, Quantity):
        raise NotImplementedError(kind)
    return {
        "anyOf": [{"type": "string", "pattern": kind.pattern}, {"type": "number", "minimum": 0}]
    }


def _without_null(inner: dict[str, Any]) -> None:
    """TOML has no null: what is left out is left out."""
    if inner.get("default", "") is None:
        del inner["default"]
    options = inner.get("anyOf")
    if options is None:
        return
    options = [option for option in options if option != {"type": "null"}]
    if len(options) == 1:
        del inner["anyOf"]
        inner.update(options[0])
    else:
        inner["anyOf"] = options
