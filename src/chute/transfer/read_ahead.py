"""Reading that may wait for a disk, done in threads, so that a slow disk stalls only who asked for its content.

A job either brings content into the page cache, from where sendfile or a read finds it, or keeps what it read, where
there is no page cache to rely on. To bring it in, the kernel moves it to /dev/null by sendfile(2): every page is read
and none is copied (23 us per MiB that is in memory already, against 43 for a read).

Each device is a lane of its own. A job holds a reference to its file, so that a connection may end at any moment;
references are counted in the loop's thread only.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from chute.transfer import copying, sendfile
from chute.transfer.source import SharedFile
from chute.transfer.threads import Threads

THREADS_MAX = 16
THREADS_PER_DEVICE_MAX = THREADS_MAX // 2

AHEAD_BYTES = 4 * 1024 * 1024
"""What the kernel is told of that will be needed next, beyond what is waited for."""

Outcome = bytes | OSError | None
"""What came of a job: content, if it was to be kept; the error of the file system; or nothing to say."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Content that somebody needs in memory.

    Attributes:
        file: where it is.
        offset: the first byte.
        count: how many bytes; of those that are to be kept, `copying.READ_BYTES` come at most.
        keeps: whether the content itself is the outcome.
    """

    file: SharedFile
    offset: int
    count: int
    keeps: bool


class Reading:
    """A job of reading, which holds its file until it is told of or dropped."""

    __slots__ = ("_fd", "_on_read", "_wanted", "lane")

    def __init__(self, wanted: Wanted, on_read: Callable[[Outcome], None]) -> None:
        wanted.file.acquire()
        self._wanted = wanted
        self._fd = wanted.file.fd
        self._on_read: Callable[[Outcome], None] | None = on_read
        self.lane: Hashable = wanted.file.device

    def blocking_work(self) -> Outcome:
        """Read; see `threads.Job`."""
        return blocking_perform(self._wanted, self._fd)

    def on_done(self, outcome: object) -> None:
        """Give the file back, and tell whoever still listens."""
        self._wanted.file.release()
        if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
            number = errno.ENOMEM if isinstance(outcome, MemoryError) else 0
            outcome = OSError(number, repr(outcome))
        assert outcome is None or isinstance(outcome, bytes | OSError), "no outcome of a reading"
        if self._on_read is not None:
            self._on_read(outcome)

    def forget(self, *, is_dropped: bool) -> None:
        """Tell nobody any more; a job that will never be done gives its file back now."""
        self._on_read = None
        if is_dropped:
            self._wanted.file.release()


class ReadAhead:
    """Reads in threads, for one event loop."""

    def __init__(self, notify: Callable[[], object]) -> None:
        """Begin without a thread; see `Threads` for `notify`."""
        self._threads: Threads[Reading] = Threads(
            notify, threads_max=THREADS_MAX, threads_per_lane_max=THREADS_PER_DEVICE_MAX
        )

    def submit(self, wanted: Wanted, on_read: Callable[[Outcome], None]) -> Reading:
        """Have `wanted` read, and call `on_read` with the outcome, from `deliver`; acquires the file meanwhile.

        Returns:
            What `cancel` takes.
        """
        reading = Reading(wanted, on_read)
        self._threads.submit(reading)
        return reading

    def cancel(self, reading: Reading) -> None:
        """Forget a job that has not begun; one that has is carried through. Either way nobody is told any more.

        So what waits for a disk that never answers is bounded by the connections that are open.
        """
        reading.forget(is_dropped=self._threads.cancel(reading))

    def deliver(self) -> None:
        """Tell of everything that was read; in the loop's thread."""
        self._threads.deliver()

    def close(self) -> None:
        """Send the threads home; nobody hears of what they are still reading."""
        for reading in self._threads.close():
            reading.forget(is_dropped=True)


def blocking_perform(wanted: Wanted, fd: int) -> Outcome:
    """Read `wanted` from `fd`, waiting for as long as the disk takes; in a thread."""
    try:
        if wanted.keeps:
            return copying.blocking_read(fd, wanted.offset, wanted.count)
        _blocking_fill_page_cache(fd, wanted.offset, wanted.count)
    except OSError as error:
        return error
    return None


def _blocking_fill_page_cache(fd: int, offset: int, count: int) -> None:
    """Return when `count` bytes from `offset` on are in memory, or the file has ended."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # advice that is refused does no harm
            os.posix_fadvise(fd, offset, count + AHEAD_BYTES, os.POSIX_FADV_WILLNEED)
    end = offset + count
    uses_sendfile = sendfile.IS_AVAILABLE
    while offset < end:
        moved = 0
        if uses_sendfile:
            try:
                moved = os.sendfile(_null_fd(), fd, offset, end - offset)
            except OSError:
                uses_sendfile = False  # another file system, or another kernel; a read always goes
                continue
        else:
            moved = len(copying.blocking_read(fd, offset, end - offset))
        if moved == 0:
            return
        offset += moved


def _null_fd() -> int:
    """Return a descriptor of the file that swallows everything, open for as long as the process lives."""
    with _null_lock:
        return _open_null()


_null_lock = threading.Lock()


@functools.cache
def _open_null() -> int:
    return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
