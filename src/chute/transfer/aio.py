"""`chute.sock_sendfile`: send a file over a non-blocking socket, under any asyncio event loop.

It needs of the loop only `add_writer` and, for content that is not in memory, an executor, so it runs under uvloop
as well, which has no sendfile of its own. Between chunks the other tasks of the loop have their turn; a chunk that
would wait for the disk is read by the executor first.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial

from chute.errors import MisuseError, NotSendable, SendTimeout
from chute.transfer.arguments import (
    Carried,
    Opened,
    Sendable,
    blocking_open,
    checked_timeout,
    open_at_once,
)
from chute.transfer.method import Devices
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.read_ahead import Outcome, blocking_perform
from chute.transfer.source import SharedFile
from chute.transfer.targets import Target, target_for

CHUNK_BYTES = 1024 * 1024
"""Bytes that one call moves before the other tasks have their turn."""

_devices = Devices("auto")

_busy: set[int] = set()
"""Descriptors that are being sent to, in whichever loop: a second writer would silence the first one's."""


async def sock_sendfile(
    sock: socket.socket,
    file: Sendable,
    offset: int = 0,
    count: int | None = None,
    *,
    timeout: float | None = None,  # noqa: ASYNC109 - it runs between two moments of progress, which no scope can
) -> Carried:
    """Send `count` bytes of `file` from `offset` over `sock`, and return when the kernel has taken them all.

    Cancelling it leaves nothing registered and nothing open; how many bytes had left by then is unknown to the
    caller, so the connection should be closed.

    Args:
        sock: a connected, non-blocking stream socket (TCP, Unix, or TLS by `ssl`); borrowed. Not one that belongs to
            a transport, whose buffered bytes would be overtaken.
        file: a path, a descriptor or a file object; borrowed, its position is neither used nor moved.
        offset: the first byte to send.
        count: how many bytes; None for all to the end that the file has now. 0 sends nothing.
        timeout: seconds without progress until `SendTimeout`; None waits for ever.

    Returns:
        The bytes sent, and how they were carried.

    Raises:
        PeerGone: the peer closed or reset the connection.
        FileShrank: the file ended before `count` bytes; the connection cannot be used for anything else.
        SendTimeout: the peer took nothing for `timeout` seconds.
        NotSendable: this is no regular file, or no socket for it; nothing was sent.
        TransferError: anything else that ended it. Each of these says how many bytes were `sent`.
        MisuseError: a number is out of range, or the socket is being sent to by another call.
        OSError: the path cannot be opened.
    """
    loop = asyncio.get_running_loop()
    timeout_s = checked_timeout(timeout)
    with target_for(sock) as target, _alone(target.fd):
        if sock.gettimeout() != 0:
            raise NotSendable(
                "the socket is blocking: call setblocking(False), or use chute.sendfile"
            )
        opened = await _open(loop, file, offset, count)
        outbox = target.outbox_for(opened.piece, may_wait=False)
        opened.file.release()
        try:
            await _drive(loop, outbox, target, timeout_s)
        finally:
            outbox.abandon()
    return Carried(outbox.sent, outbox.carried.decode())


@contextlib.contextmanager
def _alone(fd: int) -> Iterator[None]:
    if fd in _busy:
        raise MisuseError("another sock_sendfile is sending to this socket")
    _busy.add(fd)
    try:
        yield
    finally:
        _busy.discard(fd)


async def _open(
    loop: asyncio.AbstractEventLoop, file: Sendable, offset: int, count: int | None
) -> Opened:
    """Open a path in the executor, for it may wait for the disk; a descriptor is only looked at, if that is enough."""
    if not isinstance(file, str | bytes) and not hasattr(file, "__fspath__"):
        opened = open_at_once(file, offset, count, _devices)
        if opened is not None:
            return opened
    opening = loop.run_in_executor(None, blocking_open, file, offset, count, _devices)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_release_opened)
        raise


def _release_opened(opening: asyncio.Future[Opened]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().file.release()


async def _drive(
    loop: asyncio.AbstractEventLoop, outbox: Outbox, target: Target, timeout_s: float | None
) -> None:
    outbox.peer_has_taken_more()  # from here on
    while (progress := target.flush(outbox, CHUNK_BYTES)) is not Progress.DONE:
        match progress:
            case Progress.BLOCKED:
                while not await _is_ready(loop, target, timeout_s):
                    if not outbox.peer_has_taken_more():
                        raise SendTimeout(
                            f"the peer took nothing for {timeout_s} s", sent=outbox.sent
                        )
            case Progress.COLD:
                outbox.was_read(await _read(loop, outbox))
            case _:
                await asyncio.sleep(0)


async def _is_ready(
    loop: asyncio.AbstractEventLoop, target: Target, timeout_s: float | None
) -> bool:
    """Wait until the target takes more, and return False if it did not in time."""
    ready: asyncio.Future[None] = loop.create_future()
    reads = target.waits_for_input
    try:
        (loop.add_reader if reads else loop.add_writer)(target.fd, _set, ready)
    except RuntimeError as error:
        raise NotSendable(
            f"the socket belongs to a transport ({error}): use loop.sendfile"
        ) from error
    try:
        await asyncio.wait_for(ready, timeout_s)
    except TimeoutError:
        return False
    finally:
        (loop.remove_reader if reads else loop.remove_writer)(target.fd)
    return True


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _read(loop: asyncio.AbstractEventLoop, outbox: Outbox) -> Outcome:
    """Have the executor read what is wanted; it keeps the file open for as long as that takes."""
    wanted = outbox.wanted
    assert wanted is not None
    reading = loop.run_in_executor(None, blocking_perform, wanted, wanted.file.fd)
    wanted.file.acquire()
    reading.add_done_callback(partial(_let_go, wanted.file))
    return await asyncio.shield(reading)


def _let_go(file: SharedFile, reading: asyncio.Future[Outcome]) -> None:
    file.release()
    if not reading.cancelled():
        reading.exception()
