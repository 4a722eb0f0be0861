"""What sockets and pipes can do here: the answer is what was tried, and nothing stays open or hangs."""

from __future__ import annotations

import errno
import os
import platform
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chute.transfer import abilities, sendfile, splice
from chute.transfer.abilities import Ability, Answer
from chute.transfer.progress import WOULD_BLOCK
from trees import descriptors

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="this is not Linux")
needs_sendfile = pytest.mark.skipif(not sendfile.IS_AVAILABLE, reason="no sendfile here")

EVERY_TRIAL = [
    abilities.try_sendfile,
    abilities.try_splice,
    abilities.try_shared_port,
    abilities.try_kernel_tls,
]


def refuse(number: int) -> Callable[..., int]:
    """Return a system call that fails."""

    def call(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


def answers(*outcomes: int) -> Callable[[int, int, int, int], int]:
    """Return a `send_step` that fails with each errno in turn; 0 stands for the real one."""
    left = list(outcomes)
    real = sendfile.send_step

    def send_step(out_fd: int, in_fd: int, offset: int, count: int) -> int:
        number = left.pop(0)
        if number:
            raise OSError(number, os.strerror(number))
        return real(out_fd, in_fd, offset, count)

    return send_step


@needs_sendfile
def test_sendfile_is_tried_over_both_kinds_of_socket():
    ability = abilities.try_sendfile()
    assert (ability.name, ability.answer) == ("sendfile", Answer.YES)
    assert not ability.is_missed


def test_absent_sendfile_is_missed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sendfile, "IS_AVAILABLE", False)
    ability = abilities.try_sendfile()
    assert ability.answer is Answer.NO
    assert "no sendfile(2)" in ability.detail
    assert ability.is_missed


@needs_sendfile
@pytest.mark.parametrize(
    ("outcomes", "answer", "words"),
    [
        pytest.param((errno.EINVAL,) * 2, Answer.NO, ["EINVAL", "copies"], id="refused"),
        pytest.param((errno.EPERM, 0), Answer.PARTLY, ["TCP: EPERM", "Unix sockets: works"], id="only Unix"),
        pytest.param((0, errno.ENOSYS), Answer.PARTLY, ["TCP: works", "sockets: ENOSYS"], id="only TCP"),
        pytest.param((errno.EMFILE,) * 2, Answer.UNKNOWN, ["EMFILE"], id="no descriptor left"),
        pytest.param((errno.EMFILE, 0), Answer.UNKNOWN, ["TCP: EMFILE"], id="none left at first"),
        pytest.param((errno.EMFILE, errno.EPERM), Answer.NO, ["TCP: EMFILE"], id="none left, then refused"),
    ],
)  # fmt: skip
def test_sendfile_that_fails_is_named_with_its_error(
    monkeypatch: pytest.MonkeyPatch, outcomes: tuple[int, ...], answer: Answer, words: list[str]
):
    monkeypatch.setattr(sendfile, "send_step", answers(*outcomes))
    ability = abilities.try_sendfile()
    assert ability.answer is answer
    for word in words:
        assert word in ability.detail


@needs_sendfile
@pytest.mark.parametrize(
    ("sent", "word"),
    [
        pytest.param(WOULD_BLOCK, "EAGAIN", id="not now"),
        pytest.param(0, "sends nothing", id="nothing"),
        pytest.param(5, "no answer in time", id="a lie"),
    ],
)
def test_sendfile_is_believed_only_when_bytes_arrive(
    monkeypatch: pytest.MonkeyPatch, sent: int, word: str
):
    monkeypatch.setattr(abilities, "WAIT_S", 0.05)
    monkeypatch.setattr(sendfile, "send_step", lambda *_: sent)
    ability = abilities.try_sendfile()
    assert ability.answer is Answer.NO
    assert word in ability.detail


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["TCP", "Unix"])
@pytest.mark.parametrize("end", [0, 1], ids=["server", "client"])
def test_neither_end_waits_forever(
    monkeypatch: pytest.MonkeyPatch, family: socket.AddressFamily, end: int
):
    monkeypatch.setattr(abilities, "WAIT_S", 0.05)

    def trial(*ends: socket.socket) -> str:
        assert ends[end].gettimeout() == 0.05
        return str(ends[end].recv(1))

    assert abilities.attempt(family, trial) == (Answer.NO, "no answer in time")


@needs_sendfile
def test_sendfile_that_ignores_the_offset_is_found_out(monkeypatch: pytest.MonkeyPatch):
    real = sendfile.send_step
    monkeypatch.setattr(
        sendfile, "send_step", lambda out, file, _, count: real(out, file, 0, count)
    )
    ability = abilities.try_sendfile()
    assert ability.answer is Answer.NO
    assert "other bytes" in ability.detail


@needs_sendfile
def test_without_a_network_sendfile_is_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket, "create_server", refuse(errno.EADDRNOTAVAIL))
    ability = abilities.try_sendfile()
    assert ability.answer is Answer.UNKNOWN
    assert "EADDRNOTAVAIL" in ability.detail


@needs_sendfile
@pytest.mark.parametrize(
    "temporary",
    [
        pytest.param(refuse(errno.EROFS), id="read-only"),
        pytest.param(
            lambda buffering: open("/dev/full", "wb", buffering),  # noqa: SIM115 - as TemporaryFile does
            id="full",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full"),
        ),
    ],
)
def test_where_nothing_may_be_written_a_module_is_sent(
    monkeypatch: pytest.MonkeyPatch, temporary: Callable[..., object]
):
    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    assert abilities.try_sendfile().answer is Answer.YES


@needs_sendfile
def test_without_any_file_sendfile_is_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse(errno.EROFS))
    monkeypatch.setattr(abilities, "__file__", "/no/such/archive.zip/abilities.py")
    ability = abilities.try_sendfile()
    assert ability.answer is Answer.UNKNOWN
    assert "ENOENT" in ability.detail


@on_linux
def test_splice_moves_bytes():
    assert abilities.try_splice().answer is Answer.YES


@pytest.mark.parametrize(
    ("step", "word"),
    [
        pytest.param(refuse(errno.EPERM), "EPERM", id="refused"),
        pytest.param(lambda *_: WOULD_BLOCK, "into a pipe", id="not now"),
        pytest.param(lambda *_: 5, "no answer in time", id="a lie"),
    ],
)
def test_splice_that_fails_is_no_loss_yet(
    monkeypatch: pytest.MonkeyPatch, step: Callable[..., int], word: str
):
    monkeypatch.setattr(abilities, "WAIT_S", 0.05)
    monkeypatch.setattr(splice, "IS_AVAILABLE", True)
    monkeypatch.setattr(splice, "splice_step", step)
    ability = abilities.try_splice()
    assert ability.answer is Answer.NO
    assert word in ability.detail
    assert not ability.is_missed, "nothing of chute uses it"


def test_splice_that_loses_bytes_in_the_pipe_is_found_out(monkeypatch: pytest.MonkeyPatch):
    moved = [20, 0]
    monkeypatch.setattr(splice, "IS_AVAILABLE", True)
    monkeypatch.setattr(splice, "splice_step", lambda *_: moved.pop(0))
    assert "out of a pipe" in abilities.try_splice().detail


@on_linux
def test_port_is_shared():
    assert abilities.try_shared_port().answer is Answer.YES


def test_port_that_is_refused_names_the_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socket.socket, "bind", refuse(errno.EADDRINUSE))
    ability = abilities.try_shared_port()
    assert ability.answer is Answer.NO
    assert ability.detail.startswith("EADDRINUSE")
    assert ability.is_missed


@pytest.mark.parametrize("kernel_has_it", [True, False], ids=["kernel", "no kernel"])
@pytest.mark.parametrize("ssl_has_it", [True, False], ids=["ssl", "no ssl"])
def test_kernel_tls_takes_the_kernel_and_python(
    monkeypatch: pytest.MonkeyPatch, *, kernel_has_it: bool, ssl_has_it: bool
):
    asked = []

    def setsockopt(_: socket.socket, *arguments: object) -> None:
        asked.append(arguments)
        if not kernel_has_it:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(platform, "system", lambda: "Linux")
    if ssl_has_it:
        monkeypatch.setattr(ssl, "OP_ENABLE_KTLS", 8, raising=False)
    else:
        monkeypatch.delattr(ssl, "OP_ENABLE_KTLS", raising=False)
    with pytest.MonkeyPatch.context() as patched:
        near, far = socket.socketpair()
        patched.setattr(abilities, "_connected_pair", lambda _: (near, far))
        patched.setattr(socket.socket, "setsockopt", setsockopt)
        ability = abilities.try_kernel_tls()
    assert asked == [(6, 31, b"tls")]
    expected = {(True, True): Answer.YES, (True, False): Answer.PARTLY}
    assert ability.answer is expected.get((kernel_has_it, ssl_has_it), Answer.NO)
    assert ("ENOENT" in ability.detail) is not kernel_has_it
    assert ("no OP_ENABLE_KTLS" in ability.detail) is not ssl_has_it
    assert not ability.is_missed, "nothing of chute uses it"


@on_linux
def test_kernel_tls_agrees_with_what_the_kernel_lists():
    """The kernel lists what is loaded, so what it lists can be had; root may load more by asking."""
    try:
        listed = Path("/proc/sys/net/ipv4/tcp_available_ulp").read_text().split()
    except FileNotFoundError:
        pytest.skip("this kernel lists no upper layer protocols")
    ability = abilities.try_kernel_tls()
    if "tls" in listed:
        assert ability.answer in (Answer.YES, Answer.PARTLY)
    elif ability.answer is Answer.NO:
        assert ability.detail.startswith("ENOENT")


def test_python_without_ssl_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ssl", None)
    ability = abilities.try_kernel_tls()
    assert ability.answer in (Answer.NO, Answer.PARTLY)
    assert "no ssl" in ability.detail


def test_another_system_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(splice, "IS_AVAILABLE", False)
    monkeypatch.setattr(sendfile, "IS_AVAILABLE", False)
    assert [each().answer for each in EVERY_TRIAL] == [
        Answer.NO,
        Answer.NO,
        Answer.PARTLY if hasattr(socket, "SO_REUSEPORT") else Answer.NO,
        Answer.NO,
    ]
    assert "Linux only" in abilities.try_kernel_tls().detail
    monkeypatch.delattr(socket, "SO_REUSEPORT", raising=False)
    assert "share one queue" in abilities.try_shared_port().detail


def test_machine_without_ipv4_is_tried_by_ipv6(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def create_server(address: tuple[str, int], **_: object) -> socket.socket:
        asked.append(address[0])
        if address[0] == "127.0.0.1":
            raise OSError(errno.EADDRNOTAVAIL, "no such address")
        return socket.socket()

    monkeypatch.setattr(socket, "create_server", create_server)
    with abilities.loopback_listener() as listener:
        assert listener.gettimeout() == abilities.WAIT_S
    assert asked == ["127.0.0.1", "::1"]


@pytest.mark.parametrize("trial", EVERY_TRIAL, ids=lambda trial: trial.__name__)
@pytest.mark.parametrize("failing", ["nothing", "connect", "accept", "bind", "recv"])
def test_trials_close_what_they_open(
    monkeypatch: pytest.MonkeyPatch, trial: Callable[[], Ability], failing: str
):
    before = descriptors()
    with monkeypatch.context() as patched:
        if failing != "nothing":
            patched.setattr(socket.socket, failing, refuse(errno.ENETDOWN))
        ability = trial()
    assert descriptors() == before
    assert ability.detail


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(OSError(errno.EPERM, "x"), "EPERM, Operation not permitted", id="named"),
        pytest.param(OSError(errno.EOPNOTSUPP, "x"), "EOPNOTSUPP", id="a number with two names"),
        pytest.param(OSError(9999, "x"), "error 9999", id="unknown"),
        pytest.param(TimeoutError("timed out"), "no answer in time", id="time-out of a socket"),
        pytest.param(OSError("closed"), "closed", id="without a number"),
    ],
)
def test_reasons_name_the_error(error: OSError, text: str):
    assert abilities.reason_of(error).startswith(text)
