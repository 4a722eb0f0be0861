"""splice(2): bytes from one socket to another by way of a pipe, and the relay that carries one direction.

The kernel hands pages from the receive queue of the source to the send queue of the target; no byte enters this
process. `splice_step` is the system call; a `Relay` is what is left to carry in one direction, and two of them make a
tunnel. It waits for nothing and shuts nothing down: each `step` says what to wait for (`Flow`), and the caller does.

The pipe is filled or emptied, never both. That one rule answers what EAGAIN leaves open, for it has four meanings:

1. pulling, the source has nothing;          2. pulling, the pipe has no free slot;
3. pushing, the target takes nothing;        4. pushing, the pipe has nothing.

A relay pulls only into an empty pipe, which has every slot free, and pushes only while it holds bytes. So pulling
can only mean 1, and pushing can only mean 3. Counting bytes against the size of the pipe instead would not do: a pipe
counts slots, and 16 bytes that came one by one fill the 16 slots of 64 KiB. Who takes meaning 2 for 1 waits for a
source that has told its edge already (sozu-proxy/sozu#1323: the end of an answer never left), or, with
level-triggered events, spins (h2o/h2o#3075). Back-pressure comes with the rule: no byte is taken from the source while
the target has not accepted the one before it, and whatever fails, `received - carried` bytes are held here.

Edges. An edge comes when a socket changes from not ready to ready, so a relay may wait for one only after the kernel
has said "not ready". SOURCE_EMPTY is returned only after EAGAIN from the source, at a moment when nothing is held;
TARGET_FULL only after EAGAIN from the target, which also marks its socket as one that somebody wants to write to
(SOCK_NOSPACE). A short count proves neither, for the slots or the budget may have ended it, so it is followed by
another call. A step that comes back asks for nothing but what the kernel tells it: it remembers no readiness, so an
edge of the source that came while the target was full is not lost, and an event too many costs one call.

Urgent data (RFC 9293, 3.8.5) breaks meaning 1: at the urgent mark of a TCP stream, splice says EAGAIN though bytes
lie behind it, and poll(2) says readable; and if the peer has finished too, it says 0, the end of input, while bytes
are unread. Both were seen on Linux 6.18. One byte sent with MSG_OOB would stall a relay, make it spin, or truncate
what it carries without a word. So neither answer is believed at once: after EAGAIN the mark is asked for
(SIOCATMARK, 1 us), and the end of input is confirmed by recv(2), which steps over the mark as it always has.

Nagle. SPLICE_F_MORE is MSG_MORE: the kernel holds back a last, partial segment for up to 200 ms. It is set only while
the relay holds bytes beyond the call, which is when a budget cuts a push short; that more is expected from the source
is not enough (daeuniverse/dae#1115: 200 ms for each short answer).

Errors. A socket tells an error once. Whoever takes it by SO_ERROR, or by a failed send on the same socket in the
other direction, leaves an end of input to the reader that looks like a proper one. A relay without a count cannot
tell the two apart, so when either direction of a tunnel fails, both have.

When there is no pipe, or the kernel cannot splice this pair, the relay copies, with the same contract and at most one
chunk in memory. Bytes that are in the pipe at that moment are read out of it and go first.

Choice of pipe. CPU seconds of the relaying process for each GiB over loopback (Linux 6.18, Python 3.11, median of 7):

    pipe of    8 KiB   16 KiB   32 KiB   64 KiB   256 KiB   1 MiB   copying, 64 KiB
    TCP         1.37     0.71     0.44     0.60      0.37    0.30              0.73
    Unix        0.71     0.42     0.25     0.23      0.20    0.20              0.73

A step that finds little is the other way round: up to 32 KiB that are still in the processor's cache are copied in
11 us and spliced in 14, for splicing asks the kernel more questions. Nothing here decides by that.
"""

from __future__ import annotations

import enum
import errno
import fcntl
import os
import struct
import sys
from collections.abc import Callable

from chute.errors import PeerGone, SourceEnded, SourceFailed, TransferError
from chute.transfer.pipes import Pipe, PipePool
from chute.transfer.progress import WOULD_BLOCK
from chute.transfer.sending import MSG_MORE, PEER_ERRORS, Send, name_of

IS_AVAILABLE = hasattr(os, "splice")

SPLICE = b"splice"
COPY_BYTES = 64 * 1024
"""The chunk of a relay that copies: all that it ever keeps in memory."""

MOVES_PER_STEP_MAX = 64
"""Calls of one step, so that a source of single bytes cannot hold the loop for as long as its budget lasts."""

UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
"""Errors that mean: not by splice. The first two are the kernel's, the others those of sandboxes."""

_SIOCATMARK = 0x8905
"""sockatmark(3); asm-generic/sockios.h. Where the number is another one, the kernel refuses it."""

_AT_ONCE: int = getattr(os, "SPLICE_F_MOVE", 0) | getattr(os, "SPLICE_F_NONBLOCK", 0)
_MORE: int = getattr(os, "SPLICE_F_MORE", 0)

Receive = Callable[[int], bytes]
"""`socket.recv`: the most bytes wanted in, some bytes out; b"" at the end of input, BlockingIOError for "not yet"."""


class Flow(enum.Enum):
    """The outcome of one step of a relay: what to wait for, or why there is nothing to wait for."""

    DONE = "the count was carried; what follows in the source was not touched"
    ENDED = "the source has ended and everything was accepted; shut the target's output down"
    SOURCE_EMPTY = "nothing is held; come back when the source is readable"
    TARGET_FULL = "bytes are held; come back when the target is writable"
    YIELDED = "the budget of this turn is used up; come back after the others"


def splice_step(source_fd: int, target_fd: int, count: int, flags: int) -> int:
    """Move up to `count` bytes between a pipe and a socket, in either direction.

    Both must be non-blocking: SPLICE_F_NONBLOCK speaks of the pipe only.

    Returns:
        The bytes moved, 0 at the end of input, or `WOULD_BLOCK`.

    Raises:
        OSError: any error but EAGAIN and EINTR.
    """
    if sys.platform == "linux":
        try:
            return os.splice(source_fd, target_fd, count, flags=flags)
        except BlockingIOError:
            return WOULD_BLOCK
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def is_at_urgent_mark(fd: int) -> bool:
    """Whether the next byte of the socket `fd` is an urgent one, at which splice stops (sockatmark(3))."""
    try:
        answer = fcntl.ioctl(fd, _SIOCATMARK, bytes(4))
    except OSError:
        return False  # a socket without urgent data
    return bool(struct.unpack("i", answer)[0])


class Relay:
    """One direction between two stream sockets, TCP or Unix, until a count is reached or the source ends.

    It borrows both sockets and has a pipe only while bytes are on their way: between two steps only when the target
    is behind. So thousands of tunnels at rest need no pipe at all. The pipe goes back to the pool when a step leaves
    nothing in it, and is closed with what it holds when the relay fails or is abandoned.

    While it waits for one socket it does not look at the other: that a target is gone while the source is silent, its
    owner learns from the events of the target. With level-triggered events, only the one that `Flow` names may be
    waited for; the other may be ready all the time.

    Attributes:
        received: bytes taken from the source.
        carried: bytes that the target has accepted; `received - carried` are held here.
        carried_by: `splice`, or `copy:<reason>` as soon as one byte had to be copied.
    """

    __slots__ = (
        "_chunk",
        "_copy_reason",
        "_count",
        "_has_ended",
        "_is_over",
        "_pipe",
        "_pipes",
        "_receive",
        "_send",
        "_source_fd",
        "_target_fd",
        "carried",
        "carried_by",
        "received",
    )

    def __init__(
        self,
        source_fd: int,
        target_fd: int,
        pipes: PipePool,
        *,
        receive: Receive,
        send: Send,
        count: int | None = None,
        copy_reason: bytes | None = None,
    ) -> None:
        """Prepare to carry; nothing moves before the first step.

        Args:
            source_fd: where the bytes come from, a non-blocking stream socket; borrowed.
            target_fd: where they go, another one; borrowed.
            pipes: lends the pipe.
            receive: `socket.recv` of the source, for when splice cannot be used.
            send: `socket.send` of the target, likewise.
            count: bytes to carry, or None for all until the source ends.
            copy_reason: why splice must not be used, or None when it may.
        """
        assert count is None or count >= 0, "a count of bytes is never negative"
        if copy_reason is None and not IS_AVAILABLE:
            copy_reason = b"ENOSYS"
        self._source_fd = source_fd
        self._target_fd = target_fd
        self._pipes = pipes
        self._pipe: Pipe | None = None
        self._receive = receive
        self._send = send
        self._count = count
        self._copy_reason = copy_reason
        self._chunk = memoryview(b"")
        self._has_ended = False
        self._is_over = False
        self.received = 0
        self.carried = 0
        self.carried_by = SPLICE if copy_reason is None else b"copy:" + copy_reason

    def step(self, budget: int) -> Flow:
        """Carry until there is something to wait for, or the target has accepted `budget` bytes in this turn.

        Raises:
            PeerGone: nobody is there to send to.
            SourceFailed: the source broke down.
            SourceEnded: the source ended before `count` bytes.
            TransferError: any other error of the target.
        """
        assert not self._is_over, "carried on after it failed or was abandoned"
        try:
            return self._carry(budget)
        except TransferError:
            self.abandon()
            raise
        finally:
            if self._bytes_in_pipe() == 0:
                self._return_pipe()

    def abandon(self) -> None:
        """Give the pipe back, with what is left in it, and drop what was copied; the relay is over. Idempotent."""
        self._is_over = True
        self._chunk = memoryview(b"")
        self._return_pipe()

    def _carry(self, budget: int) -> Flow:
        stop_at = self.carried + budget
        for _ in range(MOVES_PER_STEP_MAX):
            if self.carried == self._count:
                return Flow.DONE
            if self._has_ended:
                return Flow.ENDED
            room = stop_at - self.carried
            if room <= 0:
                break
            is_holding = self.received > self.carried
            flow = self._push(room) if is_holding else self._pull(room)
            if flow is not None:
                return flow
        return Flow.YIELDED

    def _pull(self, room: int) -> Flow | None:
        """Take up to `room` bytes from the source; None when some came or it has ended."""
        count = room if self._count is None else min(room, self._count - self.received)
        if self._copy_reason is not None:
            return self._pull_copy(count, self._copy_reason)
        if self._pipe is None:
            self._pipe = self._pipes.take()
        if self._pipe is None:
            return self._pull_copy(count, b"pipes")
        wanted = min(count, self._pipe.bytes_max)
        try:
            moved = splice_step(self._source_fd, self._pipe.write_fd, wanted, _AT_ONCE)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise self._source_failure(error) from error
            return self._pull_copy(count, self._give_up_splice(error))
        if moved == 0 or (moved == WOULD_BLOCK and is_at_urgent_mark(self._source_fd)):
            return self._pull_copy(count, b"urgent")
        if moved == WOULD_BLOCK:
            return Flow.SOURCE_EMPTY
        self.received += moved
        return None

    def _pull_copy(self, count: int, reason: bytes) -> Flow | None:
        try:
            chunk = self._receive(min(count, COPY_BYTES))
        except BlockingIOError:
            return Flow.SOURCE_EMPTY
        except OSError as error:
            raise self._source_failure(error) from error
        if chunk:
            self.carried_by = b"copy:" + reason
            self._chunk = memoryview(chunk)
            self.received += len(chunk)
        elif self._count is None:
            self._has_ended = True
        else:
            raise SourceEnded(sent=self.carried, expected=self._count)
        return None

    def _push(self, room: int) -> Flow | None:
        """Let the target take up to `room` of the bytes held; None when it took some."""
        held = self.received - self.carried
        if self._chunk or self._copy_reason is not None:
            return self._push_copy(held, room)
        assert self._pipe is not None, "bytes are held, but nowhere"
        count = min(held, room)
        flags = _AT_ONCE | (_MORE if count < held else 0)
        try:
            moved = splice_step(self._pipe.read_fd, self._target_fd, count, flags)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise self._target_failure(error) from error
            self.carried_by = b"copy:" + self._give_up_splice(error)
            return self._push_copy(held, room)
        if moved == WOULD_BLOCK:
            return Flow.TARGET_FULL
        self._count_accepted(moved)
        return None

    def _push_copy(self, held: int, room: int) -> Flow | None:
        if not self._chunk:
            assert self._pipe is not None, "bytes are held, but nowhere"
            self._chunk = memoryview(os.read(self._pipe.read_fd, COPY_BYTES))
        count = min(len(self._chunk), room)
        try:
            moved = self._send(self._chunk[:count], MSG_MORE if count < held else 0)
        except BlockingIOError:
            return Flow.TARGET_FULL
        except OSError as error:
            raise self._target_failure(error) from error
        self._chunk = self._chunk[moved:]
        self._count_accepted(moved)
        return None

    def _count_accepted(self, moved: int) -> None:
        if moved == 0:
            raise TransferError("the target took nothing and did not say why", sent=self.carried)
        self.carried += moved

    def _give_up_splice(self, error: OSError) -> bytes:
        self._copy_reason = name_of(error).encode()
        return self._copy_reason

    def _source_failure(self, error: OSError) -> SourceFailed:
        return SourceFailed(f"the source failed ({name_of(error)})", sent=self.carried)

    def _target_failure(self, error: OSError) -> TransferError:
        if error.errno in PEER_ERRORS:
            return PeerGone(f"the peer is gone ({name_of(error)})", sent=self.carried)
        return TransferError(f"sending failed ({name_of(error)})", sent=self.carried)

    def _bytes_in_pipe(self) -> int:
        return self.received - self.carried - len(self._chunk)

    def _return_pipe(self) -> None:
        if self._pipe is not None:
            pipe, self._pipe = self._pipe, None
            self._pipes.give_back(pipe)
