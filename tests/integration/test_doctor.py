"""`chute doctor` as a user types it: into a terminal, into a pipe, for a program, and with the wrong path."""

from __future__ import annotations

import json
import os
import pty
import re
import resource
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import unprivileged

TIMEOUT_S = 20
COLOUR = re.compile(r"\x1b\[[\d;]*3[1-6]m")
ESCAPE = re.compile(r"\x1b\[[\d;]*m")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "chute", "doctor", *map(str, arguments)]


def doctor(*arguments: str | Path, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=TIMEOUT_S, **settings
    )


def on_terminal(*arguments: str | Path, columns: int, **environment: str) -> str:
    """Run it with a terminal of its own, and return what the terminal got."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, columns))
    kept = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")
    }
    with subprocess.Popen(
        command(*arguments),
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**kept, "TERM": "xterm-256color", **environment},
    ) as process:
        os.close(slave)
        chunks = []
        try:
            while chunk := os.read(master, 65536):
                chunks.append(chunk)
        except OSError:
            pass  # EIO: the other side is closed, which is how a terminal ends
        os.close(master)
        assert process.wait(TIMEOUT_S) == 0
    return b"".join(chunks).decode()


def test_report_is_lines_without_escapes_in_a_pipe(folder: Path):
    (folder / "page").write_bytes(b"content")
    result = doctor(folder)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "\x1b" not in result.stdout
    lines = result.stdout.splitlines()
    for name in ("sendfile", "openat2", "epoll", "RWF_NOWAIT", "kernel TLS", "open files", "cores"):
        assert any(line.startswith(f"  {name} ") for line in lines), name
    assert any(line.startswith(f"Files of {folder}: ") for line in lines)
    assert "fast path" in lines[-1]


def test_report_for_programs_agrees_with_itself(folder: Path):
    (folder / "page").write_bytes(b"content")
    values = json.loads(doctor(folder, "--json").stdout)
    abilities = [*values["kernel"], *values["files"]["abilities"], *values["interpreter"]]
    assert {each["answer"] for each in abilities} <= {"yes", "no", "partly", "unknown"}
    missing = {
        each["name"] for each in abilities if each["is_used"] and each["answer"] in ("no", "partly")
    }
    assert set(values["missing"]) <= missing
    assert values["files"]["sample"] == "page"
    limits = {each["name"]: each["value"] for each in values["limits"]}
    assert limits["open files"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


@pytest.mark.skipif(not hasattr(termios, "tcsetwinsize"), reason="a terminal has no size here")
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_report_is_a_table_that_fits_the_terminal(folder: Path, columns: int):
    text = on_terminal(folder, columns=columns)
    assert COLOUR.search(text)
    lines = [ESCAPE.sub("", line) for line in text.splitlines()]
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("sendfile ") for line in lines)


@pytest.mark.skipif(not hasattr(termios, "tcsetwinsize"), reason="a terminal has no size here")
def test_narrow_terminal_gets_the_lines_of_a_pipe(folder: Path):
    text = on_terminal(folder, columns=40)
    assert "\x1b" not in text
    assert text.splitlines() == doctor(folder).stdout.splitlines()


def test_terminal_that_wants_no_colour_gets_none(folder: Path):
    assert not COLOUR.search(on_terminal(folder, columns=80, NO_COLOR="1"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "there is no file or folder"),
        ("fifo", "is neither a file nor a folder"),
        ("page/below", "there is no file or folder"),
    ],
)
def test_wrong_path_is_one_line(folder: Path, name: str, words: str):
    (folder / "page").touch()
    os.mkfifo(folder / "fifo")
    result = doctor(folder / name)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("chute: error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    assert words in result.stderr


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_unreadable_path_is_one_line(folder: Path, kind: str):
    secret = folder / "secret"
    if kind == "file":
        secret.touch()
    else:
        secret.mkdir()
    secret.chmod(0)
    drop = unprivileged._give_up_reading_everything if os.geteuid() == 0 else None
    try:
        result = doctor(secret, preexec_fn=drop)
    except subprocess.SubprocessError:
        pytest.skip("this root may not give up its privileges")
    assert result.returncode == 2
    assert f"cannot read the {kind}" in result.stderr
    assert result.stderr.count("\n") == 1, result.stderr


def test_few_descriptors_are_told_and_survived(folder: Path):
    (folder / "page").write_bytes(b"content")
    result = doctor(folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6)))
    assert result.returncode == 0, result.stderr
    assert "EMFILE" in result.stdout
    assert "1 limit is low: open files." in result.stdout.splitlines()[-1]


def test_reader_that_goes_away_gets_no_traceback(folder: Path):
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    result = subprocess.run(
        command(folder), stdout=write_fd, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S
    )
    os.close(write_fd)
    assert "Traceback" not in result.stderr
