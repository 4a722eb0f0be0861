"""Pipes that bytes are spliced through: lent one by one, bounded in number, never lent with bytes in them.

splice(2) moves bytes between two sockets only by way of a pipe, and a pipe costs two descriptors and 6 us to make. So
pipes are kept for reuse, and the danger is in that word: a byte left over from one client would be the first byte of
the next. The pool therefore believes nobody's count. It asks the kernel what a returned pipe holds (FIONREAD, 1 us),
and one that is not empty is closed.

What a pipe holds is counted in slots and not in bytes. Each slot takes one fragment of a packet, whatever its length:
16 bytes that came one by one fill a pipe of 64 KiB, because that has 16 slots. `bytes_max` is what fits at best.

Larger pipes come out of an allowance that all processes of a user share, /proc/sys/fs/pipe-user-pages-soft: 64 MiB as
a rule. An unprivileged process got 64 pipes of 1 MiB, and from then on pipes of two slots: every new pipe of that
user, whoever makes it. A pipe that is refused its enlargement is taken as it is, but not one of two slots: 8 KiB at
a time cost twice the CPU of copying (`splice` has the table). So `pipes_max * pipe_bytes`, over all workers, belongs
well below the allowance.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import sys
import termios

from chute.errors import MisuseError

PIPE_BYTES = 256 * 1024
"""What a pipe takes unless something else is asked for: most of what 1 MiB gains, for a quarter of the allowance."""

PIPE_BYTES_MIN = 32 * 1024
"""Below this, copying is cheaper, unless a caller asked for less."""

PIPES_IDLE_MAX = 64
"""Pipes that a pool keeps for later."""

CLOSED = -1


class Pipe:
    """Two ends of one pipe, non-blocking and closed on exec; owned by its pool, lent to one relay at a time.

    Attributes:
        read_fd: where bytes come out, or -1 once it is closed.
        write_fd: where bytes go in, or -1 once it is closed.
        bytes_max: the most bytes that fit, as the kernel said.
        is_lent: whether somebody may use it now.
    """

    __slots__ = ("bytes_max", "is_lent", "read_fd", "write_fd")

    def __init__(self, read_fd: int, write_fd: int, bytes_max: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.bytes_max = bytes_max
        self.is_lent = False

    def held_bytes(self) -> int:
        """Ask the kernel how many bytes are in the pipe (FIONREAD, pipe(7))."""
        return int(struct.unpack("i", fcntl.ioctl(self.read_fd, termios.FIONREAD, bytes(4)))[0])

    def close(self) -> None:
        """Close both ends; what is in the pipe is lost. Idempotent."""
        if self.read_fd != CLOSED:
            read_fd, self.read_fd = self.read_fd, CLOSED
            write_fd, self.write_fd = self.write_fd, CLOSED
            os.close(read_fd)
            os.close(write_fd)


class PipePool:
    """Lends pipes, at most `pipes_max` at a time.

    It owns every descriptor it has made, and has `2 * (in_use + idle)` of them open at any moment.
    """

    __slots__ = ("_idle", "_idle_max", "_in_use", "_is_closed", "_pipe_bytes", "_pipes_max")

    def __init__(
        self, pipes_max: int, pipe_bytes: int = PIPE_BYTES, *, idle_max: int = PIPES_IDLE_MAX
    ) -> None:
        """Make an empty pool; the first pipe is made when it is asked for.

        Args:
            pipes_max: pipes that may be lent at the same time.
            pipe_bytes: what each should take; the kernel rounds it up, or refuses and keeps its own measure.
            idle_max: pipes that are kept when nobody uses them.
        """
        if pipes_max < 0 or pipe_bytes <= 0 or idle_max < 0:
            raise MisuseError(
                "a pool of pipes needs bounds of 0 or more, and pipes of 1 byte or more"
            )
        self._pipes_max = pipes_max
        self._pipe_bytes = pipe_bytes
        self._idle_max = idle_max
        # The pipe that was returned last is lent first: its kernel structures are still in the cache.
        self._idle: list[Pipe] = []
        self._in_use = 0
        self._is_closed = False

    @property
    def in_use(self) -> int:
        """Pipes that are lent now."""
        return self._in_use

    @property
    def idle(self) -> int:
        """Pipes that are kept open for later."""
        return len(self._idle)

    def take(self) -> Pipe | None:
        """Lend an empty pipe, or None when the cap is reached or no descriptor is left: then copy instead."""
        if self._is_closed or self._in_use >= self._pipes_max:
            return None
        pipe = self._idle.pop() if self._idle else _new_pipe(self._pipe_bytes)
        if pipe is not None:
            pipe.is_lent = True
            self._in_use += 1
        return pipe

    def give_back(self, pipe: Pipe) -> None:
        """Take `pipe` back, for the next user when it is empty; one that holds bytes is closed with them."""
        assert pipe.is_lent, "given back twice: two relays would share one pipe"
        pipe.is_lent = False
        self._in_use -= 1
        if self._is_closed or len(self._idle) >= self._idle_max or pipe.held_bytes() > 0:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close every idle pipe now and each lent one when it comes back; lend no more. Idempotent."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()


def _new_pipe(pipe_bytes: int) -> Pipe | None:
    """Make a pipe of `pipe_bytes` if the kernel allows that, of its own measure if not; None when that is none."""
    if sys.platform == "linux":
        # EMFILE and ENFILE, which also stands for the user's hard allowance of pipe memory (pipe(7)). Whatever it is,
        # copying needs no pipe, and meets the same trouble again if it is one of the sockets'.
        with contextlib.suppress(OSError):
            read_fd, write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                bytes_max = fcntl.fcntl(write_fd, fcntl.F_SETPIPE_SZ, pipe_bytes)
            except OSError:
                bytes_max = fcntl.fcntl(write_fd, fcntl.F_GETPIPE_SZ)
            pipe = Pipe(read_fd, write_fd, bytes_max)
            if bytes_max >= min(pipe_bytes, PIPE_BYTES_MIN):
                return pipe
            pipe.close()
    return None
