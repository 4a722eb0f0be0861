"""The clients of an onslaught: honest ones, ones that reset in the middle of a body, and ones that read slowly.

All of them compare what they receive with what the files say. They never wait: whoever owns them calls `receive` when
their socket is readable, and `sip` from time to time.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import time
from typing import NamedTuple

KIB, MIB = 1 << 10, 1 << 20
CONNECT_S = 10.0
HEAD_BYTES_MAX = 4 * KIB
CRAWL_BYTES_PER_S = 10_000
CRAWL_BUFFER = 8 * KIB

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_CONTENT_RANGE = re.compile(rb"\r\ncontent-range: *([^\r]+)\r\n", re.IGNORECASE)


class Wanted(NamedTuple):
    """One request, and the answer that it must get.

    Attributes:
        target: the request target.
        field_lines: beside Host and User-Agent.
        status: the status code.
        content_range: the value of Content-Range; None for a whole file.
        file: the content of all of the file; only to say what went wrong.
        offset: where the answer begins in it.
        count: bytes of content.
        digest: their SHA-256.
    """

    target: str
    field_lines: str
    status: bytes
    content_range: bytes | None
    file: bytes
    offset: int
    count: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.target} {self.field_lines!r}"


class WrongAnswerError(Exception):
    """What came is not what was asked for; says how it differs."""


class Client:
    """A connection, open from the beginning; its owner closes it."""

    AGENT = "nobody"

    def __init__(self, address: tuple[str, int], *, receive_buffer: int = 0) -> None:
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(CONNECT_S)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise
        self.sock.setblocking(False)

    def ask(self, target: str, field_lines: str = "") -> None:
        """Send a request; an idle connection takes it whole."""
        head = f"GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: {self.AGENT}\r\n{field_lines}\r\n"
        assert self.sock.send(head.encode()) == len(head)


class HonestClient(Client):
    """Sends one request after another, and checks what it gets."""

    AGENT = "honest"

    def __init__(self, address: tuple[str, int]) -> None:
        super().__init__(address)
        self.wanted: Wanted | None = None
        self.head = b""
        self.digest = None
        self.first_bytes = b""
        self.missing = 0

    def begin(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.head = b""
        self.digest = None
        self.missing = wanted.count
        self.ask(wanted.target, wanted.field_lines)

    def receive(self, room: bytearray, view: memoryview) -> bool:
        """Take what has come; return whether the answer is complete, and then it was right."""
        count = self.sock.recv_into(room)
        if not count:
            raise WrongAnswerError("closed by the server")
        if self.wanted is None:
            raise WrongAnswerError(f"got {bytes(view[:80])!r}, although nothing was asked")
        content = view[:count]
        if self.digest is None:
            if self.head or room.find(b"\r\n\r\n", 0, count) < 0:
                self.head += content
                content = memoryview(self.head)
            end = bytes(content[:HEAD_BYTES_MAX]).find(b"\r\n\r\n")
            if end < 0:
                return False
            self.check_head(bytes(content[: end + 2]), self.wanted)
            content = content[end + 4 :]
            self.first_bytes = bytes(content[:16])
            self.digest = hashlib.sha256()
        self.digest.update(content)
        self.missing -= len(content)
        if self.missing > 0:
            return False
        if self.missing < 0:
            raise WrongAnswerError(f"{-self.missing} bytes beyond the end of the answer")
        if self.digest.digest() != self.wanted.digest:
            found = self.wanted.file.find(self.first_bytes)
            raise WrongAnswerError(
                f"wrong bytes: what came first stands at {found} in the file, not at {self.wanted.offset}"
            )
        return True

    def check_head(self, head: bytes, wanted: Wanted) -> None:
        length = _CONTENT_LENGTH.search(head)
        content_range = _CONTENT_RANGE.search(head)
        seen = (head[:13], length and int(length[1]), content_range and content_range[1])
        right = (b"HTTP/1.1 %b " % wanted.status, wanted.count, wanted.content_range)
        if seen != right:
            raise WrongAnswerError(f"{seen} instead of {right}")

    def __str__(self) -> str:
        if self.wanted is None:
            return "honest, nothing asked"
        return f"honest, {self.wanted.count - self.missing} of {self.wanted.count} bytes of {self.wanted}"


class LargeFileClient(Client):
    """Asks for `/large`, and compares what comes of it."""

    def __init__(
        self, address: tuple[str, int], content: bytes, *, receive_buffer: int = 0
    ) -> None:
        super().__init__(address, receive_buffer=receive_buffer)
        self.content = content
        self.head = b""
        self.is_in_head = True
        self.received = 0

    def begin(self) -> None:
        self.ask("/large")

    def take(self, view: memoryview) -> int:
        """Receive what fits into `view`, and return how many bytes of content that were."""
        count = self.sock.recv_into(view)
        if not count:
            raise WrongAnswerError("closed by the server")
        data = bytes(view[:count])
        if self.is_in_head:
            self.head, separator, data = (self.head + data).partition(b"\r\n\r\n")
            self.is_in_head = not separator
        if data != self.content[self.received : self.received + len(data)]:
            raise WrongAnswerError(f"wrong bytes among the {len(data)} that came last")
        self.received += len(data)
        return len(data)

    def __str__(self) -> str:
        return f"{self.AGENT}, {self.received} bytes of /large"


class ResettingClient(LargeFileClient):
    """Leaves with a reset once it has received some of the body."""

    AGENT = "resetting"

    def __init__(self, address: tuple[str, int], content: bytes, reset_after: int) -> None:
        super().__init__(address, content)
        self.reset_after = reset_after

    def receive(self, _room: bytearray, view: memoryview) -> bool:
        """Take what has come; return whether it is time to reset."""
        self.take(view[: 64 * KIB])
        return self.received >= self.reset_after

    def prepare_reset(self) -> None:
        """Make the close, which is the owner's, a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class CrawlingClient(LargeFileClient):
    """Reads at a constant rate, far below what the server could send."""

    AGENT = "crawling"

    def __init__(self, address: tuple[str, int], content: bytes) -> None:
        super().__init__(address, content, receive_buffer=CRAWL_BUFFER)
        self.began_s = time.monotonic()

    def begin(self) -> None:
        super().begin()
        self.began_s = time.monotonic()

    def sip(self, view: memoryview) -> int:
        """Take what the rate allows by now, and return how many bytes of content that were."""
        allowed = int((time.monotonic() - self.began_s) * CRAWL_BYTES_PER_S) - self.received
        try:
            return self.take(view[: min(allowed, CRAWL_BUFFER)]) if allowed > 0 else 0
        except BlockingIOError:
            return 0
