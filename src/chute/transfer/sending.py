"""send(2) as the parts of this room see it."""

from __future__ import annotations

import socket
from collections.abc import Callable

Send = Callable[[bytes | memoryview, int], int]
"""`socket.send`: bytes and flags in, the count accepted out."""

MSG_MORE: int = getattr(socket, "MSG_MORE", 0)
"""More follows at once (Linux): head and content share a segment. Elsewhere there is no such flag."""
