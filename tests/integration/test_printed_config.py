"""A configuration that was printed answers like the command that printed it, byte for byte."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from configured import Configured
from running import RunningChute, Serve, let_age

OPTIONS = {
    "nothing said": [],
    "rules and types": ["--cache", "*.txt=1h", "--field", "/sub/*=X-Sub: yes", "--media-type", ".txt=text/x"],
    "pages": ["--error-page", "404=/lost.html", "--error-page", "405=Not so.", "--security-fields", "basic"],
    "beneath a path": ["--prefix", "/sub", "--no-listing"],
    "other origins": ["--cors", "https://a.example", "--try-files", "$uri $uri.txt $uri/ =404"],
}  # fmt: skip

REQUESTS = [
    ("GET", "/", ()),
    ("GET", "/a.txt", ()),
    ("GET", "/a", ("Accept: text/html",)),
    ("GET", "/none", ("Accept: text/html",)),
    ("GET", "/none", ("Accept: application/json",)),
    ("HEAD", "/sub/b.bin", ("Range: bytes=1-2",)),
    ("GET", "/sub/b.bin", ("Range: bytes=1-2",)),
    ("GET", "/sub", ()),
    ("GET", "/sub/", ("Accept: application/json",)),
    ("DELETE", "/a.txt", ()),
    ("OPTIONS", "/a.txt", ("Origin: https://a.example", "Access-Control-Request-Method: GET")),
    ("GET", "/a.txt", ("Origin: https://a.example",)),
    ("GET", "/../x", ()),
]


@pytest.fixture
def poller() -> str:
    return "auto"


def answers(chute: RunningChute) -> list[tuple[object, ...]]:
    found = []
    for method, target, lines in REQUESTS:
        reply = chute.get(target, *lines, method=method)
        fields = sorted((name, value) for name, value in reply.fields if name != "date")
        found.append((method, target, lines, reply.status, fields, reply.body))
    return found


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_printed_configuration_answers_like_the_command(
    serve: Serve, folder: Path, tmp_path: Path, options: list[str]
):
    (folder / "sub").mkdir()
    (folder / "a.txt").write_text("a text" * 50)
    (folder / "lost.html").write_text("<p>lost")
    (folder / "sub/b.bin").write_bytes(bytes(20_000))
    let_age(folder)
    expected = answers(serve(*options))
    command = [
        sys.executable,
        "-m",
        "chute",
        "serve",
        str(folder),
        "--print-config",
        "--bind",
        "127.0.0.1:0",
    ]
    printed = subprocess.run([*command, *options], capture_output=True, text=True, timeout=30)
    assert printed.returncode == 0, printed.stderr
    place = tmp_path / "printed"
    place.mkdir()
    configured = Configured(place)
    configured.file.write_text(printed.stdout)
    given = answers(configured.start())
    assert configured.chute is not None
    assert configured.chute.stop() == 0
    assert given == expected
    assert not re.search(r"Traceback|ERROR", configured.chute.errors())
