"""The JSON schema of `chute.toml`, for editors that complete and check as one types (taplo, Even Better TOML).

msgspec knows the types; the descriptions are those of the manual. What TOML cannot say (null) is taken out again, and
where a word or a quantity is expected, the environment may stand as well: `"${CHUTE_LINKS:-beneath}"`.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from chute.config.descriptions import first_places, keys_of, summary
from chute.config.document import Document
from chute.config.quantities import Duration, Quantity

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_FROM_ENVIRONMENT = {"type": "string", "pattern": r"\$\{[A-Z_][A-Z0-9_]*(:-[^}]*)?\}"}


def render_schema() -> str:
    """Return the schema as JSON."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


def make_schema() -> dict[str, Any]:
    """Return the schema (JSON Schema, draft 2020-12)."""
    made = msgspec.json.schema(Document, schema_hook=_quantity)
    definitions = made.pop("$defs")
    for place in first_places():
        table = definitions[place.table.__name__]
        table["title"] = place.header or "chute.toml"
        table["description"] = summary(place.table)
        for name, key in keys_of(place.table).items():
            # An object of its own: beside a "$ref" a description would be that of every key that refers there.
            table["properties"][name] = {
                "description": f"{key.text[:1].upper()}{key.text[1:]}.",
                **_without_null(table["properties"][name]),
            }
    root = definitions.pop("Document")
    return {"$schema": DIALECT, **root, "$defs": definitions}


def _quantity(kind: type) -> dict[str, Any]:
    if not issubclass(kind, Quantity):
        raise NotImplementedError(kind)
    number = "number" if issubclass(kind, Duration) else "integer"
    return {
        "anyOf": [
            {"type": "string", "pattern": kind.pattern},
            {"type": number, "minimum": 0},
            _FROM_ENVIRONMENT,
        ]
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value, all the way down, as TOML has it."""
    rest = {
        name: inner for name, inner in schema.items() if name not in ("anyOf", "enum", "default")
    }
    if schema.get("default"):
        rest["default"] = schema["default"]
    for name in ("items", "additionalProperties"):
        if isinstance(rest.get(name), dict):
            rest[name] = _without_null(rest[name])
    choices: list[dict[str, Any]] = []
    for each in schema.get("anyOf", ()):
        if each != {"type": "null"}:
            inner = _without_null(each)
            choices += inner["anyOf"] if set(inner) == {"anyOf"} else [inner]
    if "enum" in schema:
        choices += [{"enum": schema["enum"]}, _FROM_ENVIRONMENT]
    if len(choices) == 1:
        return {**rest, **choices[0]}
    return {**rest, "anyOf": choices} if choices else rest


if __name__ == "__main__":
    print(render_schema(), end="")
