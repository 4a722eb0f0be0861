"""The method used is the method promised: what the kernel was asked, seen by strace."""

from __future__ import annotations

from pathlib import Path

import pytest

from downloads import KIB, MIB, ask, make_sparse, numbered
from running import RunningChute, Serve
from tracing import Call, Trace, traced, why_not

READS = ("read", "readv", "pread64", "preadv", "preadv2", "mmap")
SENDS = ("sendto", "sendmsg", "write", "writev")
LOOKS = ("openat", "openat2", "stat", "fstat", "lstat", "newfstatat", "statx")


@pytest.fixture(scope="module")
def strace() -> None:
    """For tests that need it; says why when it cannot be had."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)


needs_strace = pytest.mark.usefixtures("strace")
ON_EPOLL_ONLY = pytest.mark.parametrize("poller", ["auto"])
NEVER_ASK_THE_DISK = ("--valid", "60")


def calls_on_file(trace: Trace, name: str) -> list[Call]:
    """The calls that move content of the file into the process; asking whether a byte is in memory is none."""
    return [
        call for call in trace.named(*READS) if f"/{name}>" in call.arguments and not is_probe(call)
    ]


def is_probe(call: Call) -> bool:
    return call.name == "preadv2" and "RWF_NOWAIT" in call.arguments and call.result <= 1


def calls_on_sockets(trace: Trace, *names: str) -> list[Call]:
    return [call for call in trace.named(*names) if "<socket:[" in call.on or "<TCP" in call.on]


def repeat(chute: RunningChute, target: str, count: int) -> int:
    """Ask for `target` on one connection and return the bytes of content of each reply."""
    with chute.connect() as wire:
        lengths = {len(wire.get(target).body) for _ in range(count)}
    (length,) = lengths
    return length


@needs_strace
def test_t33_sendfile_moves_every_byte_and_none_enters_the_process(serve: Serve, folder: Path):
    (folder / "big.bin").write_bytes(numbered(MIB))
    chute = serve(*NEVER_ASK_THE_DISK)
    repeat(chute, "/big.bin", 1)
    with traced(chute) as trace:
        repeat(chute, "/big.bin", 5)
    moved = [call for call in trace.named("sendfile") if "/big.bin>" in call.arguments]
    assert sum(call.result for call in moved if call.result > 0) == 5 * MIB
    assert calls_on_file(trace, "big.bin") == []


@needs_strace
@ON_EPOLL_ONLY
def test_t33_sendfile_moves_ranges_and_parts_too(serve: Serve, folder: Path):
    (folder / "big.bin").write_bytes(numbered(MIB))
    chute = serve(*NEVER_ASK_THE_DISK)
    with chute.connect() as wire, traced(chute) as trace:
        assert len(wire.get("/big.bin", "Range: bytes=7-100006").body) == 100_000
        wire.get("/big.bin", "Range: bytes=0-19999,500000-529999")
    assert sum(call.result for call in trace.named("sendfile") if call.result > 0) == 150_000
    assert calls_on_file(trace, "big.bin") == []


@needs_strace
def test_t33_without_sendfile_there_is_none(serve: Serve, folder: Path):
    (folder / "big.bin").write_bytes(numbered(MIB))
    chute = serve("--sendfile=off", *NEVER_ASK_THE_DISK)
    with traced(chute) as trace:
        repeat(chute, "/big.bin", 3)
    assert trace.named("sendfile", "splice") == []
    read = sum(call.result for call in calls_on_file(trace, "big.bin") if call.result > 0)
    assert read >= 3 * MIB


@needs_strace
@ON_EPOLL_ONLY
def test_t32_head_announces_that_more_follows(serve: Serve, folder: Path):
    """Without MSG_MORE, Nagle's algorithm and delayed acknowledgements hold the first bytes of a file back."""
    for size in (8 * KIB, MIB, 3 * MIB):
        (folder / f"{size}.bin").write_bytes(numbered(size))
    chute = serve(*NEVER_ASK_THE_DISK)
    for size in (8 * KIB, MIB, 3 * MIB):
        with traced(chute) as trace:
            repeat(chute, f"/{size}.bin", 3)
        heads = [call for call in calls_on_sockets(trace, *SENDS) if '"HTTP/1.1' in call.arguments]
        assert len(heads) == 3
        assert all("MSG_MORE" in call.arguments for call in heads), heads


@needs_strace
@ON_EPOLL_ONLY
def test_nothing_is_announced_behind_an_answer_in_one_piece(serve: Serve, folder: Path):
    (folder / "small.txt").write_bytes(b"small")
    chute = serve(*NEVER_ASK_THE_DISK)
    with traced(chute) as trace:
        repeat(chute, "/small.txt", 3)
    heads = calls_on_sockets(trace, *SENDS)
    assert len(heads) == 3
    assert not any("MSG_MORE" in call.arguments for call in heads)


@needs_strace
@ON_EPOLL_ONLY
def test_t38_no_file_is_mapped_into_memory(serve: Serve, folder: Path):
    (folder / "big.bin").write_bytes(numbered(MIB))
    (folder / "small.txt").write_bytes(b"small")
    for way in ("--sendfile=on", "--sendfile=off"):
        chute = serve(way, "--valid", "0")
        with traced(chute) as trace:
            repeat(chute, "/big.bin", 2)
            repeat(chute, "/small.txt", 2)
        served = [call for call in trace.named("mmap") if str(folder) in call.arguments]
        assert served == []


@needs_strace
@ON_EPOLL_ONLY
@pytest.mark.parametrize("size", [100, 64 * KIB, MIB])
def test_connection_is_registered_once_whatever_it_carries(serve: Serve, folder: Path, size: int):
    (folder / "file.bin").write_bytes(numbered(size))
    chute = serve(*NEVER_ASK_THE_DISK)
    with traced(chute) as trace:
        repeat(chute, "/file.bin", 100)
    (accepted,) = [call for call in trace.named("accept", "accept4") if call.result >= 0]
    registrations = trace.named("epoll_ctl")
    assert len(registrations) == 1, registrations
    assert f"EPOLL_CTL_ADD, {accepted.result}<" in registrations[0].arguments


@needs_strace
def test_hot_small_file_costs_one_receive_and_one_send(serve: Serve, folder: Path):
    (folder / "small.txt").write_bytes(numbered(KIB))
    chute = serve(*NEVER_ASK_THE_DISK)
    with chute.connect() as wire:
        for _ in range(4):
            wire.get("/small.txt")
        with traced(chute) as trace:
            for _ in range(50):
                assert len(wire.get("/small.txt").body) == KIB
    assert len(calls_on_sockets(trace, *SENDS)) == 50
    assert len(calls_on_sockets(trace, "recvfrom", "recvmsg", "read", "readv")) == 50
    assert trace.named(*LOOKS) == []


@needs_strace
def test_hot_large_file_costs_one_receive_one_send_and_one_sendfile(serve: Serve, folder: Path):
    (folder / "large.bin").write_bytes(numbered(32 * KIB))
    chute = serve(*NEVER_ASK_THE_DISK)
    with chute.connect() as wire:
        for _ in range(4):
            wire.get("/large.bin")
        with traced(chute) as trace:
            for _ in range(50):
                assert len(wire.get("/large.bin").body) == 32 * KIB
    assert len(calls_on_sockets(trace, *SENDS)) == 50
    assert len(calls_on_sockets(trace, "recvfrom", "recvmsg", "read", "readv")) == 50
    assert len(trace.named("sendfile")) == 50
    assert trace.named(*LOOKS) == []


@needs_strace
@ON_EPOLL_ONLY
def test_valid_zero_asks_the_disk_for_every_request(serve: Serve, folder: Path):
    """The tests above would pass if strace saw nothing; here the same file is looked at each time."""
    (folder / "small.txt").write_bytes(numbered(KIB))
    chute = serve("--valid", "0")
    with traced(chute) as trace:
        repeat(chute, "/small.txt", 10)
    opened = [call for call in trace.named("openat", "openat2") if '"small.txt"' in call.arguments]
    assert len(opened) >= 10


@pytest.mark.parametrize("way", ["--sendfile=on", "--sendfile=off"])
def test_memory_does_not_grow_with_the_file(serve: Serve, folder: Path, way: str):
    make_sparse(folder / "huge.bin", 300 * MIB)
    (folder / "small.txt").write_bytes(b"small")
    chute = serve(way)
    chute.get("/small.txt")
    chute.get("/huge.bin", "Range: bytes=0-999999")
    before = most = chute.resident_bytes()
    with chute.connect() as wire:
        ask(wire, "/huge.bin")
        left = int(wire.read_head()["content-length"])
        assert left == 300 * MIB
        while left:
            left -= len(wire.read_body(min(left, 10 * MIB)))
            most = max(most, chute.resident_bytes())
    assert most - before < 8 * MIB
