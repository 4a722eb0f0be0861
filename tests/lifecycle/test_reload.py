"""Nothing is lost when a configuration is read again, or when a server ends in peace."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from configured import Clients, Configured
from running import RunningChute, wait_until

BIG = os.urandom(2 << 20)

HUGE = BIG * 12
"""More than the buffers of a socket hold."""


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Configured]:
    configured = Configured(tmp_path)
    (configured.folder / "a.txt").write_bytes(b"small")
    (configured.folder / "big.bin").write_bytes(BIG)
    (configured.folder / "huge.bin").write_bytes(HUGE)
    yield configured
    chute = configured.chute
    if chute is not None:
        assert chute.stop() == 0, chute.errors()
        assert "Traceback" not in chute.errors(), chute.errors()


def test_no_request_is_lost_while_configurations_take_turns(configured: Configured):
    """Kept and new connections, small and large answers, and a number of workers that changes each time."""
    configured.write(mark="0")
    chute = configured.start()
    with Clients(chute, {"/a.txt": b"small", "/big.bin": BIG}) as clients:
        for number in range(1, 7):
            configured.write(mark=str(number), workers=1 + number % 3)
            configured.reload()
            wait_until(lambda number=number: clients.marks[str(number)] > 5, what="its answers")
    assert clients.failures == []
    wait_until(lambda: len(children(chute.pid)) == 1, what="the end of the old workers")


def test_configuration_that_is_wrong_changes_nothing(configured: Configured):
    configured.write(mark="right")
    chute = configured.start()
    before = children(chute.pid)
    configured.write(mark="wrong", more="lissener = 1")
    configured.reload("stays what it was")
    assert "chute.toml:2: " in chute.errors()
    assert "listener" in chute.errors()
    assert children(chute.pid) == before
    assert chute.get("/a.txt")["x-mark"] == "right"
    configured.write(mark="right again")
    configured.reload()
    assert chute.get("/a.txt")["x-mark"] == "right again"


def test_address_that_is_taken_changes_nothing(configured: Configured):
    configured.write(mark="one")
    chute = configured.start()
    assert isinstance(chute.address, tuple)
    taken = f'[listener.other]\nbind = "127.0.0.1:{chute.address[1]}"'
    configured.write(mark="two", more=taken)
    configured.reload("stays what it was")
    assert "the address is in use" in chute.errors()
    assert chute.get("/a.txt")["x-mark"] == "one"


def test_listener_comes_and_goes(configured: Configured, tmp_path: Path):
    path = tmp_path / "more.sock"
    configured.write(mark="one")
    chute = configured.start()
    configured.write(mark="two", more=f'[listener.more]\nbind = "unix:{path}"\nmode = "0600"')
    configured.reload()
    assert path.stat().st_mode & 0o777 == 0o600
    through = chute.address
    chute.address = str(path)
    assert chute.get("/a.txt")["x-mark"] == "two"
    chute.address = through
    configured.write(mark="three")
    configured.reload()
    assert not path.exists()
    assert chute.get("/a.txt")["x-mark"] == "three"


def test_first_configuration_that_no_worker_can_serve_ends_the_server(tmp_path: Path):
    """It is told once, and nothing is tried again and again."""
    configured = Configured(tmp_path)
    configured.write(mark="x")
    configured.file.write_text(configured.file.read_text().replace("access.log", "www"))
    with pytest.raises(AssertionError, match="cannot write the access log"):
        configured.start()


@pytest.mark.parametrize("workers", [1, 2])
def test_quit_waits_for_what_is_on_its_way(configured: Configured, workers: int):
    configured.write(mark="x", workers=workers)
    chute = configured.start()
    wire = chute.connect()
    wire.send(b"GET /huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.read_head().status == 200
    configured.tell(signal.SIGQUIT)
    wait_until(lambda: _refuses(chute), what="the end of accepting")
    assert wire.read_body(len(HUGE)) == HUGE
    assert chute.process.wait(10) == 0
    assert chute.log_lines(1)[0].endswith("complete")


def _refuses(chute: RunningChute) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(chute.address) == errno.ECONNREFUSED


def test_quit_closes_idle_connections_and_answers_a_request_that_was_on_its_way(
    configured: Configured,
):
    configured.write(mark="x", workers=1)
    chute = configured.start()
    busy, idle = chute.connect(), chute.connect()
    assert idle.get("/a.txt").body == b"small"
    time.sleep(1.3)  # longer than a connection counts as being in use
    assert "connection" not in busy.get("/a.txt")
    configured.tell(signal.SIGQUIT)
    wait_until(lambda: _refuses(chute), what="the end of accepting")
    reply = busy.get("/a.txt")
    assert (reply.body, reply["connection"]) == (b"small", "close")
    assert busy.is_closed()
    assert idle.is_closed()
    assert chute.process.wait(10) == 0


def test_quit_gives_up_in_the_end(configured: Configured):
    configured.write(mark="x", workers=1, more='shutdown_timeout = "500ms"')
    chute = configured.start()
    wire = chute.connect()
    wire.send(b"GET /huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.read_head().status == 200
    configured.tell(signal.SIGQUIT)
    assert chute.process.wait(10) == 0
    assert "1 connections did not end in time and are cut" in chute.errors()
    assert chute.log_lines(1)[0].endswith("aborted")


def test_term_after_quit_ends_at_once(configured: Configured):
    configured.write(mark="x")
    chute = configured.start()
    wire = chute.connect()
    wire.send(b"GET /huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.read_head().status == 200
    configured.tell(signal.SIGQUIT)
    wait_until(lambda: _refuses(chute), what="the end of accepting")
    configured.tell(signal.SIGTERM)
    assert chute.process.wait(5) == 0


def test_logs_that_were_moved_away_are_opened_anew(configured: Configured):
    configured.write(mark="x")
    chute = configured.start()
    chute.get("/a.txt")
    assert len(chute.log_lines(1)) == 1
    moved = chute.access_log.with_name("access.log.1")
    chute.access_log.rename(moved)
    chute.get("/a.txt?still=there")
    configured.tell(signal.SIGUSR1)
    wait_until(chute.access_log.exists, what="a new log")
    for _ in range(20):
        chute.get("/a.txt?new")
    assert all("?new" in line for line in chute.log_lines(20))
    assert [line.split('"')[1] for line in moved.read_text().splitlines()] == [
        "GET /a.txt HTTP/1.1",
        "GET /a.txt?still=there HTTP/1.1",
    ]


def test_worker_that_is_killed_loses_nobody_else(configured: Configured):
    configured.write(mark="x")
    chute = configured.start()
    victim = children(chute.pid)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(
        lambda: victim not in children(chute.pid) and len(children(chute.pid)) == 2,
        what="another worker",
    )
    assert all(chute.get("/a.txt").body == b"small" for _ in range(40))
    assert "SIGKILL; it is replaced" in chute.errors()


def test_configuration_that_new_workers_cannot_serve_changes_nothing(configured: Configured):
    """Found only when they start: the log is a folder. More workers were to come, and their sockets go again."""
    configured.write(mark="one")
    chute = configured.start()
    before = children(chute.pid)
    configured.write(mark="two", workers=5)
    configured.file.write_text(configured.file.read_text().replace("access.log", "www"))
    configured.reload("stays what it was")
    assert "cannot write the access log" in chute.errors()
    wait_until(lambda: children(chute.pid) == before, what="the end of the new workers")
    assert all(chute.get("/a.txt")["x-mark"] == "one" for _ in range(60))
