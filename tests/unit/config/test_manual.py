"""The manual of `chute.toml`: it says what is so, and the file in `docs` says the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from chute.config.decode import decode
from chute.config.descriptions import Place, first_places, keys_of
from chute.config.document import FilesTable, LimitsTable
from chute.config.file_options import to_options
from chute.config.manual import EXAMPLE, default_values, render_manual, show_value
from chute.config.quantities import Duration, decode_quantity
from chute.config.resolve import load_text

FILE = Path(__file__).resolve().parents[3] / "docs" / "configuration.md"

MANUAL = render_manual()

BLOCKS = re.findall(r"```toml\n(.*?)```", MANUAL, re.DOTALL)


def shown_defaults(table: type) -> str:
    lines = (f"{key} = {show_value(value)}" for key, value in default_values(table).items())
    return "\n".join(lines)


def test_file_in_docs_is_the_manual():
    shown = FILE.read_text("utf-8")
    assert shown == MANUAL, "run: python -m chute.config.manual > docs/configuration.md"


def test_manual_has_the_example_in_it():
    assert EXAMPLE in BLOCKS
    assert len(BLOCKS) == 3


@pytest.mark.parametrize("text", BLOCKS, ids=["the shortest", "the example", "a rewrite"])
def test_what_the_manual_shows_can_be_decoded(text: str):
    whole = f"[[site]]\n{text}" if text.startswith("[[site.") else text
    assert decode(tomllib.loads(whole))[1] == []


def test_example_is_a_configuration_that_can_be_used(tmp_path: Path):
    text = EXAMPLE.replace("/srv/www", str(tmp_path))
    config = load_text(str(tmp_path / "chute.toml"), text, {}, cores=3)
    assert config.workers == 3
    assert [site.names for site in config.sites] == [("example.org", "www.example.org")]


def test_every_key_has_a_row_beneath_its_table():
    sections = dict(re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", MANUAL, re.MULTILINE | re.DOTALL))
    for place in first_places():
        section = sections.pop(f"`{place.header}`" if place.header else "Before all tables")
        rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
        own = [key.name for key in keys_of(place.table).values() if not key.is_inherited]
        assert rows == own
    assert sections == {}


def test_rows_have_as_many_cells_as_their_headings():
    for line in MANUAL.partition("## All tables and keys")[2].splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 4


def test_links_lead_to_headings():
    headings = re.findall(r"^#+ (.*)$", MANUAL, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9_ -]", "", each.lower()).replace(" ", "-") for each in headings}
    links = set(re.findall(r"\(#([^)]*)\)", MANUAL))
    assert links
    assert links <= anchors


@pytest.mark.parametrize("place", first_places(), ids=lambda place: place.header or "top")
def test_defaults_are_of_keys_that_there_are_and_of_their_kind(place: Place):
    types = get_type_hints(place.table)
    for key, value in tomllib.loads(shown_defaults(place.table)).items():
        msgspec.convert(value, types[key], dec_hook=decode_quantity)


def test_stated_defaults_of_files_change_nothing():
    written = tomllib.loads(f"[defaults.files]\n{shown_defaults(FilesTable)}")
    document, problems = decode(written)
    assert problems == []
    assert document is not None
    assert document.defaults is not None
    table = document.defaults.files
    assert table is not None
    found: list[object] = []
    stated = to_options(table, "/srv", lambda *problem: found.append(problem))
    unstated = to_options(FilesTable(), "/srv", lambda *problem: found.append(problem))
    assert found == []
    # What is tried by default is said by no candidates at all.
    assert stated.try_files == ("$uri", "$uri/")
    assert {**as_dict(stated), "try_files": ()} == as_dict(unstated)


def test_stated_defaults_of_limits_change_nothing(tmp_path: Path):
    site = f"[[site]]\nroot = '{tmp_path}'\n"
    file = str(tmp_path / "chute.toml")
    stated = load_text(file, f"[limits]\n{shown_defaults(LimitsTable)}\n{site}", {})
    assert stated == load_text(file, site, {})


def test_values_are_shown_as_toml_has_them():
    assert show_value(("a", 'b"')) == '["a", "b\\""]'
    assert show_value(True) == "true"
    assert show_value(Duration(90.0)) == '"90s"'


def as_dict(options: object) -> dict[str, object]:
    return {name: getattr(options, name) for name in type(options).__struct_fields__}
