"""chute on a disk that takes `DELAY_S` (SLOW_DISK_DELAY_S) for every read of a file whose name begins with `cold`.

    python slow_disk.py serve FOLDER ...

The seam is at the system calls: which bytes of such a file are in memory is played here, everything else is real. In
the beginning none are. A call that touches others waits, in whichever thread it is made, and brings them in, with
what a disk reads ahead; a read with RWF_NOWAIT answers EAGAIN instead. At the end it says on standard error in which
threads there was waiting. With SLOW_DISK_TRUSTED in the environment chute believes that everything is in memory:
so one sees that waiting in the loop would have been noticed.
"""

from __future__ import annotations

import atexit
import errno
import os
import sys
import threading
import time

from chute.transfer import method

DELAY_S = float(os.environ.get("SLOW_DISK_DELAY_S", "0.1"))
READ_AHEAD_BYTES = 1 << 17
REPORT = "slow disk: waited {loop} times in the loop, {threads} times in threads"

_sendfile, _pread, _preadv, _advise = os.sendfile, os.pread, os.preadv, os.posix_fadvise


class SlowDisk:
    """What is in memory of each slow file, in steps of `READ_AHEAD_BYTES`."""

    def __init__(self) -> None:
        self._resident: dict[int, set[int]] = {}
        self._lock = threading.Lock()
        self.waits_in_loop = 0
        self.waits_in_threads = 0

    def steps(self, fd: int, offset: int, count: int) -> tuple[set[int], set[int]]:
        """Return what is in memory of the file, and which of its steps a call touches; nothing for a fast file."""
        name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        if not name.startswith("cold"):
            return set(), set()
        status = os.fstat(fd)
        end = min(offset + count, status.st_size)
        touched = set(range(offset // READ_AHEAD_BYTES, -(-end // READ_AHEAD_BYTES)))
        return self._resident.setdefault(status.st_ino, set()), touched

    def touch(self, fd: int, offset: int, count: int) -> None:
        """Wait for what is not in memory."""
        resident, touched = self.steps(fd, offset, count)
        if touched <= resident:
            return
        with self._lock:
            if threading.current_thread() is threading.main_thread():
                self.waits_in_loop += 1
            else:
                self.waits_in_threads += 1
        time.sleep(DELAY_S)
        resident |= touched

    def sendfile(self, out_fd: int, in_fd: int, offset: int, count: int) -> int:
        self.touch(in_fd, offset, count)
        return _sendfile(out_fd, in_fd, offset, count)

    def pread(self, fd: int, count: int, offset: int) -> bytes:
        self.touch(fd, offset, count)
        return _pread(fd, count, offset)

    def preadv(self, fd: int, buffers: list[bytearray], offset: int, flags: int = 0) -> int:
        count = sum(map(len, buffers))
        if not flags & os.RWF_NOWAIT:
            self.touch(fd, offset, count)
            return _preadv(fd, buffers, offset, flags)
        resident, touched = self.steps(fd, offset, count)
        if not touched <= resident:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return _preadv(fd, buffers, offset)

    def advise(self, fd: int, offset: int, count: int, advice: int) -> None:
        """Take note of nothing: this disk does not work ahead."""

    def report(self) -> None:
        text = REPORT.format(loop=self.waits_in_loop, threads=self.waits_in_threads)
        print(text, file=sys.stderr, flush=True)


def main() -> None:
    disk = SlowDisk()
    os.sendfile, os.pread, os.preadv = disk.sendfile, disk.pread, disk.preadv
    os.posix_fadvise = disk.advise
    # Wherever the tests keep their files, they are on this disk.
    method.DISTRUSTED = frozenset()
    everywhere = "SLOW_DISK_TRUSTED" in os.environ
    method._residency_of = lambda *_: (
        method.Residency.ALWAYS if everywhere else method.Residency.PROBED
    )
    atexit.register(disk.report)

    from chute.cli.main import entry

    entry()


if __name__ == "__main__":
    main()
