"""Sockets to relay between: real ones in pairs, with the edges of a real epoll, and a kernel that is played.

A `PlayedKernel` stands behind every way a relay has to its two sockets: `os.splice`, `recv` and `send`. The sockets
are played, the pipes between them are real, so that what is in a pipe is what the kernel says. Its socket for the
source knows which bytes have arrived, and its target whether it is full, and both keep to what the kernel keeps to:
EAGAIN from a source means that nothing is there, unless the pipe had no slot.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import termios
from collections.abc import Callable, Iterable, Iterator
from unittest import mock

from carrying import Act, failing
from chute.transfer import splice
from chute.transfer.pipes import PipePool
from chute.transfer.splice import MOVES_PER_STEP_MAX, Flow, Relay

SOURCE_FD, TARGET_FD = -71, -72
"""Stand for the sockets; no descriptor has these numbers, so a real call with them would fail."""

EVERYTHING = 1 << 30
AT_ONCE = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)
MORE = getattr(os, "SPLICE_F_MORE", 0)

Pair = tuple[socket.socket, socket.socket]
Pairing = Callable[..., Pair]


def open_fds() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def tcp_pair(buffer_bytes: int | None = None) -> Pair:
    """Two ends of a TCP connection, non-blocking and without Nagle's algorithm."""
    with socket.socket() as listener:
        if buffer_bytes is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        near = socket.socket()
        if buffer_bytes is not None:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        near.connect(listener.getsockname())
        far, _ = listener.accept()
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return near, far


def unix_pair(buffer_bytes: int | None = None) -> Pair:
    """Two ends of a Unix stream connection, non-blocking."""
    near, far = socket.socketpair()
    for end in (near, far):
        if buffer_bytes is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
        end.setblocking(False)
    return near, far


class Line:
    """origin -> source, a relay, target -> client: four sockets, and a pool of pipes."""

    def __init__(
        self, source: Pairing, target: Pairing, client_bytes: int | None, pipes: PipePool | None
    ) -> None:
        self.origin, self.source = source()
        self.target, self.client = target(client_bytes)
        self.pipes = PipePool(4) if pipes is None else pipes

    def relay(self, count: int | None = None, *, copy_reason: bytes | None = None) -> Relay:
        return Relay(
            self.source.fileno(),
            self.target.fileno(),
            self.pipes,
            receive=self.source.recv,
            send=self.target.send,
            count=count,
            copy_reason=copy_reason,
        )

    def read(self, count: int) -> bytes:
        """What arrives at the client: `count` bytes, or fewer if the relay's end closes before them."""
        waiter = select.poll()
        waiter.register(self.client, select.POLLIN)
        arrived = bytearray()
        while len(arrived) < count:
            assert waiter.poll(5000), f"{len(arrived)} of {count} bytes arrived"
            data = self.client.recv(count - len(arrived))
            if not data:
                break
            arrived += data
        return bytes(arrived)

    def clog(self) -> int:
        """Fill the target's send buffer with zeros, and return how many."""
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                count += self.target.send(bytes(4096))
        return count


@contextlib.contextmanager
def line(
    source: Pairing = tcp_pair,
    target: Pairing = tcp_pair,
    *,
    client_bytes: int | None = None,
    pipes: PipePool | None = None,
) -> Iterator[Line]:
    """Lay a line; when the block is over it is closed, and so are its pipes, unless they are somebody's `pipes`."""
    laid = Line(source, target, client_bytes, pipes)
    try:
        yield laid
    finally:
        for end in (laid.origin, laid.source, laid.target, laid.client):
            end.close()
        if pipes is None:
            laid.pipes.close()
    assert laid.pipes.in_use == 0, "a pipe was not given back"


def reset(end: socket.socket) -> None:
    """Close a TCP socket with RST instead of FIN."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    end.close()


def carry_by_edges(
    laid: Line,
    relay: Relay,
    pump: Callable[[], bool] = lambda: False,
    *,
    budget: int = 1 << 18,
    until: Callable[[Flow], bool] = lambda _: False,
) -> Flow:
    """Step until the end, or until `until` says so, waiting for edges of exactly what each step names.

    Edges of the other socket are thrown away, as the harshest reading of what a relay promises: whatever it did not
    name, it does not need. `pump` lets the far ends do something and says whether they did; when they do not and no
    edge comes either, a wake-up was missed.
    """
    on_source = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
    on_target = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
    everything = on_source | on_target | select.EPOLLET
    with select.epoll() as edges:
        edges.register(laid.source, everything)
        edges.register(laid.target, everything)
        while True:
            flow = relay.step(budget)
            if flow in (Flow.DONE, Flow.ENDED) or until(flow):
                return flow
            if flow is Flow.YIELDED:
                continue
            is_source = flow is Flow.SOURCE_EMPTY
            fd = (laid.source if is_source else laid.target).fileno()
            mask = on_source if is_source else on_target
            events = edges.poll(0)
            while not dict(events).get(fd, 0) & mask:
                has_pumped = pump()
                events = edges.poll(0 if has_pumped else 5)
                assert events or has_pumped, (
                    f"no edge after {flow}, {relay.received} in, {relay.carried} out"
                )


class PlayedKernel:
    """Two played sockets, and the calls between them and real pipes.

    Args:
        content: what the source sends before it ends.
        script: what each call meets, in order: at most so many bytes, or an error. EAGAIN changes the state of the
            socket it comes from: nothing is there until `tell_source`, or no room until `tell_target`.
        otherwise: what calls meet when the script has ended.
        marks: offsets in `content` before which an urgent byte was sent.
        ends_at_marks: whether splice says 0 there, as it does when the peer has finished, and not EAGAIN.
        source_fails_at: the offset at which reading fails with ECONNRESET.
        target_fails_at: the offset at which writing fails with EPIPE.

    Attributes:
        accepted: what the target took.
        taken: how many bytes were taken from the source.
        calls: (name, bytes offered or wanted, flags, what came of it), in order.
    """

    def __init__(
        self,
        content: bytes,
        script: Iterable[Act] = (),
        *,
        otherwise: Act = EVERYTHING,
        marks: Iterable[int] = (),
        ends_at_marks: bool = False,
        source_fails_at: int | None = None,
        target_fails_at: int | None = None,
    ) -> None:
        self.content = content
        self._script = iter(script)
        self._otherwise = otherwise
        self._marks = set(marks)
        self._ends_at_marks = ends_at_marks
        self._source_fails_at = source_fails_at
        self._target_fails_at = target_fails_at
        self.taken = 0
        self.accepted = bytearray()
        self.is_dry = False
        self.is_full = False
        self.calls: list[tuple[str, int, int, Act]] = []

    def tell_source(self) -> None:
        """Let the source have bytes again, as an edge tells it."""
        self.is_dry = False

    def tell_target(self) -> None:
        """Let the target have room again, as an edge tells it."""
        self.is_full = False

    def named(self, name: str) -> list[tuple[str, int, int, Act]]:
        return [call for call in self.calls if call[0] == name]

    def relay(
        self, pipes: PipePool, *, count: int | None = None, copy_reason: bytes | None = None
    ) -> Relay:
        return Relay(
            SOURCE_FD,
            TARGET_FD,
            pipes,
            receive=self.recv,
            send=self.send,
            count=count,
            copy_reason=copy_reason,
        )

    @contextlib.contextmanager
    def plugged(self) -> Iterator[None]:
        """Stand behind `os.splice` and the question for the urgent mark for as long as the block runs."""
        with (
            mock.patch.object(os, "splice", self.splice),
            mock.patch.object(splice, "is_at_urgent_mark", self.is_at_urgent_mark),
        ):
            yield

    def is_at_urgent_mark(self, fd: int) -> bool:
        assert fd == SOURCE_FD
        return self.taken in self._marks

    def splice(self, source: int, target: int, count: int, *, flags: int) -> int:
        assert count > 0
        assert flags & AT_ONCE == AT_ONCE
        if source == SOURCE_FD:
            return self._note("pull", count, flags, lambda act: self._pull(target, count, act))
        assert target == TARGET_FD
        return self._note("push", count, flags, lambda act: self._push(source, count, act))

    def recv(self, count: int) -> bytes:
        assert count > 0
        start = self.taken
        self._note("recv", count, 0, lambda act: self._recv(count, act))
        return self.content[start : self.taken]

    def send(self, data: bytes | memoryview, flags: int) -> int:
        return self._note("send", len(data), flags, lambda act: self._send(bytes(data), act))

    def _note(self, name: str, count: int, flags: int, call: Callable[[Act], int]) -> int:
        act = next(self._script, self._otherwise)
        try:
            moved = call(act)
        except OSError as error:
            self.calls.append((name, count, flags, error))
            raise
        self.calls.append((name, count, flags, moved))
        return moved

    def _available(self, count: int, act: Act) -> int:
        """How many bytes a read may take from here to the next urgent mark, 0 at the end; EAGAIN and errors raise."""
        if isinstance(act, BlockingIOError):
            self.is_dry = True
        elif isinstance(act, OSError):
            raise act
        if self.is_dry:
            raise failing(errno.EAGAIN)
        end = min([len(self.content), *(mark for mark in self._marks if mark > self.taken)])
        if self._source_fails_at is not None:
            if self.taken == self._source_fails_at:
                raise failing(errno.ECONNRESET)
            end = min(end, self._source_fails_at)
        return min(count, end - self.taken, act if isinstance(act, int) else count)

    def _pull(self, pipe_fd: int, count: int, act: Act) -> int:
        if isinstance(act, BlockingIOError) and _bytes_in(pipe_fd):
            raise act  # no free slot; the source may have plenty
        moved = self._available(count, act)
        if self.taken in self._marks:
            if self._ends_at_marks:
                return 0
            raise failing(errno.EAGAIN)
        if moved > 0:
            moved = os.write(pipe_fd, self.content[self.taken : self.taken + moved])
        self.taken += moved
        return moved

    def _recv(self, count: int, act: Act) -> int:
        moved = self._available(count, act)
        self._marks.discard(self.taken)
        self.taken += moved
        return moved

    def _room(self, count: int, act: Act) -> int:
        """How many bytes a write may leave; at least one."""
        if isinstance(act, BlockingIOError):
            self.is_full = True
        elif isinstance(act, OSError):
            raise act
        if self.is_full:
            raise failing(errno.EAGAIN)
        if self._target_fails_at is not None:
            count = min(count, self._target_fails_at - len(self.accepted))
            if count == 0:
                raise failing(errno.EPIPE)
        return min(count, act if isinstance(act, int) else count)

    def _push(self, pipe_fd: int, count: int, act: Act) -> int:
        room = self._room(count, act)
        data = os.read(pipe_fd, room) if room else b""
        self.accepted += data
        return len(data)

    def _send(self, data: bytes, act: Act) -> int:
        room = self._room(len(data), act)
        self.accepted += data[:room]
        return room


def _bytes_in(pipe_fd: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(pipe_fd, termios.FIONREAD, bytes(4)))[0])


def carry_played(
    kernel: PlayedKernel, relay: Relay, budget: Callable[[], int] = lambda: EVERYTHING
) -> Flow:
    """Step a relay over a played kernel to its end, and check after each step what must hold then."""
    for _ in range(100_000):
        calls, accepted, allowed = len(kernel.calls), len(kernel.accepted), budget()
        flow = relay.step(allowed)
        moved = len(kernel.accepted) - accepted
        assert moved <= allowed
        assert relay.carried == len(kernel.accepted)
        assert relay.received == kernel.taken
        if flow is Flow.SOURCE_EMPTY:
            assert kernel.is_dry, "the source has bytes, and no edge will come for them"
            assert relay.received == relay.carried
            kernel.tell_source()
        elif flow is Flow.TARGET_FULL:
            assert kernel.is_full, "the target has room, and no edge will come for it"
            assert relay.received > relay.carried
            kernel.tell_target()
        elif flow is Flow.YIELDED:
            assert moved == allowed or len(kernel.calls) - calls >= MOVES_PER_STEP_MAX
        else:
            assert relay.received == relay.carried
            return flow
    raise AssertionError("no end after 100000 steps")
