"""Where log lines go, without ever holding up the event loop for long.

A regular file takes a write at memory speed. A pipe or a terminal may not: its reader can stop reading, and a server
that logs to it would stop serving (`chute ... --access-log - | less`). So everything but a regular file is written by
a thread behind a bounded queue; what does not fit is dropped, counted, and reported.
"""

from __future__ import annotations

import logging
import os
import queue
import stat
import sys
import threading

from chute.errors import ConfigError

logger = logging.getLogger("chute.log")

QUEUE_WRITES_MAX = 256
"""Pending writes behind a slow pipe, each up to some hundred kilobytes."""

STANDARD_OUTPUT = "-"


class LogFile:
    """An append-only destination for lines."""

    def __init__(self, path: str) -> None:
        """Open `path` for appending, or standard output for `-`.

        Raises:
            ConfigError: the file cannot be opened.
        """
        self._fd = _open(path)
        self._path = path
        self._lost_bytes = 0
        self._queue: queue.Queue[bytes | None] | None = None
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self._queue = queue.Queue(QUEUE_WRITES_MAX)
            self._thread = threading.Thread(target=self._blocking_write_all, daemon=True)
            self._thread.start()

    def write(self, lines: bytes) -> None:
        """Append `lines`; never raises, because a full disk must not end the serving of files."""
        if self._queue is None:
            self._write_now(lines)
            return
        try:
            self._queue.put_nowait(lines)
        except queue.Full:
            self._report_loss(len(lines), "its reader is too slow")

    def reopen(self) -> None:
        """Go on with the file that has the name now; where there cannot be one, with the old one, and say so.

        The descriptor keeps its number, so that a thread that is writing to it is not disturbed (dup2(2)).
        """
        if self._path == STANDARD_OUTPUT:
            return
        try:
            fd = _open(self._path)
        except ConfigError as error:
            logger.error("%s; the old file is written on", error)  # noqa: TRY400 - the operator's, not ours
            return
        os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)
        self._lost_bytes = 0

    def close(self) -> None:
        """Write what is queued, for a second at most, and close the descriptor."""
        if self._queue is not None:
            try:
                self._queue.put(None, timeout=1.0)
                self._thread.join(timeout=1.0)
            except queue.Full:
                pass
            if self._thread.is_alive():
                return  # Its descriptor is in use; the process is about to end anyway.
        os.close(self._fd)

    def _write_now(self, lines: bytes) -> None:
        rest = memoryview(lines)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self._report_loss(len(rest), error.strerror or str(error))

    def _blocking_write_all(self) -> None:
        assert self._queue is not None
        while (lines := self._queue.get()) is not None:
            self._write_now(lines)

    def _report_loss(self, lost_bytes: int, reason: str) -> None:
        """Say once that lines are being lost, and keep count; a line per lost line would make it worse."""
        if self._lost_bytes == 0:
            logger.error("access log %s: lines are being lost: %s", self._path, reason)
        self._lost_bytes += lost_bytes


def _open(path: str) -> int:
    """Return a descriptor of `path` for appending, or of standard output.

    Raises:
        ConfigError: the file cannot be opened.
    """
    if path == STANDARD_OUTPUT:
        return os.dup(sys.stdout.fileno())
    try:
        with open(path, "ab", buffering=0) as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise ConfigError(
            f"cannot write the access log {path!r}: {error.strerror}",
            hint="name a file in a folder that exists and can be written, '-', or 'off'",
        ) from error
