"""sendfile(2): one call, one answer.

The kernel moves pages from the page cache to the socket; no byte enters this process. Each call names its offset.
Python's `os.sendfile` retries EINTR by itself (PEP 475).

Facts that decide what callers do:
- One call moves at most 0x7ffff000 bytes, and a call without a cap holds the event loop for as long as the socket
  takes more: 32 MB and 18 ms were seen. So callers cap every call.
- Past the end of the file it returns 0: a file that shrank, never "done".
- A short count does not mean that the send buffer is full (the page cache may have been the reason), so only EAGAIN
  does; `send(2)` on a stream socket is different, see `outbox`.
"""

from __future__ import annotations

import os

from chute.transfer.progress import WOULD_BLOCK
from chute.transfer.sending import MSG_MORE, Send

IS_AVAILABLE = hasattr(os, "sendfile")

CALL_BYTES_MAX = 0x7FFFF000
"""What Linux moves in one call at most (sendfile(2))."""


def send_step(out_fd: int, in_fd: int, offset: int, count: int) -> int:
    """Move up to `count` bytes of `in_fd` from `offset` to the socket `out_fd`.

    Returns:
        The bytes moved, 0 past the end of the file, or `WOULD_BLOCK`.

    Raises:
        OSError: any error but EAGAIN and EINTR.
    """
    try:
        return os.sendfile(out_fd, in_fd, offset, min(count, CALL_BYTES_MAX))
    except BlockingIOError:
        return WOULD_BLOCK


def send_with_head(
    out_fd: int, send: Send, head: bytes, in_fd: int, offset: int, count: int
) -> int:
    """Try to send `head` and a whole span of a file in two calls, the usual case of a file that fits.

    Hot: bench "16 KiB" and "64 KiB". It spares the queue of an `Outbox`, and decides nothing: whatever does not go
    through is left to one, which meets the same condition again and knows what it means.

    Args:
        out_fd: the socket's descriptor.
        send: `socket.send` of the same socket.
        head: bytes that go first.
        in_fd: the file's descriptor.
        offset: where the span begins.
        count: its bytes, at most `CALL_BYTES_MAX`.

    Returns:
        The bytes that the socket accepted, of head and span together.
    """
    sent = 0
    try:
        sent = send(head, MSG_MORE)
        if sent == len(head):
            sent += os.sendfile(out_fd, in_fd, offset, count)
    except OSError:
        pass  # EAGAIN, a peer that is gone, or a file system that cannot: see above
    return sent
