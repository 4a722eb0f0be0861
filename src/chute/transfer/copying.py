"""The portable path: pread(2) and send(2), with the contract of `sendfile`.

Nothing is kept between two steps: what the socket did not take is read again from the page cache at the exact offset
reached. That costs a slow reader some repeated reads and saves a buffer per connection, so memory stays flat however
many clients stall.
"""

from __future__ import annotations

import os

from chute.transfer.progress import WOULD_BLOCK
from chute.transfer.sending import Send

READ_BYTES = 256 * 1024
"""One read: large enough that the calls do not matter, small enough to stay in the second-level cache."""


def send_step(send: Send, in_fd: int, offset: int, count: int, flags: int) -> int:
    """Copy up to `count` bytes of `in_fd` from `offset` into the socket behind `send`.

    Returns:
        The bytes moved, 0 past the end of the file, or `WOULD_BLOCK`.

    Raises:
        OSError: any error but EAGAIN and EINTR, from either side.
    """
    content = os.pread(in_fd, min(count, READ_BYTES), offset)
    if not content:
        return 0
    try:
        return send(content, flags)
    except BlockingIOError:
        return WOULD_BLOCK
