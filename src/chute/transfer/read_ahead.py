"""Reading that may wait for a disk, done in threads, so that a slow disk stalls only who asked for its content.

A job either brings content into the page cache, from where sendfile or a read finds it, or keeps what it read, where
there is no page cache to rely on. To bring it in, the kernel moves it to /dev/null by sendfile(2): every page is read
and none is copied (23 us per MiB that is in memory already, against 43 for a read).

Theory of operation. Everything but `_work` and `blocking_perform` happens in the thread of the event loop. A job holds
a reference to its file, so that a connection may end at any moment; references are counted in the loop's thread only.
Threads are started when there is work for them, and are daemons: a disk that never answers must not keep the process
from ending. No device gets more than half of them, so that one dead file server leaves room for the others.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from chute.transfer import copying, sendfile
from chute.transfer.method import Device
from chute.transfer.source import SharedFile

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


class Job:
    """One thing to read; compared by identity."""

    __slots__ = ("fd", "on_done", "wanted")

    def __init__(self, wanted: Wanted, on_done: Callable[[Outcome], None]) -> None:
        self.wanted = wanted
        self.fd = wanted.file.fd
        self.on_done = on_done


class ReadAhead:
    """Threads that read, for one event loop."""

    def __init__(self, notify: Callable[[], object]) -> None:
        """Make a reader that has no thread yet.

        Args:
            notify: called in a thread when something is done; must have `deliver` called in the loop's thread. Its
                RuntimeError, for a loop that is closed, is ignored.
        """
        self._notify = notify
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._done: SimpleQueue[tuple[Job, Outcome]] = SimpleQueue()
        self._threads = 0
        self._running: dict[Device, int] = {}
        self._waiting: dict[Device, dict[Job, None]] = {}

    def submit(self, wanted: Wanted, on_done: Callable[[Outcome], None]) -> Job:
        """Have `wanted` read, and call `on_done` with the outcome, from `deliver`; acquires the file meanwhile.

        Returns:
            What `cancel` takes.
        """
        wanted.file.acquire()
        job = Job(wanted, on_done)
        device = wanted.file.device
        if self._running.get(device, 0) < THREADS_PER_DEVICE_MAX:
            self._begin(job)
        else:
            self._waiting.setdefault(device, {})[job] = None
        return job

    def cancel(self, job: Job) -> None:
        """Forget a job that has not begun; one that has is carried through. Either way nobody is told any more.

        So what waits for a disk that never answers is bounded by the connections that are open.
        """
        job.on_done = _nobody
        waiting = self._waiting.get(job.wanted.file.device, {})
        if job in waiting:
            del waiting[job]
            job.wanted.file.release()

    def deliver(self) -> None:
        """Tell of everything that was done; in the loop's thread."""
        while not self._done.empty():
            job, outcome = self._done.get()
            device = job.wanted.file.device
            self._running[device] -= 1
            waiting = self._waiting.get(device)
            if waiting:
                self._begin(_take_first(waiting))
            elif not self._running[device]:
                del self._running[device]
                self._waiting.pop(device, None)
            job.wanted.file.release()
            job.on_done(outcome)

    def close(self) -> None:
        """Send the threads home; nobody hears of what they are still reading."""
        for waiting in self._waiting.values():
            for job in waiting:
                job.wanted.file.release()
        self._waiting.clear()
        for _ in range(self._threads):
            self._jobs.put(None)

    def _begin(self, job: Job) -> None:
        device = job.wanted.file.device
        self._running[device] = self._running.get(device, 0) + 1
        if self._threads < min(THREADS_MAX, sum(self._running.values())):
            try:
                threading.Thread(target=self._work, name="chute-read-ahead", daemon=True).start()
            except RuntimeError:
                # No further thread is allowed (a limit on processes, as containers have).
                if not self._threads:
                    self._perform(job)
                    return
            else:
                self._threads += 1
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if not self._perform(job):
                return

    def _perform(self, job: Job) -> bool:
        """Do `job`, and return whether there is still a loop to tell of it."""
        outcome: Outcome
        try:
            outcome = blocking_perform(job.wanted, job.fd)
        except Exception as error:  # noqa: BLE001 - the wall: whatever it was, somebody waits to hear of it
            outcome = OSError(errno.ENOMEM if isinstance(error, MemoryError) else 0, repr(error))
        self._done.put((job, outcome))
        try:
            self._notify()
        except RuntimeError:
            return False
        return True


def _nobody(_: Outcome) -> None:
    """Take an outcome that nobody waits for any more."""


def _take_first(jobs: dict[Job, None]) -> Job:
    job = next(iter(jobs))
    del jobs[job]
    return job


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
