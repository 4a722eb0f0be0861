"""Peers that are slow, silent or too many (T29, T30, T31, T32)."""

from __future__ import annotations

import resource
import socket
import threading
import time
from pathlib import Path

import pytest

from running import RunningChute, Serve, wait_until

QUICK = ("--head-timeout", "0.6", "--keep-alive-timeout", "0.6", "--send-timeout", "0.6")
QUICK += ("--body-timeout", "0.6")


def cpu_share(chute: RunningChute, seconds: float) -> float:
    before = chute.cpu_s()
    time.sleep(seconds)
    return (chute.cpu_s() - before) / seconds


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
    """Connections take every descriptor but the one they use; the file needs one more."""
    (folder / "a.txt").write_bytes(b"a")
    chute = serve("--keep-alive-timeout", "30", limits={resource.RLIMIT_NOFILE: 64})
    clients = []
    statuses = set()
    for _ in range(60):
        client = chute.connect(timeout_s=1.0)
        clients.append(client)
        try:
            reply = client.get("/a.txt")
        except TimeoutError:
            break  # not accepted: the listener rests
        statuses.add(reply.status)
        if reply.status == 503:
            assert reply["retry-after"] == "1"
    assert statuses <= {200, 503}
    for client in clients:
        client.close()
    wait_until(lambda: chute.get("/a.txt").status == 200, what="recovery")


def test_t30_head_that_drips_is_told_so_and_closed(serve: Serve, folder: Path):
    chute = serve(*QUICK)
    with chute.connect() as wire:
        started = time.monotonic()
        try:
            for byte in b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":
                wire.send(bytes([byte]))
                time.sleep(0.04)
        except OSError:
            pass
        assert wire.read_reply().status == 408
        assert time.monotonic() - started < 5


def test_t30_silent_connections_are_closed(serve: Serve, folder: Path):
    (folder / "a.txt").write_bytes(b"a")
    chute = serve(*QUICK)
    with chute.connect() as never, chute.connect() as once:
        assert once.get("/a.txt").status == 200
        assert never.is_closed()
        assert once.is_closed()
    wait_until(lambda: chute.get("/a.txt").status == 200)


def test_t30_client_that_never_reads_is_cut(serve: Serve, folder: Path):
    (folder / "big.bin").write_bytes(bytes(32 << 20))
    chute = serve(*QUICK)
    with chute.connect(receive_buffer=4096) as wire:
        wire.send(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        (line,) = chute.log_lines(1, within_s=6)
        assert line.endswith("aborted")
    assert "timed out" in chute.errors()


def test_t30_slow_but_steady_download_outlives_the_time_out(serve: Serve, folder: Path):
    """Progress resets the send time-out: four of them pass while the client takes its time."""
    content = bytes(range(256)) * 4096
    (folder / "big.bin").write_bytes(content)
    chute = serve(*QUICK)
    with chute.connect(receive_buffer=4096) as wire:
        wire.send(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = wire.read_head()
        body = wire.pending
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            body += wire.sock.recv(8192)
            time.sleep(0.03)
        while len(body) < int(reply["content-length"]):
            body += wire.sock.recv(1 << 20)
        assert body == content


def test_t30_request_content_that_stops_is_closed(serve: Serve, folder: Path):
    chute = serve(*QUICK)
    with chute.connect() as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert wire.read_reply().status == 405
        assert wire.is_closed()


@pytest.mark.parametrize("option", ["--sendfile", "--no-sendfile"])
def test_t32_no_size_waits_for_a_delayed_acknowledgement(serve: Serve, folder: Path, option: str):
    """40 ms per answer would make 8 s of this; a bound of a third tells the difference on any machine."""
    sizes = [1000, 1460, 4096, 8191, 8192, 8193, 20_000, 65_536, 100_000, 1 << 20]
    for size in sizes:
        (folder / f"{size}.bin").write_bytes(bytes(size))
    chute = serve(option)
    with chute.connect() as wire:
        started = time.monotonic()
        for _ in range(20):
            for size in sizes:
                assert len(wire.get(f"/{size}.bin").body) == size
        assert time.monotonic() - started < 2.7


def test_t31_small_answers_do_not_wait_for_large_ones(serve: Serve, folder: Path):
    """Eight clients download without end; a small answer waits for a chunk of each of them at most."""
    with (folder / "big.bin").open("wb") as file:
        file.truncate(5 << 30)
    (folder / "a.txt").write_bytes(b"a")
    chute = serve()
    over = threading.Event()

    def download() -> None:
        with socket.create_connection(chute.address) as sock:
            sock.sendall(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            while not over.is_set():
                sock.recv(1 << 20)

    threads = [threading.Thread(target=download) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        with chute.connect() as wire:
            waits = []
            for _ in range(100):
                started = time.monotonic()
                assert wire.get("/a.txt").body == b"a"
                waits.append(time.monotonic() - started)
        assert sorted(waits)[50] < 0.5, "the median of small answers beside eight downloads"
    finally:
        over.set()
        for thread in threads:
            thread.join()
