"""A relay over real sockets, told of readiness by the edges of a real epoll.

What is tested here is an understanding of the kernel as much as our own lines: which answer means what, when an edge
comes, and what is left in a socket.
"""

from __future__ import annotations

import array
import fcntl
import hashlib
import itertools
import os
import random
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from chute.errors import PeerGone, SourceEnded, SourceFailed, TransferError
from chute.transfer.pipes import PipePool
from chute.transfer.splice import Flow, Relay
from splicing import (
    EVERYTHING,
    Line,
    Pairing,
    carry_by_edges,
    line,
    open_fds,
    reset,
    tcp_pair,
    unix_pair,
)

if sys.platform != "linux":
    pytest.skip("splice(2) exists on Linux only", allow_module_level=True)

EVERY_PAIRING = pytest.mark.parametrize(
    ("source", "target"),
    list(itertools.product((tcp_pair, unix_pair), repeat=2)),
    ids=["tcp-tcp", "tcp-unix", "unix-tcp", "unix-unix"],
)
EITHER = pytest.mark.parametrize("pairing", [tcp_pair, unix_pair], ids=["tcp", "unix"])
BOTH_WAYS = pytest.mark.parametrize("copy_reason", [None, b"off"], ids=["splice", "copying"])
MANY = 64 * 1024 * 1024
SIOCOUTQNSD = 0x894B
"""Bytes of a TCP socket that were not even sent once (linux/sockios.h)."""


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = open_fds()
    yield
    assert open_fds() == before


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(7).randbytes(1 << 20)


def unsent_bytes(sock: socket.socket) -> int:
    answer = array.array("i", [0])
    fcntl.ioctl(sock, SIOCOUTQNSD, answer)
    return answer[0]


class FarEnds:
    """Feeds one end and reads the other, a little each, in an order that a seed decides."""

    def __init__(self, laid: Line, content: bytes, *, seed: int, bytes_max: int) -> None:
        self._laid = laid
        self._rest = memoryview(content)
        self._random = random.Random(seed)
        self._bytes_max = bytes_max
        self._is_finished = False
        self.received = bytearray()

    def pump(self) -> bool:
        """Do one thing, if there is one to do."""
        deeds = [self._feed, self._read]
        self._random.shuffle(deeds)
        return any(deed() for deed in deeds)

    def _feed(self) -> bool:
        if not self._rest:
            if self._is_finished:
                return False
            self._is_finished = True
            self._laid.origin.shutdown(socket.SHUT_WR)
            return True
        try:
            sent = self._laid.origin.send(self._rest[: self._random.randint(1, self._bytes_max)])
        except BlockingIOError:
            return False
        self._rest = self._rest[sent:]
        return True

    def _read(self) -> bool:
        try:
            data = self._laid.client.recv(self._random.randint(1, self._bytes_max))
        except BlockingIOError:
            return False
        self.received += data
        return bool(data)


@BOTH_WAYS
@EVERY_PAIRING
@pytest.mark.parametrize("client_bytes", [None, 8 * 1024], ids=["ample buffer", "small buffer"])
def test_many_bytes_arrive_exactly(
    source: Pairing, target: Pairing, copy_reason: bytes | None, client_bytes: int | None
):
    block = random.Random(1).randbytes(997 * 1021)
    sent, arrived = hashlib.sha256(), hashlib.sha256()

    def feed() -> None:
        left = MANY
        while left:
            piece = block[:left]
            laid.origin.sendall(piece)
            sent.update(piece)
            left -= len(piece)
        laid.origin.shutdown(socket.SHUT_WR)

    def read() -> None:
        while data := laid.client.recv(300_000):
            arrived.update(data)

    with line(source, target, client_bytes=client_bytes) as laid:
        for end in (laid.origin, laid.client):
            end.settimeout(20)
        workers = [threading.Thread(target=feed), threading.Thread(target=read)]
        for worker in workers:
            worker.start()
        relay = laid.relay(copy_reason=copy_reason)
        assert carry_by_edges(laid, relay) is Flow.ENDED
        laid.target.shutdown(socket.SHUT_WR)
        for worker in workers:
            worker.join()
    assert relay.received == relay.carried == MANY
    assert relay.carried_by == (b"splice" if copy_reason is None else b"copy:off")
    assert arrived.hexdigest() == sent.hexdigest()


@BOTH_WAYS
@EVERY_PAIRING
@pytest.mark.parametrize("seed", range(3))
def test_t06_slow_client_with_a_small_buffer_gets_everything(
    source: Pairing, target: Pairing, copy_reason: bytes | None, content: bytes, seed: int
):
    with line(source, target, client_bytes=8 * 1024) as laid:
        far = FarEnds(laid, content, seed=seed, bytes_max=40_000)
        relay = laid.relay(copy_reason=copy_reason)
        assert carry_by_edges(laid, relay, far.pump, budget=100_000) is Flow.ENDED
        far.received += laid.read(len(content) - len(far.received))
    assert far.received == content


@EVERY_PAIRING
def test_t08_level_triggered_wake_always_makes_progress(
    source: Pairing, target: Pairing, content: bytes
):
    """Whoever waits for the wrong socket, or takes a full pipe for a dry source, turns in circles here."""
    with line(source, target, client_bytes=8 * 1024) as laid:
        far = FarEnds(laid, content, seed=5, bytes_max=5_000)
        relay = laid.relay()
        is_over = False
        while not is_over:
            before = relay.received + relay.carried
            flow = relay.step(EVERYTHING)
            is_over = flow is Flow.ENDED
            assert relay.received + relay.carried > before or is_over or before == 0, flow
            while not is_over:
                waiter = select.poll()
                if flow is Flow.SOURCE_EMPTY:
                    waiter.register(laid.source, select.POLLIN)
                else:
                    waiter.register(laid.target, select.POLLOUT)
                if flow is Flow.YIELDED or waiter.poll(0):
                    break
                assert far.pump() or waiter.poll(5000), f"nothing comes after {flow}"
        far.received += laid.read(len(content) - len(far.received))
    assert far.received == content


@BOTH_WAYS
@EVERY_PAIRING
def test_bytes_after_the_count_stay_in_the_source(
    source: Pairing, target: Pairing, copy_reason: bytes | None
):
    """There begins the next answer of a connection that is kept alive."""
    with line(source, target) as laid:
        for number, size in enumerate((1, 1000, 70_000)):
            content = os.urandom(size)
            laid.origin.setblocking(True)
            laid.origin.sendall(content + b"HTTP/1.1 200 next")
            relay = laid.relay(size, copy_reason=copy_reason)
            assert carry_by_edges(laid, relay) is Flow.DONE, number
            assert laid.read(size) == content
            assert laid.source.recv(100) == b"HTTP/1.1 200 next"


@BOTH_WAYS
@EVERY_PAIRING
def test_end_of_one_direction_leaves_the_other_open(
    source: Pairing, target: Pairing, copy_reason: bytes | None
):
    with line(source, target) as laid:
        laid.origin.send(b"question")
        laid.origin.shutdown(socket.SHUT_WR)
        assert carry_by_edges(laid, laid.relay(copy_reason=copy_reason)) is Flow.ENDED
        laid.target.shutdown(socket.SHUT_WR)
        assert laid.read(100) == b"question"
        laid.client.send(b"answer")
        back = Relay(
            laid.target.fileno(),
            laid.source.fileno(),
            laid.pipes,
            receive=laid.target.recv,
            send=laid.source.send,
            count=6,
            copy_reason=copy_reason,
        )
        laid.source, laid.target = laid.target, laid.source
        assert carry_by_edges(laid, back) is Flow.DONE
        laid.origin.settimeout(5)
        assert laid.origin.recv(100) == b"answer"


def test_small_pieces_that_fill_the_slots_of_a_pipe_do_not_look_like_a_dry_source():
    """sozu-proxy/sozu#1323: one fragment is one slot, and the end of the answer never left."""
    with line(unix_pair, tcp_pair, client_bytes=4096) as laid:
        before = laid.clog()
        for _ in range(200):
            laid.origin.send(b"x")
        relay = laid.relay()
        assert relay.step(EVERYTHING) is Flow.TARGET_FULL
        far = FarEnds(laid, b"", seed=0, bytes_max=1 << 16)
        assert carry_by_edges(laid, relay, far.pump) is Flow.ENDED
        far.received += laid.read(before + 200 - len(far.received))
    assert far.received == bytes(before) + b"x" * 200


@EITHER
def test_edge_of_the_source_that_came_while_the_target_was_full_is_not_needed(pairing: Pairing):
    with line(pairing, unix_pair) as laid:
        before = laid.clog()
        laid.origin.send(b"first")
        relay = laid.relay()
        carry_by_edges(laid, relay, until=lambda flow: flow is Flow.TARGET_FULL)
        laid.origin.send(b"second")
        assert relay.step(EVERYTHING) is Flow.TARGET_FULL
        laid.read(before)
        carry_by_edges(laid, relay, until=lambda _: relay.carried == 11)
        assert laid.read(11) == b"firstsecond"


URGENT = {
    "before everything": (b"!", b"abc"),
    "between": (b"abc", b"!", b"def"),
    "twice": (b"a", b"!", b"b", b"!", b"c"),
    "last": (b"abc", b"!"),
    "alone": (b"!",),
}


@EITHER
@pytest.mark.parametrize("steps_between", [False, True], ids=["at once", "one by one"])
@pytest.mark.parametrize("finishes", [False, True], ids=["goes on", "finishes"])
@pytest.mark.parametrize("sends", URGENT.values(), ids=URGENT.keys())
def test_urgent_byte_neither_stalls_nor_truncates(
    pairing: Pairing, sends: tuple[bytes, ...], *, finishes: bool, steps_between: bool
):
    """At the mark splice(2) says EAGAIN, or 0 when the peer has finished, whatever lies behind it."""
    plain = b"".join(sends).replace(b"!", b"")
    with line(pairing, unix_pair) as laid:
        relay = laid.relay()
        for data in sends:
            laid.origin.send(data, socket.MSG_OOB if data == b"!" else 0)
            if steps_between:
                assert relay.step(EVERYTHING) is Flow.SOURCE_EMPTY
        if finishes:
            laid.origin.close()
            assert carry_by_edges(laid, relay) is Flow.ENDED
        else:
            laid.origin.send(b".")
            carry_by_edges(laid, relay, until=lambda _: relay.received >= len(plain) + 1)
            plain += b"."
        arrived = laid.read(relay.carried)
    # There is one urgent pointer: the byte of an older one becomes part of the stream.
    assert arrived.replace(b"!", b"") == plain


def test_last_bytes_of_a_small_answer_are_not_corked():
    """Not one byte may wait in the send buffer for more to come: the kernel would hold it for 200 ms."""
    with line() as laid:
        relay = laid.relay(100_000)
        carried = 0
        for size in (100, 1, 5000, 20_000):
            laid.origin.send(bytes(size))
            carried += size
            carry_by_edges(laid, relay, until=lambda _, carried=carried: relay.carried == carried)
            assert unsent_bytes(laid.target) == 0
            laid.read(size)
        relay.abandon()


@BOTH_WAYS
@EVERY_PAIRING
def test_t36_source_that_ends_too_early_is_an_error_with_its_bytes(
    source: Pairing, target: Pairing, copy_reason: bytes | None
):
    with line(source, target) as laid:
        laid.origin.send(b"half of it")
        laid.origin.close()
        relay = laid.relay(20, copy_reason=copy_reason)
        with pytest.raises(SourceEnded) as caught:
            carry_by_edges(laid, relay)
        assert (caught.value.sent, caught.value.expected) == (10, 20)
        assert laid.read(10) == b"half of it"


@BOTH_WAYS
@EITHER
def test_t36_source_that_is_reset_is_an_error_after_its_last_byte(
    pairing: Pairing, copy_reason: bytes | None
):
    with line(pairing, tcp_pair) as laid:
        relay = laid.relay(copy_reason=copy_reason)
        laid.origin.send(b"half of it")
        laid.source.send(b"which a Unix socket that is closed leaves unread: that is its reset")
        reset(laid.origin)
        with pytest.raises(SourceFailed) as caught:
            carry_by_edges(laid, relay)
        assert caught.value.sent == relay.carried == 10
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        assert laid.read(10) == b"half of it"


@BOTH_WAYS
@EITHER
def test_t09_client_that_is_gone_ends_the_relay_with_the_count_it_took(
    pairing: Pairing, copy_reason: bytes | None
):
    with line(tcp_pair, pairing, client_bytes=8 * 1024) as laid:
        laid.origin.send(bytes(200_000))
        relay = laid.relay(copy_reason=copy_reason)
        carry_by_edges(laid, relay, until=lambda flow: flow is Flow.TARGET_FULL)
        assert 0 < relay.carried < relay.received
        reset(laid.client)
        with pytest.raises(PeerGone) as caught:
            carry_by_edges(laid, relay)
        assert caught.value.sent == relay.carried
        assert laid.pipes.idle == 0, "what it held belonged to that client"


def test_bytes_of_one_client_never_reach_another():
    with (
        line(tcp_pair, unix_pair, client_bytes=4096) as first,
        line(pipes=first.pipes) as second,
    ):
        first.origin.send(b"private" * 30_000)
        relay = first.relay()
        carry_by_edges(first, relay, until=lambda flow: flow is Flow.TARGET_FULL)
        assert relay.received > relay.carried
        relay.abandon()
        second.origin.send(b"for everybody")
        assert carry_by_edges(second, second.relay(13)) is Flow.DONE
        assert second.read(13) == b"for everybody"


def test_t33_target_that_refuses_splice_is_copied_to_from_the_byte_it_has_reached(content: bytes):
    """splice(2) says EINVAL for a target in append mode, which on a socket means nothing else."""
    with line(tcp_pair, unix_pair, client_bytes=16 * 1024) as laid:
        far = FarEnds(laid, content, seed=3, bytes_max=30_000)
        relay = laid.relay()
        steps = itertools.count()

        def pump() -> bool:
            if next(steps) == 40:
                flags = fcntl.fcntl(laid.target, fcntl.F_GETFL)
                fcntl.fcntl(laid.target, fcntl.F_SETFL, flags | os.O_APPEND)
                assert relay.received > relay.carried > 0
            return far.pump()

        assert carry_by_edges(laid, relay, pump) is Flow.ENDED
        far.received += laid.read(len(content) - len(far.received))
    assert far.received == content
    assert relay.carried_by == b"copy:EINVAL"


Ending = Callable[[Line], object]
ENDINGS: dict[str, Ending] = {
    "in order": lambda laid: laid.origin.close(),
    "source reset": lambda laid: reset(laid.origin),
    "client reset": lambda laid: reset(laid.client),
    "abandoned": lambda _: None,
}


@EITHER
def test_t09_descriptors_are_flat_after_a_thousand_relays_that_end_in_every_way(pairing: Pairing):
    pipes, before, seen = PipePool(2), open_fds(), set()
    for number, ending in zip(range(1000), itertools.cycle(ENDINGS.values()), strict=False):
        with line(pairing, pairing, client_bytes=4096, pipes=pipes) as laid:
            laid.source.send(b"unread")
            laid.origin.send(bytes(200_000 if number % 8 < 4 else 10))
            relay = laid.relay(None if number % 3 else 1 << 20)
            relay.step(EVERYTHING)
            ending(laid)
            try:
                seen.add(relay.step(EVERYTHING).name)
                relay.abandon()
            except TransferError as error:
                seen.add(type(error).__name__)
        assert open_fds() == before + 2 * pipes.idle
    assert seen >= {"SOURCE_EMPTY", "TARGET_FULL", "PeerGone", "SourceFailed"}
    pipes.close()
