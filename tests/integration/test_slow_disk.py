"""A slow disk stalls only who asked for what lies on it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import slow_disk
from downloads import KIB, MIB, ask, leave, numbered, read_to_the_end
from running import RunningChute, Serve, wait_until

ON_SLOW_DISK = (slow_disk.__file__,)
BOTH_METHODS = pytest.mark.parametrize("way", ["--sendfile=on", "--sendfile=off"])
NEVER_ASK_AGAIN = ("--valid", "60")


@pytest.fixture(autouse=True)
def files(folder: Path) -> None:
    (folder / "cold.bin").write_bytes(numbered(6 * MIB))
    (folder / "cold-small.bin").write_bytes(numbered(100 * KIB))
    (folder / "hot.txt").write_bytes(b"hot")
    (folder / "hot.bin").write_bytes(numbered(100 * KIB))


def waits(chute: RunningChute) -> tuple[int, int]:
    """Stop the server, and return how often it waited for the disk in the loop, and in threads."""
    assert chute.stop() == 0
    (said,) = re.findall(r"waited (\d+) times in the loop, (\d+) times in threads", chute.errors())
    return int(said[0]), int(said[1])


@contextlib.contextmanager
def downloading(chute: RunningChute, target: str, expected: bytes) -> Iterator[None]:
    """Download `target` in a thread while the block runs; at its end all of it must have come, and be right."""
    bodies: list[bytes] = []
    thread = threading.Thread(target=lambda: bodies.append(chute.get(target).body))
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert bodies == [expected]


def ask_for_hot_files_until(chute: RunningChute, is_over: threading.Event) -> list[float]:
    """Ask for what is in memory, again and again, and return how long each answer took."""
    durations = []
    with chute.connect() as wire:
        while not is_over.is_set():
            started_s = time.monotonic()
            assert wire.get("/hot.txt").body == b"hot"
            assert len(wire.get("/hot.bin").body) == 100 * KIB
            durations.append(time.monotonic() - started_s)
            time.sleep(0.001)
    return durations


@BOTH_METHODS
def test_slow_disk_stalls_only_its_own_client(serve: Serve, way: str):
    chute = serve(way, *NEVER_ASK_AGAIN, program=ON_SLOW_DISK)
    is_over = threading.Event()
    durations: list[float] = []
    asking = threading.Thread(
        target=lambda: durations.extend(ask_for_hot_files_until(chute, is_over))
    )
    asking.start()
    with downloading(chute, "/cold.bin", numbered(6 * MIB)):
        pass
    is_over.set()
    asking.join()
    in_loop, in_threads = waits(chute)
    assert in_loop == 0, "somebody else's answer waited for the disk"
    assert in_threads >= 5
    # One wait of the loop for the disk would be one answer that took DELAY_S; the hundredth-worst took far less.
    assert len(durations) > 100
    assert sorted(durations)[int(len(durations) * 0.99)] < slow_disk.DELAY_S / 2


@BOTH_METHODS
def test_waiting_in_the_loop_would_have_been_noticed(
    serve: Serve, way: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLOW_DISK_TRUSTED", "1")
    chute = serve(way, program=ON_SLOW_DISK)
    assert len(chute.get("/cold-small.bin").body) == 100 * KIB
    in_loop, _ = waits(chute)
    assert in_loop >= 1


@BOTH_METHODS
def test_what_was_read_once_is_not_waited_for_again(serve: Serve, way: str):
    chute = serve(way, *NEVER_ASK_AGAIN, program=ON_SLOW_DISK)
    for _ in range(5):
        assert chute.get("/cold-small.bin").body == numbered(100 * KIB)
    assert waits(chute) == (0, 1)


@BOTH_METHODS
def test_small_files_are_read_ahead_too_and_kept_in_memory_afterwards(
    serve: Serve, folder: Path, way: str
):
    (folder / "cold-tiny.txt").write_bytes(b"tiny")
    chute = serve(way, "--valid", "0.1", program=ON_SLOW_DISK)
    carried = []
    for _ in range(3):
        assert chute.get("/cold-tiny.txt").body == b"tiny"
        time.sleep(0.2)
    carried = [line.split()[-2] for line in chute.log_lines(3)]
    assert carried[0] == ("sendfile" if way == "--sendfile=on" else "copy:off")
    assert carried[2] == "buffer"
    assert waits(chute) == (0, 1)


@BOTH_METHODS
def test_ranges_and_parts_are_read_ahead_too(serve: Serve, way: str):
    content = numbered(6 * MIB)
    chute = serve(way, *NEVER_ASK_AGAIN, program=ON_SLOW_DISK)
    with chute.connect() as wire:
        assert (
            wire.get("/cold.bin", "Range: bytes=1000000-1099999").body == content[10**6 :][: 10**5]
        )
        parts = wire.get("/cold.bin", "Range: bytes=0-9999,3000000-3009999").body
    assert content[:10_000] in parts
    assert content[3_000_000:3_010_000] in parts
    in_loop, in_threads = waits(chute)
    assert in_loop == 0
    assert in_threads == 3


@pytest.mark.parametrize("by_reset", [False, True])
def test_client_that_leaves_while_the_disk_works_costs_nothing(serve: Serve, by_reset: bool):
    chute = serve(*NEVER_ASK_AGAIN, program=ON_SLOW_DISK)
    chute.get("/hot.bin")
    time.sleep(0.1)
    descriptors = chute.descriptors()
    wires = [chute.connect() for _ in range(40)]
    for wire in wires:
        ask(wire, "/cold.bin")
    time.sleep(0.02)
    for wire in wires:
        leave(wire, by_reset=by_reset)
    # The file itself stays open for the next request; so does what chute opened to read ahead with.
    wait_until(lambda: chute.descriptors() <= descriptors + 2, what="the end of every transfer")
    assert chute.get("/cold-small.bin").body == numbered(100 * KIB)
    assert all(line.endswith("aborted") for line in chute.log_lines(41) if "/cold.bin" in line)


def test_disk_that_takes_too_long_is_the_end_of_the_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLOW_DISK_DELAY_S", "60")
    chute = serve("--send-timeout", "0.3", program=ON_SLOW_DISK)
    with chute.connect() as wire:
        ask(wire, "/cold.bin")
        assert read_to_the_end(wire).endswith(b"\r\n\r\n"), "something came after the head"
    (line,) = chute.log_lines(1)
    assert line.endswith("aborted")
    assert "timed out reading the file" in chute.errors()
    assert chute.get("/hot.bin").status == 200


def test_disk_that_never_answers_does_not_keep_the_server_from_ending(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SLOW_DISK_DELAY_S", "60")
    chute = serve(program=ON_SLOW_DISK)
    wires = [chute.connect() for _ in range(30)]
    for wire in wires:
        ask(wire, "/cold.bin")
    assert chute.get("/hot.bin").status == 200
    chute.process.terminate()
    assert chute.process.wait(5) == 0
