"""Carrying spans of files to one socket: one call at a time, by the best method that this file and socket allow.

The order of questions, for every call: is there a reason to copy (the socket's, or the file's device)? Are the bytes in
memory, or would the call wait for the disk? Then one system call moves what goes. Everything that is decided here is
decided again at the next call, except after the first byte of a span: from then on there is no second method, for
what a failing call has already sent cannot be told from what it has not.
"""

from __future__ import annotations

import os

from chute.clock import monotonic_s
from chute.errors import TransferError
from chute.transfer import copying, residency, sendfile
from chute.transfer.method import Residency
from chute.transfer.progress import NOT_IN_MEMORY, WOULD_BLOCK
from chute.transfer.read_ahead import Outcome, Wanted
from chute.transfer.sending import PEER_ERRORS, Send, name_of
from chute.transfer.source import FileSpan, Piece

BUFFER = b"buffer"
SENDFILE = b"sendfile"

WINDOW_BYTES = 256 * 1024
"""What is waited for at first when content has to come from the disk; doubles up to `WINDOW_BYTES_MAX`."""
WINDOW_BYTES_MAX = 4 * 1024 * 1024


class Carrier:
    """Moves bytes of spans; knows of one span at a time.

    Attributes:
        carried: how content went so far: `buffer`, `sendfile` or `copy:<reason>`; the last span decides.
        wanted: what has to be read before the next step, after a step that returned `NOT_IN_MEMORY`.
        is_full: whether the socket took less than it was offered, and so is full.
    """

    __slots__ = (
        "_copy_reason",
        "_fd",
        "_has_read",
        "_held",
        "_holds_unsent",
        "_may_wait",
        "_ready_to",
        "_ready_until_s",
        "_refused",
        "_send",
        "_window",
        "carried",
        "is_full",
        "wanted",
    )

    def __init__(
        self, fd: int, send: Send, *, copy_reason: bytes | None, holds_unsent: bool, may_wait: bool
    ) -> None:
        """Carry to the socket `fd`; see `Outbox` for the arguments."""
        self._fd = fd
        self._send = send
        self._copy_reason = copy_reason
        self._holds_unsent = holds_unsent
        self._may_wait = may_wait
        self._held: bytes = b""
        self._refused = 0
        self._has_read = False
        self._window = WINDOW_BYTES
        self._ready_to = 0
        self._ready_until_s = 0.0
        self.carried = BUFFER
        self.wanted: Wanted | None = None
        self.is_full = False

    def step(self, span: FileSpan, sent: int, budget: int, flags: int) -> int:
        """Move bytes of `span`, of which `sent` have left, `budget` at most.

        Returns:
            The bytes moved, 0 past the end of the file, `WOULD_BLOCK`, or `NOT_IN_MEMORY`.

        Raises:
            OSError: the socket failed, or sendfile did after the first byte.
            TransferError: the file could not be read.
        """
        self.is_full = False
        offset = span.offset + sent
        count = min(span.count - sent, budget)
        device = span.file.device
        reason = self._copy_reason or device.copy_reason
        if reason is None:
            if not self._may_wait and device.residency is not Residency.ALWAYS:
                count = self._bytes_ready(span, offset, count)
                if count == 0:
                    return NOT_IN_MEMORY
            try:
                moved = sendfile.send_step(self._fd, span.file.fd, offset, count)
            except OSError as error:
                if sent > 0 or error.errno in PEER_ERRORS:
                    raise
                reason = self._copy_reason = device.note_failure(error.errno)
            else:
                if moved or not _has_byte_at(span.file.fd, offset):
                    self.carried = SENDFILE
                    return moved
                # Nothing, though there is more: said by file systems that sendfile goes wrong on (T33). No byte has
                # moved, so copying can take over at the exact offset.
                reason = self._copy_reason = b"zero"
        self.carried = b"copy:" + reason
        return self._copy(span, offset, count, flags)

    def next_span(self) -> None:
        """Forget what is known of the span; the next step is one of another."""
        self._held = b""
        self._has_read = False
        self._ready_to = 0

    def was_read(self, span: FileSpan, outcome: Outcome) -> None:
        """Go on with what was `wanted`, which is a part of `span`.

        Raises:
            TransferError: it could not be read.
        """
        wanted, self.wanted = self.wanted, None
        assert wanted is not None, "nothing was wanted"
        if isinstance(outcome, OSError):
            raise _read_failure(outcome) from outcome
        if wanted.keeps:
            self._held = outcome or b""
            self._has_read = True
            return
        self._trust(wanted.offset + wanted.count, monotonic_s())
        if wanted.offset == span.offset and wanted.count == span.count:
            span.resident_until_s = self._ready_until_s

    def _bytes_ready(self, span: FileSpan, offset: int, count: int) -> int:
        """Return how many of `count` bytes at `offset` are in memory; if it is none, they are `wanted` from now on."""
        now_s = monotonic_s()
        if now_s < span.resident_until_s:
            return count
        known = self._ready_to - offset if now_s < self._ready_until_s else 0
        if known >= count:
            return count
        if span.file.device.residency is Residency.PROBED:
            count = min(count, residency.PROBED_BYTES_MAX)
            if known >= count:
                return count
            begin = max(0, known)
            if residency.is_resident(span.file.fd, offset + begin, count - begin):
                # The trust in what was known before is not renewed by asking for what lies behind it.
                self._trust(
                    offset + count, self._ready_until_s - residency.TRUSTED_S if begin else now_s
                )
                return count
        if known > 0:
            return known
        self._want(span, offset, keeps=False)
        return 0

    def _trust(self, ready_to: int, now_s: float) -> None:
        self._ready_to = ready_to
        self._ready_until_s = now_s + residency.TRUSTED_S

    def _want(self, span: FileSpan, offset: int, *, keeps: bool) -> None:
        count = min(span.offset + span.count - offset, self._window)
        self._window = min(2 * self._window, WINDOW_BYTES_MAX)
        self.wanted = Wanted(span.file, offset, count, keeps)

    def _copy(self, span: FileSpan, offset: int, count: int, flags: int) -> int:
        # What TLS has refused it must be offered again, all of it, whatever the budget is by now.
        content: bytes | memoryview | None = self._held[: max(count, self._refused)]
        if not content:
            try:
                content = self._read(span, offset, count)
            except OSError as error:
                raise _read_failure(error) from error
        if content is None:
            return NOT_IN_MEMORY
        if not content:
            return 0
        try:
            moved = self._send(content, flags)
        except BlockingIOError:
            moved = WOULD_BLOCK
        self._refused = len(content) if self._holds_unsent and moved == WOULD_BLOCK else 0
        self.is_full = 0 <= moved < len(content)
        self._hold(content, max(moved, 0))
        return moved

    def _hold(self, content: bytes | memoryview, moved: int) -> None:
        """Keep what was read and not taken, if reading it again is dear or its bytes are promised to TLS already."""
        if self._held:
            self._held = self._held[moved:]
        elif self._holds_unsent:
            self._held = bytes(content[moved:])
        self._has_read = False

    def _read(self, span: FileSpan, offset: int, count: int) -> bytes | memoryview | None:
        """Return the next bytes, nothing past the end of the file, or None if they are `wanted` from now on."""
        fd = span.file.fd
        device = span.file.device
        if self._may_wait or device.residency is Residency.ALWAYS:
            return copying.blocking_read(fd, offset, count)
        if device.residency is Residency.UNKNOWN:
            if self._has_read:
                return b""
            self._want(span, offset, keeps=True)
            return None
        if offset < self._ready_to and monotonic_s() < self._ready_until_s:
            return copying.blocking_read(fd, offset, min(count, self._ready_to - offset))
        content = copying.read_in_memory(fd, offset, count)
        # Nothing is not yet the end: on Linux 5.9 and 5.10 it is an answer to RWF_NOWAIT too (preadv2(2), BUGS).
        if not content:
            self._want(span, offset, keeps=False)
            return None
        return content


def method_for(pieces: tuple[Piece, ...]) -> bytes:
    """Return how `pieces` will be carried, unless sendfile fails on a device for the first time."""
    carried = BUFFER
    for piece in pieces:
        if isinstance(piece, FileSpan):
            reason = piece.file.device.copy_reason
            carried = SENDFILE if reason is None else b"copy:" + reason
    return carried


def confirm_residency(span: FileSpan, now_s: float) -> bool:
    """Whether `span` can be sent by sendfile at once, without a `Carrier`; remembered for `TRUSTED_S`."""
    device = span.file.device
    if device.copy_reason is not None or device.residency is Residency.UNKNOWN:
        return False
    if device.would_wait(span.file.fd, span.offset, span.count):
        return False
    span.resident_until_s = now_s + residency.TRUSTED_S
    return True


def _has_byte_at(fd: int, offset: int) -> bool:
    """Whether the file is longer than `offset`; if that cannot be told, it is not."""
    try:
        return os.fstat(fd).st_size > offset
    except OSError:
        return False


def _read_failure(error: OSError) -> TransferError:
    return TransferError(f"reading the file failed ({name_of(error)})")
