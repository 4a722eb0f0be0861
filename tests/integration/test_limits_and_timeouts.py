"""Peers that are slow, silent or too many (T29, T30), and sizes that must not stall (T32)."""

from __future__ import annotations

import resource
import time
from pathlib import Path

from downloads import cpu_share, make_sparse
from running import RunningChute, Serve, Wire, wait_until
from shared import shared_server

QUICK = ("--head-timeout", "0.6", "--keep-alive-timeout", "0.6", "--send-timeout", "0.6")
QUICK += ("--body-timeout", "0.6")

HUGE_BYTES = 128 << 20


def fill(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"a")
    make_sparse(folder / "huge.bin", HUGE_BYTES)


impatient = shared_server(fill, *QUICK)


def read_some(wire: Wire, count: int) -> bytes:
    data = wire.sock.recv(count)
    assert data, "the server has closed the connection"
    return data


def test_t29_running_out_of_descriptors_is_survived(serve: Serve, folder: Path):
    (folder / "a.txt").write_bytes(b"a")
    chute = serve(limits={resource.RLIMIT_NOFILE: 64})
    clients = [chute.connect() for _ in range(200)]
    wait_until(lambda: "no connection can be accepted" in chute.errors(), what="the back-off")
    assert cpu_share(chute, 1.0) < 0.3
    for client in clients:
        client.close()
    wait_until(lambda: chute.get("/a.txt").status == 200, what="recovery")
    wait_until(lambda: chute.descriptors() < 30, what="descriptors given back")
    assert all(chute.get("/a.txt").body == b"a" for _ in range(20))


def test_t29_file_that_cannot_be_opened_is_a_503(serve: Serve, folder: Path):
    """Idle connections take every descriptor; the file would need one more."""
    (folder / "a.txt").write_bytes(b"a")
    descriptors_max = 64
    chute = serve(limits={resource.RLIMIT_NOFILE: descriptors_max})
    clients = []
    while chute.descriptors() < descriptors_max:
        before = chute.descriptors()
        clients.append(chute.connect())
        wait_until(lambda: chute.descriptors() > before, what="the accept")  # noqa: B023 - used up here
    reply = clients[0].get("/a.txt")
    assert (reply.status, reply["retry-after"]) == (503, "1")
    clients.pop().close()
    wait_until(lambda: chute.descriptors() < descriptors_max, what="a descriptor given back")
    assert clients[0].get("/a.txt").body == b"a", "the failure is not remembered"


def test_t30_head_that_stops_is_told_so_and_closed(impatient: RunningChute):
    wires = [impatient.connect() for _ in range(3)]
    for wire, sent in zip(
        wires, (b"G", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\nHost: a\r\n"), strict=True
    ):
        wire.send(sent)
    for wire in wires:
        reply = wire.read_reply()
        assert (reply.status, reply["connection"]) == (408, "close")
        assert wire.is_closed()


def test_t30_head_that_drips_is_told_so_and_closed(impatient: RunningChute):
    """The time-out is for the whole head: a byte now and then buys no more time."""
    with impatient.connect() as wire:
        started = time.monotonic()
        wire.sock.settimeout(0.04)
        reply = b""
        for byte in b"GET / HTTP/1.1\r\nHost: " + b"a" * 200:
            try:
                wire.send(bytes([byte]))
                reply = wire.sock.recv(100)
            except TimeoutError:
                continue
            break
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - started < 5


def test_t30_silent_connections_are_closed(impatient: RunningChute):
    with impatient.connect() as never, impatient.connect() as once:
        assert once.get("/a.txt").status == 200
        assert never.is_closed()
        assert once.is_closed()


def test_t30_busy_connection_outlives_the_keep_alive_time_out(impatient: RunningChute):
    with impatient.connect() as wire:
        until = time.monotonic() + 1.2
        while time.monotonic() < until:
            assert wire.get("/a.txt").body == b"a"
            time.sleep(0.2)


def test_t30_clients_that_do_not_read_on_are_cut(impatient: RunningChute):
    """A byte now and then opens no window, so the kernel accepts no more of the answer."""
    targets = ("/huge.bin?never", "/huge.bin?bytewise")
    with (
        impatient.connect(receive_buffer=4096) as never,
        impatient.connect(receive_buffer=4096) as bytewise,
    ):
        for wire, target in zip((never, bytewise), targets, strict=True):
            wire.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

        def are_over() -> bool:
            bytewise.sock.recv(1)
            return all(
                f"sending b'{target}' ended early: timed out" in impatient.errors()
                for target in targets
            )

        wait_until(are_over, what="the end of both transfers")
    for target in targets:
        wait_until(lambda: target in impatient.access_log.read_text(), what="the log line")  # noqa: B023
        (line,) = [text for text in impatient.log_lines(1) if target in text]
        assert line.endswith("aborted")


def test_t30_slow_but_steady_download_outlives_the_time_out(impatient: RunningChute):
    """Progress resets the send time-out: three of them pass while the client takes its time.

    Slow enough that the kernel asks for no more during a time-out: its send buffer holds megabytes, and becomes
    writable when a third of it is free. What counts as progress is what the peer has taken.
    """
    target = "/huge.bin?steady"
    with impatient.connect() as wire:
        wire.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert wire.read_head().status == 200
        received = len(wire.pending)
        until = time.monotonic() + 2.0
        while time.monotonic() < until:
            received += len(read_some(wire, 1 << 16))
            time.sleep(0.05)
        assert target not in impatient.access_log.read_text(), "the server is still sending"
        while received < HUGE_BYTES:
            received += len(read_some(wire, 1 << 20))
        assert received == HUGE_BYTES


def test_t30_request_content_that_stops_is_closed(impatient: RunningChute):
    framings = (b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\na\r\nabc")
    wires = [impatient.connect() for _ in framings]
    for wire, framing in zip(wires, framings, strict=True):
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
        assert wire.read_reply().status == 405
    assert all(wire.is_closed() for wire in wires)


def test_t32_no_size_waits_for_a_delayed_acknowledgement(serve: Serve, folder: Path):
    """40 ms per answer would make 4.8 s of this; a bound well below tells the difference on any machine."""
    sizes = [1000, 1460, 4096, 8191, 8192, 8193, 20_000, 65_536, 100_000, 1 << 20]
    for size in sizes:
        (folder / f"{size}.bin").write_bytes(bytes(size))
    for option in ("--sendfile=on", "--sendfile=off"):
        with serve(option).connect() as wire:
            started = time.monotonic()
            for _ in range(12):
                for size in sizes:
                    assert len(wire.get(f"/{size}.bin").body) == size
            assert time.monotonic() - started < 2.4, option
