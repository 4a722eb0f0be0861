"""`chute.sendfile`: send a file over a socket, in the thread of the caller.

What it does better than `socket.sendfile`: offset and count are explicit and the file's position is left alone; a file
that is shorter than was asked for is an error and not a short answer; the time-out runs between two moments of
progress, not for the whole file, and not while the peer still takes bytes out of a full buffer; TLS sockets are
served; and the result tells how the bytes were carried.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import socket
import struct
from collections.abc import Iterator

from chute.errors import MisuseError, NotSendable, SendTimeout
from chute.transfer.arguments import Carried, Sendable, blocking_open, checked_timeout
from chute.transfer.method import Devices
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.targets import Target, TlsTarget, target_for

_TIMEVAL = struct.Struct("@ll")

_devices = Devices("auto")

CHUNK_BYTES = 1024 * 1024
"""Bytes per turn; between two turns a signal handler may run."""


class Timeout(enum.Enum):
    """What stands for a time-out that was not given."""

    OF_THE_SOCKET = "whatever settimeout() has set"


def sendfile(
    sock: socket.socket,
    file: Sendable,
    offset: int = 0,
    count: int | None = None,
    *,
    timeout: float | Timeout | None = Timeout.OF_THE_SOCKET,
) -> Carried:
    """Send `count` bytes of `file` from `offset` over `sock`, and return when the kernel has taken them all.

    Args:
        sock: a connected stream socket (TCP, Unix, or TLS by `ssl`), blocking or with a time-out; borrowed. Nothing
            else may send on it meanwhile.
        file: a path, a descriptor or a file object; borrowed, its position is neither used nor moved. What a buffered
            writer has not flushed is not in the file.
        offset: the first byte to send.
        count: how many bytes; None for all to the end that the file has now. 0 sends nothing.
        timeout: seconds without progress until `SendTimeout`; None waits for ever; left out, it is the socket's own.
            A TLS socket has no other.

    Returns:
        The bytes sent, and how they were carried.

    Raises:
        PeerGone: the peer closed or reset the connection.
        FileShrank: the file ended before `count` bytes; the connection cannot be used for anything else.
        SendTimeout: the peer took nothing for `timeout` seconds.
        NotSendable: this is no regular file, or no socket for it; nothing was sent.
        TransferError: anything else that ended it. Each of these says how many bytes were `sent`.
        MisuseError: a number is out of range.
        OSError: the path cannot be opened.
    """
    with target_for(sock) as target:
        limit_s = _checked_timeout(sock, target, timeout)
        opened = blocking_open(file, offset, count, _devices)
        outbox = target.outbox_for(opened.piece, may_wait=True)
        opened.file.release()
        try:
            if isinstance(target, TlsTarget):
                _drive(outbox, target, limit_s, waits_by_itself=sock.gettimeout() != 0)
            elif os.get_blocking(target.fd):
                with _kernel_timeout(sock, limit_s):
                    _drive(outbox, target, limit_s, waits_by_itself=True)
            else:
                _drive(outbox, target, limit_s, waits_by_itself=False)
        finally:
            outbox.abandon()
    return Carried(outbox.sent, outbox.carried.decode())


def _checked_timeout(
    sock: socket.socket, target: Target, timeout: float | Timeout | None
) -> float | None:
    """Return the seconds to wait at most, or None for ever."""
    own = sock.gettimeout()
    if isinstance(timeout, Timeout):
        if own == 0:
            raise NotSendable(
                "the socket is non-blocking: give a timeout, or await chute.sock_sendfile instead"
            )
        return own
    timeout = checked_timeout(timeout)
    if isinstance(target, TlsTarget) and own not in (0, timeout):
        raise MisuseError("a TLS socket waits by itself: set its time-out with settimeout()")
    return timeout


def _drive(
    outbox: Outbox, target: Target, timeout_s: float | None, *, waits_by_itself: bool
) -> None:
    """Flush until everything has left.

    Args:
        outbox: what to send.
        target: where to.
        timeout_s: how long nothing may move.
        waits_by_itself: whether the calls that send wait, for as long as `timeout_s` says.
    """
    outbox.peer_has_taken_more()  # from here on
    while True:
        sent_before = outbox.sent
        progress = target.flush(outbox, CHUNK_BYTES)
        if progress is Progress.DONE:
            return
        if progress is not Progress.BLOCKED:
            continue
        is_over = outbox.sent == sent_before if waits_by_itself else not _wait(target, timeout_s)
        if is_over and not outbox.peer_has_taken_more():
            raise SendTimeout(f"the peer took nothing for {timeout_s} s", sent=outbox.sent)


def _wait(target: Target, timeout_s: float | None) -> bool:
    """Wait until the target takes more, and return False if it did not in time."""
    poll = select.poll()
    poll.register(target.fd, select.POLLIN if target.waits_for_input else select.POLLOUT)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


@contextlib.contextmanager
def _kernel_timeout(sock: socket.socket, timeout_s: float | None) -> Iterator[None]:
    """Let the kernel give up waiting for a blocking socket after `timeout_s` seconds (SO_SNDTIMEO, socket(7)).

    A blocking socket waits inside sendfile(2), where no poll reaches, and its blocking mode is not ours to change.
    """
    if timeout_s is None:
        yield
        return
    before = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.size)
    whole, fraction = divmod(timeout_s, 1)
    # A time-out of zero would mean none at all.
    ours = _TIMEVAL.pack(int(whole), max(1, int(fraction * 1e6)))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, ours)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # closed by another thread meanwhile
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, before)
