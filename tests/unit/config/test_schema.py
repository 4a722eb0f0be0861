"""The JSON schema for editors. It is checked with `jsonschema` where that is installed."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator

import pytest

from chute.config.decode import decode
from chute.config.descriptions import first_places, keys_of
from chute.config.manual import EXAMPLE
from chute.config.schema import DIALECT, make_schema, render_schema

SCHEMA = make_schema()

GOOD = {
    "nothing": "",
    "the example of the manual": EXAMPLE,
    "a word or a number": 'workers = "auto"',
    "a number or a word": "workers = 4",
    "quantities": '[limits]\nhead_timeout = "1h30m"\nsend_timeout = 2.5\nhead_max = "64K"\nchunk_max = 512',
    "a rate": '[defaults.files]\nlimit_rate = "1 MiB/s"\nlimit_rate_after = "10 MB"',
    "truth or a table": "[defaults.files]\nupload = true",
    "a table or truth": '[defaults.files.upload]\nmax = "1 GiB"',
    "off": '[defaults]\nauth = "off"\nlog = "off"\ncors = { origins = "*" }',
    "several logs": '[[defaults.log]]\npath = "-"\nsample = 1\n[[defaults.log]]\npath = "a"\nsample = 0.5',
    "text or a table": "[log_format]\na = '$uri'\n[log_format.b]\ntemplate = '$uri'",
    "locations in locations": '[[site]]\n[[site.location]]\nmatch = "/a/"\n'
    '[[site.location.location]]\nmatch = "/a/b/"\nrespond = { status = 204 }',
}

BAD = {
    "an unknown key": "wrokers = 4",
    "an unknown key further down": "[defaults.files]\nlistings = true",
    "an unknown table": "[files]\nlisting = true",
    "another kind": 'debug_headers = "yes"',
    "a table for an array": '[site]\nroot = "/"',
    "an array for a table": '[[listener]]\nbind = ":80"',
    "a key without a name": '[listener]\nbind = ":80"',
    "an unknown word": '[defaults.files]\nlinks = "benath"',
    "no quantity": '[limits]\nhead_timeout = "1x"',
    "half a byte": "[limits]\nhead_max = 1.5",
    "less than nothing": "[limits]\nhead_max = -1",
    "a missing key": "[listener.web]\nmode = '0660'",
    "a missing key further down": "[[site]]\n[[site.location]]\nrespond = 200",
    "another kind in an array": "include = [1]",
    "another kind in a table": "[defaults.fields]\nX-A = 1",
    "truth for a quantity": "[defaults.files]\nvalid = true",
}


def all_schemas(value: object) -> Iterator[dict[str, object]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from all_schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from all_schemas(inner)


def is_valid(document: object) -> bool:
    jsonschema = pytest.importorskip("jsonschema")
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(document))


def test_schema_is_one_of_its_dialect():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_schema_and_decoder_allow(text: str):
    value = tomllib.loads(text)
    assert decode(value)[1] == []
    assert is_valid(value)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_schema_and_decoder_refuse(text: str):
    value = tomllib.loads(text)
    assert decode(value)[1]
    assert not is_valid(value)


@pytest.mark.parametrize("written", ["${MIN}", "${MIN_1:-8K}"])
def test_schema_allows_the_environment_for_a_quantity_and_a_word(written: str):
    files = {"sendfile_min": written, "links": written}
    assert is_valid({"defaults": {"files": files}})


def test_schema_takes_no_variable_of_a_request_for_the_environment():
    assert not is_valid({"defaults": {"files": {"sendfile_min": "${min}"}}})


def test_schema_says_what_it_is():
    assert (SCHEMA["$schema"], SCHEMA["title"]) == (DIALECT, "chute.toml")
    assert json.loads(render_schema()) == SCHEMA


def test_schema_knows_no_null():
    for schema in all_schemas(SCHEMA):
        assert schema.get("type") != "null"
        assert None not in schema.values()


def test_every_table_is_closed_and_every_key_described():
    tables = {**SCHEMA["$defs"], "Document": SCHEMA}
    for place in first_places():
        table = tables.pop(place.table.__name__)
        assert table["additionalProperties"] is False
        assert table["description"]
        assert "Attributes:" not in table["description"]
        for name, key in keys_of(place.table).items():
            shown = table["properties"][name]["description"]
            assert shown.lower() == f"{key.text.lower()}."
    assert tables == {}


def test_every_reference_leads_somewhere():
    references = {schema["$ref"] for schema in all_schemas(SCHEMA) if "$ref" in schema}
    assert references == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}
