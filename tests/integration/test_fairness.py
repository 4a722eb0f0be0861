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
STEPS_PER_TURN = 32
"""How many pipelined requests of one connection it answers before that."""
TURNS = 3
"""A request that arrives right after the server looked at what is ready waits for the rest of that batch, in which a
download may have a turn for its event and one for being unfinished; and in the next batch its event may come first."""
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
    """Connections on which large answers come, read in the thread of whoever asks for small ones beside them.

    Attributes:
        fair_bytes: what may come between a small request and its answer.
        received: bytes so far, by descriptor.
    """

    def __init__(self, server: RunningChute, requests: list[bytes], turn_bytes: int) -> None:
        """Send each of `requests` on a connection of its own, which may send `turn_bytes` in one turn."""
        self.fair_bytes = 0
        self.received: dict[int, int] = {}
        self._socks: dict[int, socket.socket] = {}
        self._poll = select.epoll()
        self._chance = random.Random(0)
        for request in requests:
            sock = server.connect(receive_buffer=RECEIVE_BUFFER).sock
            sock.setblocking(False)
            assert sock.send(request) == len(request)
            buffered = SEND_BUFFER_MAX + sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
            self.fair_bytes += buffered + TURNS * turn_bytes + len(ROOM)
            self._socks[sock.fileno()] = sock
            self.received[sock.fileno()] = 0
            self._poll.register(sock, select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()
        for sock in self._socks.values():
            sock.close()

    def flow(self) -> None:
        """Receive for a while, so that the next request meets the server at a moment of its own."""
        for _ in range(self._chance.randint(1, 30)):
            self._receive(self._wait())

    def ask_beside(self, wire: Wire) -> int:
        """Ask for something small, and return how many bytes of the others came before its answer."""
        before = sum(self.received.values())
        self._poll.register(wire.sock, select.EPOLLIN)
        wire.send(SMALL)
        while wire.sock.fileno() not in (ready := self._wait()):
            self._receive(ready)
        self._poll.unregister(wire.sock)
        assert wire.read_reply().body == b"a"
        came = sum(self.received.values()) - before
        assert came <= self.fair_bytes, f"{came / MIB:.1f} MiB came before a small answer"
        return came

    def _wait(self) -> list[int]:
        ready = [fd for fd, _ in self._poll.poll(10)]
        assert ready, f"nothing came for ten seconds: {self.received}"
        return ready

    def _receive(self, ready: list[int]) -> None:
        for fd in ready:
            # tcp(7): MSG_TRUNC discards what it receives instead of copying it.
            count = self._socks[fd].recv_into(ROOM, 0, socket.MSG_TRUNC)
            assert count, "a connection ended"
            self.received[fd] += count


@contextlib.contextmanager
def large_answers(
    server: RunningChute, requests: list[bytes], *, turn_bytes: int = CHUNK_BYTES
) -> Iterator[LargeAnswers]:
    """Have large answers come for as long as the block runs."""
    with contextlib.closing(LargeAnswers(server, requests, turn_bytes)) as answers:
        yield answers


def p99(values: list[float]) -> float:
    """Return the value that is exceeded once in a hundred times."""
    return sorted(values)[len(values) * 99 // 100 - 1]


def test_t31_small_answers_do_not_wait_for_a_download_of_five_gib(server: RunningChute):
    """Between a small request and its answer there is a chunk or two of the download, not more of it."""
    alone, beside, counts = [], [], []
    with server.connect() as wire:
        for _ in range(100):
            started_s = time.perf_counter()
            assert wire.request(SMALL).body == b"a"
            alone.append(time.perf_counter() - started_s)
        with large_answers(server, [LARGE]) as download:
            for _ in range(100):
                download.flow()
                started_s = time.perf_counter()
                counts.append(download.ask_beside(wire))
                beside.append(time.perf_counter() - started_s)
            assert sum(download.received.values()) < LARGE_BYTES, "it was not over in the meantime"
    print(
        f"p99 of small answers: {p99(alone) * 1e6:.0f} us alone, {p99(beside) * 1e6:.0f} us beside "
        f"the download ({p99(beside) / p99(alone):.1f} times), which brought {max(counts) / MIB:.1f} "
        f"MiB meanwhile at most, where {download.fair_bytes / MIB:.1f} are fair"
    )


def test_t31_small_answers_do_not_wait_for_many_large_ones(server: RunningChute):
    """One chunk of each download, and every download gets on."""
    with large_answers(server, [LARGE] * 8) as downloads, server.connect() as wire:
        answers = 0
        give_up_s = time.monotonic() + 20
        while answers < 100 or min(downloads.received.values()) < MIB:
            assert time.monotonic() < give_up_s, f"downloads stand at {downloads.received}"
            downloads.flow()
            downloads.ask_beside(wire)
            answers += 1
        assert max(downloads.received.values()) < LARGE_BYTES, "none was over in the meantime"


def test_t31_new_connections_are_accepted_beside_large_answers(server: RunningChute):
    """A connection is accepted in one batch, and its request is seen in the next."""
    with large_answers(server, [LARGE] * 8, turn_bytes=2 * CHUNK_BYTES) as downloads:
        for _ in range(20):
            downloads.flow()
            with server.connect() as wire:
                downloads.ask_beside(wire)


def test_t31_pipelined_requests_do_not_hold_up_others(server: RunningChute):
    """Tens of thousands of requests are there at once, and their answers are read as fast as they come."""
    requests = [PAGE * 20_000] * 4
    with (
        large_answers(server, requests, turn_bytes=STEPS_PER_TURN * 5500) as greedy,
        server.connect() as modest,
    ):
        for _ in range(30):
            greedy.flow()
            greedy.ask_beside(modest)
        assert min(greedy.received.values()) > 0


def test_t31_unread_answers_do_not_hold_up_others(server: RunningChute):
    """Thousands of requests arrive at once, and their answers are not read: the others are served."""
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
