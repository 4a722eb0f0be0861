"""An nginx.conf as statements: its words, its files, and what is wrong with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chute.config.nginx.reading import read
from chute.config.nginx.statements import Statement
from chute.errors import ConfigError


def read_text(folder: Path, text: str) -> tuple[Statement, ...]:
    path = folder / "nginx.conf"
    path.write_text(text)
    return read(str(path))


@pytest.mark.parametrize(
    ("written", "word"),
    [
        pytest.param(r"\.php$", r"\.php$", id="a backslash that escapes nothing"),
        pytest.param(r"a\\b", r"a\b", id="a backslash that is escaped"),
        pytest.param(r'"a \"b\" c"', 'a "b" c', id="quotation marks within quotation marks"),
        pytest.param(r"'it\'s'", "it's", id="an apostrophe"),
        pytest.param(r'"a\tb\n"', "a\tb\n", id="control characters"),
        pytest.param('"a;{}b"', "a;{}b", id="signs that end a directive"),
        pytest.param("${uri}x", "${uri}x", id="a variable in braces"),
        pytest.param('""', "", id="nothing"),
        pytest.param('"ä €"', "ä €", id="letters of other languages"),
    ],
)
def test_word_is_read_as_nginx_reads_it(tmp_path: Path, written: str, word: str):
    assert read_text(tmp_path, f"set $x {written};")[0].arguments == ("$x", word)


def test_statement_knows_its_file_line_and_block(tmp_path: Path):
    statements = read_text(tmp_path, "# a comment\n\nhttp {\n    gzip on; # another\n}\n")
    http = statements[0]
    assert (http.name, http.line, http.file) == ("http", 3, str(tmp_path / "nginx.conf"))
    assert [(inner.written, inner.line) for inner in http.inner] == [("gzip on", 4)]


def test_condition_is_shown_as_it_was_written(tmp_path: Path):
    (statement,) = read_text(tmp_path, 'if ( $http_user_agent ~* "a b" ) { return 403; }')
    assert statement.arguments == ("$http_user_agent", "~*", "a b")
    assert statement.written == 'if ($http_user_agent ~* "a b")'


def test_includes_stand_in_the_place_of_what_they_include(tmp_path: Path):
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "b.conf").write_text("server { listen 2; }\n")
    (tmp_path / "sites" / "a.conf").write_text("server { include more.conf; }\n")
    (tmp_path / "more.conf").write_text("\nlisten 1;\n")
    (http,) = read_text(tmp_path, "http { include sites/*.conf; include none/*.conf; gzip on; }")
    assert [inner.name for inner in http.inner] == ["server", "server", "gzip"]
    listens = [http.inner[0].inner, http.inner[1].inner]
    assert [one.written for (one,) in listens] == ["listen 1", "listen 2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("http {\n gzip on;\n", ':2: unexpected end of file, expecting "}"', id="open"),
        pytest.param("http { }\n}\n", ':2: unexpected "}"', id="closed twice"),
        pytest.param("gzip on", ": the file ends within a directive", id="no semicolon"),
        pytest.param(
            "http {\n  gzip maybe;\n}", ':2: invalid value "maybe" in "gzip" directive', id="value"
        ),
        pytest.param("include absent.conf;", ":1: ", id="an included file that is missing"),
    ],
)
def test_error_is_told_with_file_and_line(tmp_path: Path, text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, text)
    assert f"nginx.conf{message}" in str(caught.value)


def test_file_that_is_missing_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"absent\.conf"):
        read(str(tmp_path / "absent.conf"))


def test_files_that_include_each_other_come_to_an_end(tmp_path: Path):
    (tmp_path / "other.conf").write_text("include nginx.conf;\n")
    with pytest.raises(ConfigError, match="include each other"):
        read_text(tmp_path, "include other.conf;\n")


def test_blocks_within_blocks_come_to_an_end(tmp_path: Path):
    with pytest.raises(ConfigError):
        read_text(tmp_path, "a {" * 2000 + "}" * 2000)


def test_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "crossplane", None)
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, "gzip on;")
    assert caught.value.hint == "pip install 'chute[nginx]'"
