"""Nobody waits for others longer than their turn takes (T31).

A machine that tests run on has other things to do, so time is no evidence here: `python -m bench.fairness` measures it.
The evidence is a count. One thread asks for something small and, until the answer is there, does nothing but receive
what large answers bring, and throws it away, which is faster than the server can send it. What it receives meanwhile
was either on its way before, and fits into the buffers of the sockets, or was sent before the small answer. So a server
that finishes a file before it looks around shows hundreds of megabytes, however busy the machine is.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from downloads import GIB, KIB, MIB, make_sparse
from running import RunningChute, Wire
from shared import shared_server

CHUNK_BYTES = MIB
"""What the server sends on one connection before the others have their turn."""
CHUNKS = 3
"""A request that arrives right after a look at what is ready waits for the rest of that batch, in which a download may
have sent once for its event and once for its turn; and in the next batch the download's event may stand before it."""
SEND_BUFFER_MAX = int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
RECEIVE_BUFFER = 256 * KIB
ROOM = bytearray(256 * KIB)
SMALL = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n"
PAGE = b"GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE_BYTES = 5 * GIB


def fill(folder: Path) -> None:
    make_sparse(folder / "big.bin", LARGE_BYTES)
    (folder / "a.txt").write_bytes(b"a")
    (folder / "page.html").write_bytes(b"p" * 5000)


server = shared_server(fill)


class LargeAnswers:
    """Connections on which large answers come, read in the thread of whoever asks for small ones beside them."""

    def __init__(self, server: RunningChute, requests: list[bytes]) -> None:
        self.received: dict[int, int] = {}
        self._socks: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        self._chance = random.Random(0)
        self._buffered_max = 0
        for request in requests:
            sock = server.connect(receive_buffer=RECEIVE_BUFFER).sock
            sock.setblocking(False)
            assert sock.send(request) == len(request)
            self._buffered_max += sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            self._buffered_max += SEND_BUFFER_MAX
            self._socks[sock.fileno()] = sock
            self.received[sock.fileno()] = 0
            self._poll.register(sock, select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()
        for sock in self._socks.values():
            sock.close()

    def fair_bytes(self, turn_bytes: int) -> int:
        """What may come between a small request and its answer if a turn of each connection sends `turn_bytes`."""
        each = CHUNKS * turn_bytes + len(ROOM)
        return self._buffered_max + len(self._socks) * each

    def flow(self) -> None:
        """Receive for a while, so that the next request meets the server at a moment of its own."""
        for _ in range(self._chance.randint(1, 30)):
            self._receive(self._poll.poll(10))

    def bytes_before_answer(self, wire: Wire) -> int:
        """Ask for something small, and return how many bytes of the others came before its answer."""
        before = sum(self.received.values())
        self._poll.register(wire.sock, select.EPOLLIN)
        wire.send(SMALL)
        while True:
            ready = self._poll.poll(10)
            assert ready, "neither an answer nor anything else within ten seconds"
            if any(fd == wire.sock.fileno() for fd, _ in ready):
                break
            self._receive(ready)
        self._poll.unregister(wire.sock)
        assert wire.read_reply().body == b"a"
        return sum(self.received.values()) - before

    def _receive(self, ready: list[tuple[int, int]]) -> None:
        for fd, _ in ready:
            # tcp(7): MSG_TRUNC discards what it receives instead of copying it.
            count = self._socks[fd].recv_into(ROOM, 0, socket.MSG_TRUNC)
            assert count, "a large answer ended"
            self.received[fd] += count


@contextlib.contextmanager
def large_answers(server: RunningChute, requests: list[bytes]) -> Iterator[LargeAnswers]:
    """Have large answers come for as long as the block runs."""
    with contextlib.closing(LargeAnswers(server, requests)) as answers:
        yield answers


def p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100 - 1]


def test_t31_small_answers_do_not_wait_for_a_download_of_five_gib(server: RunningChute):
    """Between a small request and its answer there is a chunk or two of the download, not more of it."""
    with server.connect() as wire:
        idle = []
        for _ in range(100):
            started_s = time.perf_counter()
            assert wire.request(SMALL).body == b"a"
            idle.append(time.perf_counter() - started_s)
        with large_answers(server, [LARGE]) as download:
            beside, counts = [], []
            for _ in range(100):
                download.flow()
                started_s = time.perf_counter()
                counts.append(download.bytes_before_answer(wire))
                beside.append(time.perf_counter() - started_s)
            assert max(counts) <= download.fair_bytes(CHUNK_BYTES), sorted(counts)[-5:]
            assert sum(download.received.values()) < LARGE_BYTES, "it was not over in the meantime"
    print(
        f"p99 of small answers: {p99(idle) * 1e6:.0f} us alone, {p99(beside) * 1e6:.0f} us beside the download "
        f"({p99(beside) / p99(idle):.1f} times), which moved up to {max(counts) / MIB:.1f} MiB meanwhile"
    )


def test_t31_small_answers_do_not_wait_for_many_large_ones(server: RunningChute):
    """One chunk of each download, and every download gets on."""
    with large_answers(server, [LARGE] * 8) as downloads, server.connect() as wire:
        counts = []
        give_up_s = time.monotonic() + 8
        while len(counts) < 100 or min(downloads.received.values()) < MIB:
            assert time.monotonic() < give_up_s, f"downloads stand at {downloads.received}"
            downloads.flow()
            counts.append(downloads.bytes_before_answer(wire))
        assert max(downloads.received.values()) < LARGE_BYTES, "none was over in the meantime"
        assert max(counts) <= downloads.fair_bytes(CHUNK_BYTES), sorted(counts)[-5:]


def test_t31_new_connections_are_accepted_beside_large_answers(server: RunningChute):
    with large_answers(server, [LARGE] * 8) as downloads:
        counts = []
        for _ in range(20):
            downloads.flow()
            with server.connect() as wire:
                counts.append(downloads.bytes_before_answer(wire))
        # The connection is accepted in one batch, and its request seen in the next.
        assert max(counts) <= downloads.fair_bytes(2 * CHUNK_BYTES), sorted(counts)[-5:]


def test_t31_pipelined_requests_do_not_hold_up_others(server: RunningChute):
    """Tens of thousands of requests are there at once, and their answers are read as fast as they come."""
    turn_bytes = 32 * 5500
    with large_answers(server, [PAGE * 20_000] * 4) as greedy, server.connect() as modest:
        counts = []
        for _ in range(30):
            greedy.flow()
            counts.append(greedy.bytes_before_answer(modest))
        assert max(counts) <= greedy.fair_bytes(turn_bytes), sorted(counts)[-5:]
        assert min(greedy.received.values()) > 0


def test_t31_unread_answers_to_pipelined_requests_do_not_hold_up_others(server: RunningChute):
    """Thousands of requests arrive at once, and their answers are not even read: the others are served."""
    greedy = [server.connect() for _ in range(4)]
    for wire in greedy:
        wire.sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            wire.sock.send(PAGE * 5000)
    with server.connect() as modest:
        for _ in range(50):
            assert modest.get("/a.txt").body == b"a"
    for wire in greedy:
        wire.sock.settimeout(10)
        assert len(wire.read_reply().body) == 5000
        wire.close()
