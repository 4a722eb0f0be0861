"""What this system lets a process do with sockets and pipes, found out by doing it once.

A version number says what a kernel could do. What it does is decided by the seccomp filter of a container, by a
sandbox that only imitates Linux, and by modules that somebody loaded or did not. So nothing here looks at versions:
each function does what chute does in earnest, with a few bytes and on loopback sockets, looks at what arrives, and
closes what it opened. Where there is not even a connection to try it on, the answer is "unknown".

No step of a trial waits longer than `WAIT_S`. Nothing is changed, with one exception that Linux makes: it loads the
module `tls` when root asks for it.

How files can be sent is a matter of their file system, see `file_abilities`. What a file name or an epoll needs is
known to rooms above this one, which build their answers from the parts here.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import functools
import os
import platform
import socket
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from chute.transfer import sendfile, splice
from chute.transfer.progress import WOULD_BLOCK

WAIT_S = 1.0
"""How long one step of a trial may take."""

_SAMPLE = bytes(range(32, 127))
"""What is sent in trials: no two of its bytes are the same, so that a wrong offset shows."""
_OFFSET, _COUNT = 7, 64

_ERROR_NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP"}
"""Linux has two names for that number, and its manual pages use this one."""

_WRONG_BYTES = "other bytes arrived than were sent"

_TCP_ULP = 31
"""linux/tcp.h; Python has no name for it."""
_SPLICE_F_NONBLOCK = 2
"""fcntl.h; `os` has a name for it on Linux only."""


class Answer(enum.Enum):
    """Whether something can be done here."""

    YES = "yes"
    PARTLY = "partly"
    NO = "no"
    UNKNOWN = "unknown"


class Ability(NamedTuple):
    """One thing that chute would like to do.

    Attributes:
        name: what it is called; does not change, so that programs can look for it.
        answer: whether it can be done here.
        detail: a sentence: what it is good for, or why it is missing and what happens instead.
        is_used: whether chute does it today, so that its absence costs something.
    """

    name: str
    answer: Answer
    detail: str
    is_used: bool = True

    @property
    def is_missed(self) -> bool:
        """Whether chute does without, in part at least, what it would use."""
        return self.is_used and self.answer in (Answer.NO, Answer.PARTLY)


Trial = Callable[[socket.socket, socket.socket], str]
"""Two ends of a connection, the server's first; what went wrong, or an empty string. May raise OSError."""


class Outcome(NamedTuple):
    """How one trial went; the reason is empty when it went well."""

    answer: Answer
    reason: str = ""


_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that say how this process or the system is now, and nothing of what they can do."""


def outcome_of(error: OSError) -> Outcome:
    """Return what an error in a trial means: that it cannot be done, or that nobody can tell."""
    answer = Answer.UNKNOWN if error.errno in _EXHAUSTED else Answer.NO
    return Outcome(answer, reason_of(error))


def is_linux() -> bool:
    """Whether this is Linux. Asked in this way because type checkers take `sys.platform` for a constant."""
    return platform.system() == "Linux"


def reason_of(error: OSError) -> str:
    """Return the name of an error and what the system says about it, on one line."""
    if error.errno is None:
        return "no answer in time" if isinstance(error, TimeoutError) else str(error)
    name = _ERROR_NAMES.get(error.errno, f"error {error.errno}")
    return f"{name}, {os.strerror(error.errno)}"


def loopback_listener() -> socket.socket:
    """Return a TCP socket that listens on a free port of this machine alone; the caller's to close.

    Raises:
        OSError: there is no loopback interface, or no descriptor is left.
    """
    try:
        listener = socket.create_server(("127.0.0.1", 0), backlog=8)
    except OSError:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=8)
    listener.settimeout(WAIT_S)
    return listener


def connect_to(listener: socket.socket) -> socket.socket:
    """Return a connection to `listener`, with the time-out of a trial; the caller's to close."""
    return socket.create_connection(listener.getsockname()[:2], timeout=WAIT_S)


def _connected_pair(family: socket.AddressFamily) -> tuple[socket.socket, socket.socket]:
    """Return the server's and the client's end of a connection, both the caller's to close."""
    if family == socket.AF_UNIX:
        near, far = socket.socketpair()
    else:
        with loopback_listener() as listener:
            far = connect_to(listener)
            try:
                near, _ = listener.accept()
            except OSError:
                far.close()
                raise
    near.settimeout(WAIT_S)
    far.settimeout(WAIT_S)
    return near, far


def attempt(family: socket.AddressFamily, trial: Trial) -> Outcome:
    """Run `trial` on a connection of its own, which is closed afterwards."""
    try:
        near, far = _connected_pair(family)
    except OSError as error:
        return Outcome(Answer.UNKNOWN, f"no connection to try it on ({reason_of(error)})")
    with near, far:
        try:
            reason = trial(near, far)
        except OSError as error:
            return outcome_of(error)
    return Outcome(Answer.NO if reason else Answer.YES, reason)


def try_sendfile() -> Ability:
    """Send a part of a file over TCP and over a Unix socket, in the way chute does."""
    instead = "chute copies files through the process instead"
    if not sendfile.IS_AVAILABLE:
        return Ability("sendfile", Answer.NO, f"this system has no sendfile(2); {instead}")
    try:
        with _sample_file() as file:
            trial = functools.partial(_send_sample, file.fileno())
            tcp = attempt(socket.AF_INET, trial)
            unix = attempt(socket.AF_UNIX, trial)
    except OSError as error:
        detail = f"no file to try it with ({reason_of(error)})"
        return Ability("sendfile", Answer.UNKNOWN, detail)
    if tcp.answer is unix.answer is Answer.YES:
        good = (
            "files leave the page cache without passing through the process (TCP and Unix sockets)"
        )
        return Ability("sendfile", Answer.YES, good)
    reason = tcp.reason
    if tcp != unix:
        reason = f"TCP: {tcp.reason or 'works'}; Unix sockets: {unix.reason or 'works'}"
    answers = {tcp.answer, unix.answer}
    if Answer.NO not in answers:
        return Ability("sendfile", Answer.UNKNOWN, reason)
    answer = Answer.PARTLY if Answer.YES in answers else Answer.NO
    return Ability("sendfile", answer, f"{reason}; {instead}")


@contextlib.contextmanager
def _sample_file() -> Iterator[IO[bytes]]:
    """Lend an open file: a temporary one, or where nothing may be written the text of this module."""
    with contextlib.ExitStack() as opened:
        try:
            # Unbuffered, so that a full disk is found out here, and not once more when the file is closed.
            file: IO[bytes] = opened.enter_context(tempfile.TemporaryFile(buffering=0))
            file.write(_SAMPLE)
        except OSError:
            file = opened.enter_context(open(__file__, "rb"))
        yield file


def _send_sample(in_fd: int, near: socket.socket, far: socket.socket) -> str:
    """Send a part of the file `in_fd`, and say what is wrong with what arrived."""
    sent = sendfile.send_step(near.fileno(), in_fd, _OFFSET, _COUNT)
    if sent == WOULD_BLOCK:
        return "EAGAIN, though nothing was sent before"
    if sent == 0:
        return "it sends nothing"
    return "" if far.recv(sent) == os.pread(in_fd, sent, _OFFSET) else _WRONG_BYTES


def try_splice() -> Ability:
    """Move bytes from a socket into a pipe, and from the pipe into a socket."""
    if not splice.IS_AVAILABLE:
        return Ability("splice", Answer.NO, "this system has no splice(2)", is_used=False)
    answer, reason = attempt(socket.AF_INET, _splice_sample)
    good = "bytes go from one connection to another without passing through the process"
    return Ability("splice", answer, reason or good, is_used=False)


def _splice_sample(near: socket.socket, far: socket.socket) -> str:
    """Send the sample back to where it came from, by way of a pipe."""
    far.sendall(_SAMPLE)
    near.recv(1, socket.MSG_PEEK)  # bytes take a moment, and splice(2) does not know time-outs
    read_fd, write_fd = os.pipe()
    try:
        held = splice.splice_step(near.fileno(), write_fd, len(_SAMPLE), _SPLICE_F_NONBLOCK)
        if held <= 0:
            return "it moves nothing into a pipe"
        moved = splice.splice_step(read_fd, near.fileno(), held, _SPLICE_F_NONBLOCK)
        if moved <= 0:
            return "it moves nothing out of a pipe"
    finally:
        os.close(read_fd)
        os.close(write_fd)
    return "" if far.recv(moved) == _SAMPLE[:moved] else _WRONG_BYTES


def try_shared_port() -> Ability:
    """Listen twice on one port (SO_REUSEPORT, socket(7))."""
    name = "SO_REUSEPORT"
    instead = "workers share one queue of connections"
    if not hasattr(socket, "SO_REUSEPORT"):
        return Ability(name, Answer.NO, f"this system does not have it; {instead}")
    try:
        with socket.socket() as first, socket.socket() as second:
            for sock in (first, second):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            first.bind(("127.0.0.1", 0))
            second.bind(first.getsockname())
            first.listen(1)
            second.listen(1)
    except OSError as error:
        answer, reason = outcome_of(error)
        return Ability(name, answer, f"{reason}; {instead}")
    if not is_linux():
        detail = "a port can be shared, but only Linux is known to spread connections over workers"
        return Ability(name, Answer.PARTLY, detail)
    return Ability(name, Answer.YES, "each of several workers gets a queue of its own")


def try_kernel_tls() -> Ability:
    """Ask for the kernel's TLS on a connection (TCP_ULP, Documentation/networking/tls.rst), and Python for its part.

    Encrypting as well would need a handshake by OpenSSL; no key is ever set here.
    """
    kernel = Outcome(Answer.NO, "it exists on Linux only")
    if is_linux():
        kernel = attempt(socket.AF_INET, _ask_for_tls)
    ssl_says = _missing_in_ssl()
    if kernel.answer is Answer.YES:
        answer = Answer.PARTLY if ssl_says else Answer.YES
        good = "the kernel can encrypt what sendfile sends"
        detail = f"{good}, but {ssl_says}" if ssl_says else good
    else:
        answer = kernel.answer
        detail = f"{kernel.reason}; {ssl_says or 'the ssl of this Python is ready for it'}"
    return Ability("kernel TLS", answer, detail, is_used=False)


def _ask_for_tls(near: socket.socket, _: socket.socket) -> str:
    try:
        near.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
    except FileNotFoundError:
        return "ENOENT: the module tls is not loaded (modprobe tls), or this kernel has none"
    return ""


def _missing_in_ssl() -> str:
    """Say what Python's ssl lacks for kernel TLS, or nothing."""
    try:
        import ssl  # noqa: PLC0415 - slow to load, and missing where Python was built without OpenSSL
    except ImportError:
        return "this Python has no ssl"
    if not hasattr(ssl, "OP_ENABLE_KTLS"):
        return "the ssl of this Python has no OP_ENABLE_KTLS (3.12 and later have it)"
    return ""
