"""What `chute check` says, as its reader sees it: the line, the place, what is wrong, and what to do instead."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from chute.config.problems import InvalidConfig
from chute.config.resolve import load_config
from chute.errors import ConfigError

WRONG = Path(__file__).resolve().parents[2] / "support" / "wrong_files"

SITE = '\n[[site]]\nroot = "www"\n'


def told(place: Path, files: dict[str, str], environ: dict[str, str] | None = None) -> list[str]:
    """Return the problems of `chute.toml` among `files`, without the name of the folder."""
    (place / "www").mkdir(exist_ok=True)
    for name, text in files.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(text)
    with pytest.raises(InvalidConfig) as caught:
        load_config(str(place / "chute.toml"), environ or {})
    return [str(problem).replace(f"{place}/", "") for problem in caught.value.problems]


def test_every_problem_of_a_file_is_told_in_one_run(tmp_path: Path):
    """Each line of the list is a line of `chute check`; the file has nearly everything wrong that a file can have."""
    shutil.copy(WRONG / "chute.toml", tmp_path)
    expected = (WRONG / "told.txt").read_text().splitlines()
    (tmp_path / "www").mkdir()
    with pytest.raises(InvalidConfig) as caught:
        load_config(str(tmp_path / "chute.toml"), {})
    assert [
        str(problem).replace(f"{tmp_path}/chute.toml:", "").replace(f"{tmp_path}/", "PLACE/")
        for problem in caught.value.problems
    ] == expected


ONE_BY_ONE = {
    "nothing in it": (
        {"chute.toml": ""},
        ['chute.toml:1: there is no site (a [[site]] with root = "/srv/www" serves that folder)'],
    ),
    "no TOML": (
        {"chute.toml": "workers = 1\nnonsense\n"},
        ["chute.toml:2: this is no TOML: expected '=' after a key in a key/value pair"],
    ),
    "no end": (
        {"chute.toml": 'x = "'},
        ["chute.toml: this is no TOML: unterminated string"],
    ),
    "one key in two files": (
        {
            "chute.toml": 'include = ["more.toml"]\nworkers = 1' + SITE,
            "more.toml": "workers = 2",
        },
        ["more.toml:1: workers: workers is 2 here, and 1 in chute.toml (say it once)"],
    ),
    "one listener in two files": (
        {
            "chute.toml": 'include = ["more.toml"]\n[listener.a]\nbind = ":1"' + SITE,
            "more.toml": '[listener.a]\nbind = ":2"',
        },
        ["more.toml:1: listener.a: a listener 'a' is there already (rename one)"],
    ),
    "one format in two files": (
        {
            "chute.toml": 'include = ["more.toml"]\nlog_format = { a = "1" }' + SITE,
            "more.toml": 'log_format = { a = "2" }',
        },
        ["more.toml:1: log_format.a: a format 'a' is there already (rename it)"],
    ),
    "one map in two files": (
        {
            "chute.toml": 'include = ["more.toml"]\nmap = { a = { source = "$uri" } }' + SITE,
            "more.toml": 'map = { a = { source = "$uri" } }',
        },
        ["more.toml:1: map.a: $a is defined twice (give one of the two another name)"],
    ),
    "one site in two files": (
        {
            "chute.toml": 'include = ["sites/*.toml"]\n[[site]]\nnames = ["a.b"]\nroot = "www"',
            "sites/b.toml": '\n[[site]]\nnames = [\n  "x",\n  ".a.b",\n]\nroot = "../www"',
        },
        [
            "sites/b.toml:5: site[0].names[1]: '.a.b' is a name of the site 'a.b' already (a name leads to one site)"
        ],
    ),
    "file that includes itself": (
        {"chute.toml": 'include = ["a.toml"]' + SITE, "a.toml": 'include = ["chute.toml"]'},
        [
            "a.toml:1: include[0]: chute.toml is part of the configuration already (name it once)"
        ],
    ),
    "pattern without a file": (
        {"chute.toml": 'include = ["?none/*.toml", "sites/*.toml"]' + SITE},
        [
            ("chute.toml:1: include[1]: no file is called 'sites/*.toml' (check the spelling, or write '?' before a "
            "pattern that may match nothing)")
        ],
    ),
    "folder that is included": (
        {"chute.toml": 'include = ["www"]' + SITE},
        [
            "chute.toml:1: include[0]: cannot read 'www': Is a directory (name a chute.toml with --config)"
        ],
    ),
    "environment that is not set": (
        {"chute.toml": '[[site]]\nroot = "${NOWHERE}"\nfields = { A = "${HERE:-there} $${NO}" }'},
        ["chute.toml:2: site[0].root: the environment variable NOWHERE is not set"],
    ),
    "group that is not there": (
        {"chute.toml": '[listener.a]\nbind = "unix:s"\nowner = ":nobodies"' + SITE},
        ["chute.toml:1: listener.a: there is no group 'nobodies' (check the spelling)"],
    ),
    "location without a root": (
        {"chute.toml": '[[site]]\n[[site.location]]\nmatch = "/a/"'},
        [
            ("chute.toml:2: site[0].location[0]: this location serves files, and there is no root to find them in (add "
            "root, or one of redirect, respond, app, proxy)")
        ],
    ),
    "folder named by a variable": (
        {"chute.toml": '[[site]]\nroot = "/srv/$host"'},
        [
            ("chute.toml:2: site[0].root: a folder cannot be named by variables (make a site, or a location, for each "
            "folder)")
        ],
    ),
    "uploads for one file": (
        {"chute.toml": '[[site]]\nroot = "chute.toml"\nfiles = { upload = true }'},
        ["chute.toml:3: site[0].files.upload: one file takes no uploads (name a folder)"],
    ),
    "uploads from everybody": (
        {
            "chute.toml": '[listener.a]\nbind = ":8080"\n[[site]]\nroot = "www"\n[[site.location]]\nmatch = "/in/"\n'
            "files = { upload = true }"
        },
        [
            (
                "chute.toml:5: site[0].location[0]: upload at :8080 would let anybody who reaches it send files (add "
                "auth, or listen at 127.0.0.1)"
            )
        ],
    ),
    "nobody could come in": (
        {"chute.toml": '[[site]]\nroot = "www"\nauth = {}'},
        [
            ('chute.toml:3: site[0].auth: nobody could come in (add users = ["USER:HASH"], or file; "off" lets '
            "everybody in)")
        ],
    ),
    "what all sites start with": (
        {"chute.toml": '[defaults]\nfields = { X = "$nope" }\n[defaults.files]\nindex = [""]' + SITE},
        [
            ("chute.toml:2: defaults.fields.X: there is no variable $nope (set it, define a [map], or write $$ for a "
            "dollar sign)"),
            "chute.toml:4: defaults.files.index[0]: '' is no name of a file (for example \"index.html\")",
        ],
    ),
    "key of another server": (
        {"chute.toml": '[[site]]\nserver_name = ["a"]\nroot = "www"\nlistening = true'},
        [
            "chute.toml:2: site[0].server_name: [[site]] has no key 'server_name' (did you mean 'names'?)",
            "chute.toml:4: site[0].listening: [[site]] has no key 'listening' (did you mean 'listeners'?)",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "expected"), ONE_BY_ONE.values(), ids=ONE_BY_ONE)
def test_problem_is_told_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: list[str]
):
    monkeypatch.chdir(tmp_path)
    assert told(tmp_path, files) == expected


def test_file_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"cannot read '.*none\.toml': No such file") as caught:
        load_config(str(tmp_path / "none.toml"), {})
    assert caught.value.hint == "name a chute.toml with --config"


def test_file_that_is_no_text_is_told_with_the_line(tmp_path: Path):
    (tmp_path / "chute.toml").write_bytes(b"workers = 1\n# caf\xe9\n")
    with pytest.raises(InvalidConfig, match=r"chute.toml:2: this is not UTF-8"):
        load_config(str(tmp_path / "chute.toml"), {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_that_may_not_be_read_is_told(tmp_path: Path):
    (tmp_path / "closed").mkdir(mode=0)
    lines = told(tmp_path, {"chute.toml": '[[site]]\nroot = "closed"'})
    assert lines == [
        "chute.toml:2: site[0].root: cannot read the folder 'closed' (check its permissions)"
    ]
