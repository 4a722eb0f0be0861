"""Where log lines go: a regular file at once, everything else through a bounded queue."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.errors import ConfigError
from chute.middleware import log_file
from chute.middleware.log_file import LogFile

PIPE_BYTES = 4096


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[tuple[LogFile, int]]:
    """A log that writes to a small pipe, and the reading end, which nobody reads."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    fcntl.fcntl(reader, getattr(fcntl, "F_SETPIPE_SZ", 1031), PIPE_BYTES)
    os.set_blocking(reader, True)
    yield LogFile(str(path)), reader
    os.close(reader)


def read_all(fd: int) -> tuple[threading.Thread, bytearray]:
    """Read `fd` to its end, beside the test."""
    received = bytearray()

    def read() -> None:
        while data := os.read(fd, 65536):
            received.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    return thread, received


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_regular_file_is_appended_to_at_once(tmp_path: Path):
    path = tmp_path / "access.log"
    path.write_bytes(b"before\n")
    log = LogFile(str(path))
    log.write(b"one\n")
    assert path.read_bytes() == b"before\none\n"
    log.write(b"two\n")
    log.close()
    assert path.read_bytes() == b"before\none\ntwo\n"


def test_two_writers_do_not_overwrite_each_other(tmp_path: Path):
    """Workers share the file; O_APPEND puts each write at its end."""
    first, second = (LogFile(str(tmp_path / "access.log")) for _ in range(2))
    for log, line in ((first, b"a\n"), (second, b"b\n"), (first, b"c\n")):
        log.write(line)
    assert (tmp_path / "access.log").read_bytes() == b"a\nb\nc\n"
    first.close()
    second.close()


@pytest.mark.parametrize(
    "path", ["/no/such/folder/access.log", "."], ids=["no folder", "is a folder"]
)
def test_file_that_cannot_be_written_is_the_users_mistake(path: str):
    with pytest.raises(ConfigError, match=r"cannot write the access log") as caught:
        LogFile(path)
    assert "'off'" in caught.value.hint


def test_pipe_receives_everything_in_order(pipe: tuple[LogFile, int]):
    log, reader = pipe
    thread, received = read_all(reader)
    lines = [b"%06d\n" % number for number in range(200)]
    for line in lines:
        log.write(line)
    log.close()
    thread.join()
    assert received == b"".join(lines)


def test_reader_that_is_too_slow_costs_lines_and_not_time(
    pipe: tuple[LogFile, int],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    log, reader = pipe
    lines = b"x" * (PIPE_BYTES - 1) + b"\n"
    for _ in range(3 * log_file.QUEUE_WRITES_MAX):
        log.write(lines)  # would never come back if it waited
    assert len(complaints(caplog)) == 1, "it is said once, not per line"
    assert "its reader is too slow" in complaints(caplog)[0]
    thread, received = read_all(reader)
    log.close()
    thread.join()
    assert log_file.QUEUE_WRITES_MAX <= received.count(b"\n") <= log_file.QUEUE_WRITES_MAX + 2
    assert set(bytes(received).split(b"\n")) == {lines[:-1], b""}, "no line is cut in two"


def test_reader_that_is_gone_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    log = LogFile(str(path))
    os.close(reader)
    log.write(b"a\n")
    log.write(b"b\n")
    log.close()
    assert complaints(caplog) == [f"access log {path}: lines are being lost: Broken pipe"]


def failing_write(error: OSError) -> Callable[[int, bytes], int]:
    def write(fd: int, data: bytes) -> int:
        raise error

    return write


def test_full_disk_is_reported_once_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    log = LogFile(str(tmp_path / "access.log"))
    with monkeypatch.context() as patch:
        patch.setattr(log_file.os, "write", failing_write(OSError(28, "No space left on device")))
        log.write(b"a\n")
        log.write(b"b\n")
    log.write(b"c\n")
    log.close()
    assert len(complaints(caplog)) == 1
    assert "No space left on device" in complaints(caplog)[0]
    assert (tmp_path / "access.log").read_bytes() == b"c\n"


def test_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = LogFile(str(tmp_path / "access.log"))
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(log_file.os, "write", lambda fd, data: write(fd, data[:3]))
        log.write(b"one line\n")
    log.close()
    assert (tmp_path / "access.log").read_bytes() == b"one line\n"


def test_closed_log_holds_no_descriptor(tmp_path: Path):
    before = set(os.listdir("/proc/self/fd"))
    log = LogFile(str(tmp_path / "access.log"))
    log.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_file_that_was_moved_away_is_left_behind(tmp_path: Path):
    path = tmp_path / "a.log"
    log = LogFile(str(path))
    log.write(b"old\n")
    path.rename(tmp_path / "a.log.1")
    log.write(b"still old\n")
    log.reopen()
    log.write(b"new\n")
    log.close()
    assert path.read_bytes() == b"new\n"
    assert (tmp_path / "a.log.1").read_bytes() == b"old\nstill old\n"


def test_file_that_cannot_be_opened_anew_is_written_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = tmp_path / "logs"
    folder.mkdir()
    log = LogFile(str(folder / "a.log"))
    folder.rename(tmp_path / "moved")
    log.reopen()
    log.write(b"line\n")
    log.close()
    assert (tmp_path / "moved/a.log").read_bytes() == b"line\n"
    assert "the old file is written on" in caplog.text
