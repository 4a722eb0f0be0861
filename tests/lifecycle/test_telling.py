"""A running server is told by command, by its pid file, and tells systemd how it goes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from configured import Configured
from running import wait_until


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Configured]:
    configured = Configured(tmp_path)
    (configured.folder / "a.txt").write_bytes(b"small")
    yield configured
    if configured.chute is not None:
        assert configured.chute.stop() == 0, configured.chute.errors()


def chute(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chute", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def write(configured: Configured, mark: str) -> None:
    configured.write(mark=mark, more='pid_file = "chute.pid"')


def test_server_is_found_by_its_pid_file(configured: Configured):
    write(configured, "one")
    server = configured.start()
    pid_file = configured.place / "chute.pid"
    assert pid_file.read_text() == f"{server.pid}\n"
    write(configured, "two")
    told = chute("reload", "-c", str(configured.file))
    assert (told.returncode, told.stdout) == (
        0,
        f"the configuration is read again (process {server.pid})\n",
    )
    wait_until(lambda: server.get("/a.txt")["x-mark"] == "two", what="the new configuration")
    assert chute("reopen", "--pid-file", str(pid_file)).returncode == 0
    wait_until(lambda: "logs are opened anew" in server.errors(), what="the word of it")
    assert chute("quit", "-c", str(configured.file)).returncode == 0
    assert server.process.wait(10) == 0
    assert not pid_file.exists()


def test_server_that_is_not_there_is_told_in_one_line(configured: Configured):
    write(configured, "one")
    told = chute("quit", "-c", str(configured.file))
    assert told.returncode == 2
    assert "no server runs with the pid file" in told.stderr
    configured.write(mark="one")
    told = chute("quit", "-c", str(configured.file))
    assert told.returncode == 2
    assert "names no pid_file" in told.stderr


def test_configuration_that_is_wrong_is_told_before_anything_is_sent(configured: Configured):
    write(configured, "one")
    server = configured.start()
    configured.write(mark="two", more='pid_file = "chute.pid"\nnonsense = 1')
    told = chute("reload", "-c", str(configured.file))
    assert told.returncode == 2
    assert "'nonsense'" in told.stderr
    assert "read again" not in server.errors()


def test_second_server_with_the_same_pid_file_is_refused(configured: Configured):
    write(configured, "one")
    server = configured.start()
    second = chute("run", "-c", str(configured.file))
    assert second.returncode == 2
    assert f"the process {server.pid} runs with the pid file" in second.stderr
    assert server.get("/a.txt").body == b"small"


def test_pid_file_of_a_process_that_is_gone_is_taken_over(configured: Configured):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (configured.place / "chute.pid").write_text(f"{ended.pid}\n")
    write(configured, "one")
    server = configured.start()
    assert (configured.place / "chute.pid").read_text() == f"{server.pid}\n"


def test_pid_file_that_cannot_be_written_ends_the_start(configured: Configured):
    configured.write(mark="one", more='pid_file = "nowhere/chute.pid"')
    told = chute("run", "-c", str(configured.file))
    assert told.returncode == 2
    assert "cannot write the pid file" in told.stderr


def test_systemd_is_told_how_it_goes(configured: Configured, monkeypatch: pytest.MonkeyPatch):
    path = configured.place / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        write(configured, "one")
        server = configured.start()
        assert sock.recv(100) == b"READY=1"
        write(configured, "two")
        configured.reload()
        reloading = sock.recv(100).decode().splitlines()
        assert reloading[0] == "RELOADING=1"
        assert reloading[1].startswith("MONOTONIC_USEC=")
        assert sock.recv(100) == b"READY=1"
        configured.write(mark="three", more="nonsense = 1")
        configured.reload("stays what it was")
        assert sock.recv(100).startswith(b"RELOADING=1")
        assert sock.recv(100) == b"READY=1"
        assert server.stop() == 0
        assert sock.recv(100) == b"STOPPING=1"
    assert os.path.exists(path)
