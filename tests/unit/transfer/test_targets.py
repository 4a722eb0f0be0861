"""What can be sent to, and how bytes are offered to it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import chute
from carrying import failing, opened
from chute.errors import NotSendable, PeerGone, TransferError
from chute.transfer import blocking
from chute.transfer.method import Devices
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.source import FileSpan, SharedFile
from chute.transfer.targets import Target, TlsTarget, target_for
from sending import Reader, connected, descriptors_stay

CONTENT = os.urandom(50_000)
AMPLE = 1 << 20

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(autouse=True)
def nothing_leaks() -> Iterator[None]:
    with descriptors_stay():
        yield


@pytest.fixture
def file(nothing_leaks: None, tmp_path: Path) -> Iterator[SharedFile]:
    shared = opened(tmp_path / "content", CONTENT)
    yield shared
    shared.close()


@pytest.fixture
def pair(nothing_leaks: None) -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "sock", [None, 5, "socket", object()], ids=["None", "number", "str", "object"]
)
def test_what_is_no_socket_is_refused(sock: object):
    with pytest.raises(NotSendable, match="no socket"):
        target_for(sock)


def test_closed_socket_is_refused(pair: Pair):
    pair[0].close()
    with pytest.raises(NotSendable, match="the socket is closed"):
        target_for(pair[0])


def test_detached_socket_is_refused(pair: Pair):
    fd = pair[0].detach()
    with pytest.raises(NotSendable, match="the socket is closed"):
        target_for(pair[0])
    os.close(fd)


KINDS = {
    "UDP": (socket.AF_INET, socket.SOCK_DGRAM),
    "Unix datagrams": (socket.AF_UNIX, socket.SOCK_DGRAM),
    "Unix packets": (socket.AF_UNIX, getattr(socket, "SOCK_SEQPACKET", 5)),
}


@pytest.mark.parametrize(("family", "kind"), KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("is_blocking", [True, False])
def test_socket_that_keeps_borders_between_messages_is_refused(
    family: int, kind: int, is_blocking: bool
):
    with socket.socket(family, kind) as sock:
        sock.setblocking(is_blocking)
        with pytest.raises(NotSendable, match="stream sockets only"):
            target_for(sock)


@pytest.mark.parametrize("is_listening", [True, False])
def test_socket_without_a_peer_is_a_peer_that_is_gone(file: SharedFile, is_listening: bool):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        if is_listening:
            sock.listen()
        sock.setblocking(False)
        with target_for(sock) as target:
            outbox = target.outbox_for(FileSpan(file, 0, 100), may_wait=True)
            with pytest.raises(PeerGone) as caught:
                target.flush(outbox, AMPLE)
            outbox.abandon()
        assert caught.value.sent == 0


# ---------------------------------------------------------------------- plain sockets


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("timeout", [None, 0, 3.5], ids=["blocking", "non-blocking", "time-out"])
def test_stream_socket_is_borrowed_as_it_is(nothing_leaks: None, kind: str, timeout: float | None):
    ours, theirs = connected(kind)
    with ours, theirs:
        ours.settimeout(timeout)
        with target_for(ours) as target:
            assert type(target) is Target
            assert target.fd == ours.fileno()
            assert target.copy_reason is None
        assert ours.gettimeout() == timeout
        assert ours.fileno() == target.fd


def test_plain_socket_takes_sendfile(pair: Pair, file: SharedFile):
    ours, theirs = pair
    with target_for(ours) as target:
        outbox = target.outbox_for(FileSpan(file, 5, 20), may_wait=False)
        assert target.flush(outbox, AMPLE) is Progress.DONE
    assert outbox.carried == b"sendfile"
    assert theirs.recv(100) == CONTENT[5:25]


def test_offer_is_what_the_kernel_takes_of_it_and_never_waits(pair: Pair):
    """Whatever time-out the socket has: Python's own `send` would wait for it, and count it anew each time."""
    ours, theirs = pair
    ours.settimeout(30)  # which makes the descriptor non-blocking
    with target_for(ours) as target:
        taken = target.send(bytes(10 << 20), 0)
        assert 0 < taken < 10 << 20
        with contextlib.suppress(BlockingIOError):
            for _ in range(100):
                taken += target.send(memoryview(bytes(1 << 20)), 0)
            pytest.fail("the socket is never full")
    assert not target.waits_for_input
    ours.close()
    assert len(Reader(theirs).result()) == taken


def test_peer_that_left_is_an_error_of_the_offer(pair: Pair):
    ours, theirs = pair
    theirs.close()
    with target_for(ours) as target, pytest.raises(BrokenPipeError):
        target.send(b"x", 0)


def test_file_is_held_by_the_outbox_alone(pair: Pair, tmp_path: Path):
    shared = opened(tmp_path / "other", CONTENT)
    with target_for(pair[0]) as target:
        outbox = target.outbox_for(FileSpan(shared, 0, 10), may_wait=True)
        shared.release()
        assert outbox.held_files() == [shared]
        target.flush(outbox, AMPLE)
        assert outbox.held_files() == []


def test_socket_that_is_closed_meanwhile_is_closed_when_the_target_lets_go(
    pair: Pair, file: SharedFile
):
    """Until then its number cannot become another's."""
    ours, theirs = pair
    with target_for(ours) as target:
        outbox = target.outbox_for(FileSpan(file, 0, 20), may_wait=True)
        ours.close()
        os.fstat(target.fd)
        assert target.flush(outbox, AMPLE) is Progress.DONE
        assert theirs.recv(100) == CONTENT[:20]
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
    assert theirs.recv(1) == b""
    assert ours.fileno() == -1


def test_socket_that_is_detached_meanwhile_is_sent_nothing_more(pair: Pair, file: SharedFile):
    ours, theirs = pair
    with target_for(ours) as target:
        outbox = target.outbox_for(FileSpan(file, 0, 20), may_wait=True)
        target.flush(outbox, 5)
        fd = ours.detach()
        with pytest.raises(TransferError, match="detached") as caught:
            target.flush(outbox, AMPLE)
        outbox.abandon()
    assert caught.value.sent == 5
    os.fstat(fd)
    os.close(fd)
    assert theirs.recv(100) == CONTENT[:5]


def test_socket_is_let_go_of_after_an_error_too(pair: Pair):
    ours, theirs = pair
    with pytest.raises(ZeroDivisionError), target_for(ours):
        raise ZeroDivisionError
    ours.close()
    assert theirs.recv(1) == b""


def test_signals_while_a_copy_waits_for_the_socket_lose_and_repeat_nothing(
    nothing_leaks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """EINTR never gets here (PEP 475), and a write that a signal cuts short is no full buffer."""
    monkeypatch.setattr(blocking, "_devices", Devices("off"))
    content = CONTENT * 20
    (tmp_path / "large").write_bytes(content)
    struck: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: struck.append(number))
    ours, theirs = connected("tcp", send_buffer=16 * 1024)
    try:
        with ours, theirs:
            ours.settimeout(None)
            reader = Reader(theirs, first_pause_s=0.2, pause_s=0.001, at_once=16 * 1024)
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.002)
            assert chute.sendfile(ours, tmp_path / "large") == (len(content), "copy:off")
            signal.setitimer(signal.ITIMER_REAL, 0)
            ours.close()
            assert reader.result() == content
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(struck) > 10


# ---------------------------------------------------------------------- TLS, played


class PlayedTls(socket.socket):
    """A socket whose `send` does what a test says, as `ssl.SSLSocket` might.

    Attributes:
        offered: what was offered, in order.
        acts: what the next offers meet: an error, or None to take all.
    """

    def __init__(self, *acts: Exception | None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.offered: list[bytes] = []
        self.acts = list(acts)

    def send(self, data: bytes | memoryview, flags: int = 0) -> int:
        self.offered.append(bytes(data))
        act = self.acts.pop(0) if self.acts else None
        if act is not None:
            raise act
        return len(data)


@pytest.fixture
def tls(nothing_leaks: None) -> Iterator[Callable[..., tuple[PlayedTls, TlsTarget]]]:
    made: list[tuple[PlayedTls, TlsTarget]] = []

    def play(*acts: Exception | None) -> tuple[PlayedTls, TlsTarget]:
        sock = PlayedTls(*acts)
        made.append((sock, TlsTarget(sock)))
        return made[-1]

    yield play
    for sock, target in made:
        with sock, target:
            pass


Play = Callable[..., tuple[PlayedTls, TlsTarget]]


def outbox_over(target: TlsTarget, file: SharedFile, count: int = 5000) -> Outbox:
    return target.outbox_for(FileSpan(file, 0, count), may_wait=True)


def test_tls_socket_is_recognised_and_copied_to():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with (
        socket.socket() as plain,
        context.wrap_socket(plain, server_hostname="x") as sock,
        target_for(sock) as target,
    ):
        assert isinstance(target, TlsTarget)
        assert target.copy_reason == b"tls"


def test_no_socket_is_tls_where_nobody_has_imported_it(monkeypatch: pytest.MonkeyPatch, pair: Pair):
    monkeypatch.delitem(sys.modules, "ssl")
    with target_for(pair[0]) as target:
        assert type(target) is Target


def test_t35_tls_gets_the_content_and_sendfile_is_never_tried(
    tls: Play, file: SharedFile, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(os, "sendfile", lambda *_: pytest.fail("unencrypted"))
    sock, target = tls()
    outbox = outbox_over(target, file)
    assert target.flush(outbox, AMPLE) is Progress.DONE
    assert outbox.carried == b"copy:tls"
    assert b"".join(sock.offered) == CONTENT[:5000]


@pytest.mark.parametrize(
    ("refusal", "waits_for_input"),
    [
        (ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "want write"), False),
        (ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "want read"), True),
        (TimeoutError("The write operation timed out"), False),
    ],
    ids=["want write", "want read", "time-out"],
)
def test_t35_refused_bytes_are_offered_again_though_the_file_was_changed(
    tls: Play, file: SharedFile, tmp_path: Path, refusal: Exception, waits_for_input: bool
):
    sock, target = tls(refusal, refusal)
    outbox = outbox_over(target, file)
    assert target.flush(outbox, AMPLE) is Progress.BLOCKED
    assert target.waits_for_input is waits_for_input
    (tmp_path / "content").write_bytes(bytes(len(CONTENT)))
    assert target.flush(outbox, AMPLE) is Progress.BLOCKED
    assert target.flush(outbox, AMPLE) is Progress.DONE
    assert not target.waits_for_input
    assert sock.offered == [CONTENT[:5000]] * 3
    assert outbox.sent == 5000


GONE = {
    "end of input": ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol"),
    "closed properly": ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "closed"),
    "reset": failing(errno.ECONNRESET),
    "broken pipe": failing(errno.EPIPE),
}


@pytest.mark.parametrize("error", GONE.values(), ids=GONE.keys())
def test_tls_peer_that_left_is_gone(tls: Play, file: SharedFile, error: OSError):
    _, target = tls(None, error)
    outbox = outbox_over(target, file)
    assert target.flush(outbox, 1000) is Progress.YIELDED
    with pytest.raises(PeerGone) as caught:
        target.flush(outbox, AMPLE)
    assert caught.value.sent == 1000
    outbox.abandon()


def test_tls_peer_that_the_kernel_has_given_up_is_gone(tls: Play, file: SharedFile):
    """ETIMEDOUT is a TimeoutError too, but not the time-out of the socket, which has no number."""
    _, target = tls(failing(errno.ETIMEDOUT))
    outbox = outbox_over(target, file)
    try:
        with pytest.raises(PeerGone, match="ETIMEDOUT"):
            target.flush(outbox, AMPLE)
    finally:
        outbox.abandon()


@pytest.mark.parametrize("number", [ssl.SSL_ERROR_SSL, errno.EPIPE, None])
def test_error_of_the_protocol_is_no_error_of_the_system(
    tls: Play, file: SharedFile, number: int | None
):
    """OpenSSL's numbers are its own: 1 is not EPERM, and 32 not a peer that is gone."""
    error = ssl.SSLError("bad") if number is None else ssl.SSLError(number, "bad")
    _, target = tls(error)
    outbox = outbox_over(target, file)
    with pytest.raises(TransferError, match="EPROTO") as caught:
        target.flush(outbox, AMPLE)
    assert type(caught.value) is TransferError
    assert caught.value.sent == 0
    outbox.abandon()
