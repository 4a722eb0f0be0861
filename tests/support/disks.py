"""A disk behind the page cache, played: for tests of what happens while content is not in memory.

A `PlayedDisk` stands behind every call that reads a file: sendfile(2), pread(2), and preadv(2) with RWF_NOWAIT. It
knows which pages are in memory. A call that touches others brings them in; made in the thread of the event loop, it
has stalled everybody, and the disk takes note of that. The bytes themselves come from real files. Where they go, a
`PlayedSocket` accepts them; what is sent to any other descriptor, /dev/null that is, is swallowed.

A stall is *foreseeable* unless the page lies between two pages, at most `PROBED_BYTES_MAX` apart, that the disk has
shown to be in memory within the last `TRUSTED_S` seconds, itself included: to an asker by RWF_NOWAIT, or by reading
them in a thread. That is exactly what probing can see: what was evicted since, and a hole in the middle of a chunk
both of whose ends are there, it cannot.

There is one set of pages: whatever is read lies on the same ones, so a test reads one file.

For tests of the threads themselves there are a `PlayedLoop` to deliver to, and `BusyThreads`, which read nothing and
take as long as a test says.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from collections.abc import Callable, Iterator
from unittest import mock

from carrying import SOCKET_FD, Act, PlayedSocket, failing
from chute.transfer import carrier, residency
from chute.transfer.method import Device
from chute.transfer.read_ahead import Outcome, ReadAhead, Wanted, blocking_perform

PAGE_BYTES = 4096

SOON_S = 5.0
"""Longer than anything that a thread is waited for takes; only a test that fails waits for it."""

_real_pread = os.pread

Meets = Callable[[str], Act | None]
"""What a call meets, by its name: an error, at most so many bytes, or None for nothing special."""


def nothing(_: str) -> None:
    """No call meets anything special."""


class FaultAtCall:
    """Of the calls with this name, number `n` meets `fault`.

    Attributes:
        has_struck: whether there was such a call.
    """

    def __init__(self, name: str, n: int, fault: Act) -> None:
        self._name, self._left, self._fault = name, n, fault
        self.has_struck = False

    def __call__(self, name: str) -> Act | None:
        if name != self._name or self.has_struck:
            return None
        self._left -= 1
        self.has_struck = self._left < 0
        return self._fault if self.has_struck else None


class PlayedDisk:
    """Pages of one file, some of them in memory.

    Attributes:
        now_s: what the carrier takes for the time, while the disk is plugged in.
        resident: numbers of the pages that are in memory.
        answers_probes: whether RWF_NOWAIT is supported; without it, such a call raises EOPNOTSUPP.
        meets: what the calls `sendfile`, `fill` (sendfile to /dev/null), `pread`, `probe` (preadv) and `advise`
            (posix_fadvise) meet.
        after_call: called with the name of every call that has ended well, before it returns.
        stalls: how often the loop's thread waited for the disk.
        foreseeable_stalls: how often it need not have; see the module.
        failed_in_loop: how often it ran into a range that fails and is not in memory.
        calls: (name, offset, count) of every call, in order.
    """

    def __init__(self, socket: PlayedSocket, *, resident: range = range(0)) -> None:
        self._socket = socket
        self._bad: list[tuple[int, int, int]] = []
        self._seen_s: dict[int, float] = {}
        self._is_in_thread = False
        self.now_s = 1000.0
        self.resident = set(resident)
        self.answers_probes = True
        self.meets: Meets = nothing
        self.after_call: Callable[[str], None] = lambda _: None
        self.stalls = 0
        self.foreseeable_stalls = 0
        self.failed_in_loop = 0
        self.calls: list[tuple[str, int, int]] = []

    # ------------------------------------------------------------------ what a test does to it

    def evict(self, offset: int = 0, count: int = 1 << 40) -> None:
        """Drop every page that the range touches; without a range, all."""
        first, last = offset // PAGE_BYTES, (offset + count - 1) // PAGE_BYTES
        self.resident = {page for page in self.resident if not first <= page <= last}

    def fail(self, offset: int, count: int, number: int) -> None:
        """Let reading any byte of the range raise `number`; what comes before it can still be read.

        A page with such a byte never is in memory.
        """
        self._bad.append((offset, count, number))

    def read(self, wanted: Wanted) -> Outcome:
        """Read what is wanted, as a thread would."""
        self._is_in_thread = True
        try:
            return blocking_perform(wanted, wanted.file.fd)
        finally:
            self._is_in_thread = False

    @contextlib.contextmanager
    def plugged(self) -> Iterator[PlayedDisk]:
        """Stand behind the system calls, and behind the carrier's clock, while the block runs."""
        with (
            mock.patch.object(os, "sendfile", self._sendfile),
            mock.patch.object(os, "pread", self._pread),
            mock.patch.object(os, "preadv", self._preadv),
            mock.patch.object(os, "posix_fadvise", self._advise),
            mock.patch.object(carrier, "monotonic_s", self._monotonic_s),
        ):
            yield self

    def named(self, name: str) -> list[tuple[str, int, int]]:
        """Return the calls of that name."""
        return [call for call in self.calls if call[0] == name]

    # ------------------------------------------------------------------ the system calls

    def _sendfile(self, out_fd: int, in_fd: int, offset: int, count: int) -> int:
        is_to_socket = out_fd == SOCKET_FD
        name = "sendfile" if is_to_socket else "fill"
        count = self._readable(name, in_fd, offset, count)
        if is_to_socket:
            count = self._socket.sendfile(out_fd, in_fd, offset, count)
        self.after_call(name)
        return count

    def _pread(self, fd: int, count: int, offset: int) -> bytes:
        content = _real_pread(fd, self._readable("pread", fd, offset, count), offset)
        self.after_call("pread")
        return content

    def _preadv(self, fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        assert flags & residency._NO_WAIT, "a read that may wait, where none was expected"
        (buffer,) = buffers
        count = len(memoryview(buffer))
        self.calls.append(("probe", offset, count))
        act = self.meets("probe")
        if isinstance(act, OSError):
            raise act
        if not self.answers_probes:
            raise failing(errno.EOPNOTSUPP)
        at_most = count if act is None else min(act, count)
        content = _real_pread(fd, at_most, offset)
        in_memory = 0
        for page in _pages(offset, len(content)):
            if page not in self.resident:
                break
            self._seen_s[page] = self.now_s
            in_memory = min(len(content), (page + 1) * PAGE_BYTES - offset)
        if content and not in_memory:
            raise failing(errno.EAGAIN)
        memoryview(buffer)[:in_memory] = content[:in_memory]
        self.after_call("probe")
        return in_memory

    def _monotonic_s(self) -> float:
        return self.now_s

    def _advise(self, fd: int, offset: int, count: int, advice: int) -> None:
        """Do nothing: this disk does not work ahead."""
        act = self.meets("advise")
        if isinstance(act, OSError):
            raise act

    # ------------------------------------------------------------------ pages

    def _readable(self, name: str, fd: int, offset: int, count: int) -> int:
        """Touch what a call reads, and return how many bytes it finds."""
        self.calls.append((name, offset, count))
        act = self.meets(name)
        if isinstance(act, OSError):
            raise act
        if act is not None:
            count = min(count, act)
        count = max(0, min(count, os.fstat(fd).st_size - offset))
        for start, length, number in self._bad:
            if start < offset + count and offset < start + length:
                count = max(0, start - offset)
                if count == 0:
                    self._note_failure(start)
                    raise failing(number)
        self._touch(_pages(offset, count))
        return count

    def _note_failure(self, offset: int) -> None:
        if not self._is_in_a_thread() and offset // PAGE_BYTES not in self.resident:
            self.failed_in_loop += 1

    def _touch(self, pages: range) -> None:
        missing = [page for page in pages if page not in self.resident]
        self.resident.update(page for page in missing if not self._is_bad(page))
        if self._is_in_a_thread():
            self._seen_s.update(dict.fromkeys(pages, self.now_s))
        elif missing:
            self.stalls += 1
            self.foreseeable_stalls += any(not self._is_vouched_for(page) for page in missing)

    def _is_bad(self, page: int) -> bool:
        return any(page in _pages(start, length) for start, length, _ in self._bad)

    def _is_vouched_for(self, page: int) -> bool:
        fresh = [
            seen for seen, at_s in self._seen_s.items() if self.now_s - at_s < residency.TRUSTED_S
        ]
        below = [seen for seen in fresh if seen <= page]
        above = [seen for seen in fresh if seen >= page]
        # A chunk that begins inside a page ends on the page that lies this far from its first one.
        farthest = residency.PROBED_BYTES_MAX // PAGE_BYTES
        return bool(below and above) and min(above) - max(below) <= farthest

    def _is_in_a_thread(self) -> bool:
        return self._is_in_thread or threading.current_thread() is not threading.main_thread()


def _pages(offset: int, count: int) -> range:
    """Return the numbers of the pages that `count` bytes at `offset` lie on."""
    if count <= 0:
        return range(0)
    return range(offset // PAGE_BYTES, (offset + count - 1) // PAGE_BYTES + 1)


class PlayedLoop:
    """As much of an event loop as a `ReadAhead` needs: it is notified from threads, and delivers in this one.

    Attributes:
        reader: the reader that notifies it.
        is_closed: whether notifying it fails, as it does with a loop of asyncio that is closed.
    """

    def __init__(self) -> None:
        self._notified: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._before = set(threading.enumerate())
        self.is_closed = False
        self.reader = ReadAhead(self._notify)

    def _notify(self) -> None:
        if self.is_closed:
            raise RuntimeError("Event loop is closed")
        self._notified.put(None)

    def run_until(self, is_over: Callable[[], bool], patience_s: float = SOON_S) -> None:
        """Deliver whatever is done, until that has led to what is waited for."""
        while not is_over():
            try:
                self._notified.get(timeout=patience_s)
            except queue.Empty:
                raise AssertionError("nothing was done any more") from None
            self.reader.deliver()

    def wait_until_notified(self) -> None:
        """Wait until something is done, and deliver nothing."""
        self._notified.get(timeout=SOON_S)

    def threads(self) -> list[threading.Thread]:
        """Threads that were started since."""
        return [thread for thread in threading.enumerate() if thread not in self._before]

    def end(self) -> None:
        """Close the reader, and see its threads end."""
        self.reader.close()
        for thread in self.threads():
            thread.join(SOON_S)
        assert self.threads() == []
        self.reader.deliver()


class BusyThreads:
    """What threads do in place of `blocking_perform`: wait until a test lets them go on.

    Attributes:
        began: what has been begun, in order.
        is_over: whether nobody waits any more.
    """

    def __init__(self) -> None:
        self._started: dict[Device, threading.Semaphore] = {}
        self._may_go_on: dict[Device, threading.Semaphore] = {}
        self._lock = threading.Lock()
        self.began: list[Wanted] = []
        self.is_over = False

    def perform(self, wanted: Wanted, fd: int) -> Outcome:
        started, may_go_on = self._of(wanted.file.device)
        os.fstat(fd)  # it is open
        with self._lock:
            self.began.append(wanted)
        started.release()
        if not self.is_over:
            may_go_on.acquire(timeout=SOON_S)
        return str(wanted.offset).encode()

    def let_go_on(self, device: Device, jobs: int = 1) -> None:
        self._of(device)[1].release(jobs)

    def wait_until_started(self, device: Device, jobs: int) -> None:
        for _ in range(jobs):
            assert self._of(device)[0].acquire(timeout=SOON_S), "a job did not start"

    def has_started_more(self, device: Device) -> bool:
        return self._of(device)[0].acquire(timeout=0.05)

    def _of(self, device: Device) -> tuple[threading.Semaphore, threading.Semaphore]:
        with self._lock:
            started = self._started.setdefault(device, threading.Semaphore(0))
            return started, self._may_go_on.setdefault(device, threading.Semaphore(0))

    def end(self) -> None:
        self.is_over = True
        for device in list(self._may_go_on):
            self.let_go_on(device, 1000)
