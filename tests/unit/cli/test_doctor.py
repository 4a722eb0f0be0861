"""What `chute doctor` prints: the same rows for a terminal, for a pipe and for programs."""

from __future__ import annotations

import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from chute.cli import doctor as presentation
from chute.cli.diagnosis import UNKNOWN, Diagnosis, FileSystem
from chute.cli.doctor import WIDTH_MIN, as_plain_values, doctor, plain_lines, sections_of, show
from chute.cli.machine import Limit
from chute.errors import ConfigError
from chute.transfer.abilities import Ability, Answer

LONG = "a sentence that is far too long for a line of eighty columns, " * 3


def place(path: str = "/site", sample: str | None = "page", kind: str = "ext4") -> FileSystem:
    return FileSystem(path, sample, kind, "/", "8:1", [Ability("probe", Answer.UNKNOWN, "untried")])


def diagnosis(files: FileSystem | None = None, *, is_low: bool = True) -> Diagnosis:
    return Diagnosis(
        system="Linux 6.0 x86_64",
        python="CPython 3.11.7",
        kernel=[
            Ability("carry", Answer.YES, LONG.strip()),
            Ability("resolve", Answer.NO, "EPERM, Operation not permitted [dim]"),
            Ability("move", Answer.NO, "ENOSYS, not there", is_used=False),
        ],
        files=files or place(),
        interpreter=[Ability("parser", Answer.PARTLY, "half of it")],
        limits=[
            Limit("open files", 1024, "1,024", "too few", is_low=is_low),
            Limit("cores", 2, "2", "usable"),
            Limit("memory", None, "unknown", "cannot be read"),
        ],
    )


def printed(found: Diagnosis, width: int = 80, **settings: object) -> str:
    file = io.StringIO()
    show(found, Console(file=file, width=width, force_terminal=True, **settings))
    return file.getvalue()


def test_lines_are_aligned_and_never_wrapped():
    lines = list(plain_lines(diagnosis()))
    assert lines[0].endswith("on Linux 6.0 x86_64")
    rows = [line for line in lines if line.startswith("  ")]
    assert len(rows) == 8
    assert {(row[12:14], row[21:23]) for row in rows} == {("  ", "  ")}, "columns"
    assert not any(row[at] == " " for row in rows for at in (2, 14, 23)), "begin in one place"
    assert f"  carry       yes      {LONG.strip()}" in lines
    assert lines[-1] == diagnosis().verdict


def test_what_chute_does_not_use_yet_stands_apart():
    titles = {
        section.title: [row.name for row in section.rows] for section in sections_of(diagnosis())
    }
    assert titles == {
        "Kernel": ["carry", "resolve"],
        "Files of /site: ext4 at /, device 8:1, tried with page": ["probe"],
        "Interpreter: CPython 3.11.7": ["parser"],
        "Not used by chute yet": ["move"],
        "Limits": ["open files", "cores", "memory"],
    }


@pytest.mark.parametrize(
    ("files", "title"),
    [
        pytest.param(
            place("/site/page"), "Files of /site/page: ext4 at /, device 8:1", id="a file"
        ),
        pytest.param(place(sample=None), "Files of /site: ext4 at /, device 8:1", id="no file"),
        pytest.param(
            place(sample=None, kind=UNKNOWN),
            "Files of /site: file system unknown, device 8:1",
            id="no mount",
        ),
        pytest.param(
            place("/a\x1b[31mb\n\udcff", sample=None),
            r"Files of /a\x1b[31mb\n\udcff: ext4 at /, device 8:1",
            id="a hostile name",
        ),
    ],
)
def test_place_is_named(files: FileSystem, title: str):
    assert sections_of(diagnosis(files))[1].title == title


def test_name_is_written_in_what_the_output_can_encode(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(presentation.sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii"))
    title = sections_of(diagnosis(place("/caf\xe9")))[1].title
    assert title.startswith(r"Files of /caf\xe9:")


@pytest.mark.parametrize("width", [WIDTH_MIN, 80, 120])
def test_table_fits_the_terminal_and_loses_no_word(width: int):
    text = printed(diagnosis(), width, color_system=None)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(plain_lines(diagnosis())).split()
    assert sorted(text.split()) == sorted(words), "not even one that looks like markup"


def test_colours_tell_loss_from_what_is_no_loss(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    styles = {row.name: row.style for section in sections_of(diagnosis()) for row in section.rows}
    assert styles == {
        "carry": "green",
        "resolve": "bold red",
        "move": "dim",
        "probe": "yellow",
        "parser": "yellow",
        "open files": "yellow",
        "cores": "green",
        "memory": "dim",
    }
    assert "\x1b[1;31mno" in printed(diagnosis(), color_system="standard")


def test_colours_can_be_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31m" not in printed(diagnosis(), color_system="standard")


def test_json_has_the_same_facts():
    values = json.loads(json.dumps(as_plain_values(diagnosis())))
    assert values["kernel"][1] == {
        "name": "resolve",
        "answer": "no",
        "detail": "EPERM, Operation not permitted [dim]",
        "is_used": True,
    }
    assert values["files"]["type"] == "ext4"
    assert values["files"]["abilities"][0]["answer"] == "unknown"
    assert values["limits"][0] == {
        "name": "open files",
        "value": 1024,
        "text": "1,024",
        "detail": "too few",
        "is_low": True,
    }
    assert values["missing"] == ["resolve", "parser"]
    assert values["low"] == ["open files"]
    assert values["verdict"] == diagnosis().verdict


def test_command_prints_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(presentation, "diagnose", lambda path: diagnosis(place(path)))
    result = CliRunner().invoke(doctor, ["/elsewhere"])
    assert result.exit_code == 0, "losses are no failure of the report"
    assert result.stdout.splitlines() == list(plain_lines(diagnosis(place("/elsewhere"))))


def test_command_prints_json_when_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(presentation, "diagnose", lambda path: diagnosis(place(path)))
    result = CliRunner().invoke(doctor, ["--json"])
    assert json.loads(result.stdout) == as_plain_values(diagnosis(place(".")))


def test_command_leaves_a_wrong_path_to_the_command_line():
    with pytest.raises(ConfigError):
        CliRunner().invoke(doctor, ["/no/such/folder"], catch_exceptions=False)
