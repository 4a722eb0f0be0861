"""Names and epoll, tried: the answer names the kernel's error, and nothing stays open."""

from __future__ import annotations

import errno
import os
import platform
import select
import selectors
import socket
from collections.abc import Callable

import pytest

from chute.cli import trials
from chute.cli.trials import try_epoll, try_openat2
from chute.engine.poller import EpollPoller
from chute.files import openat2
from chute.files.resolve import openat2_available
from chute.transfer.abilities import Answer
from trees import descriptors

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll here")


def refuse(number: int) -> Callable[..., int]:
    def call(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    return call


def test_openat2_is_what_files_resolve_with():
    expected = Answer.YES if openat2_available() else Answer.NO
    assert try_openat2().answer is expected


@pytest.mark.parametrize(
    ("number", "answer", "word"),
    [
        pytest.param(errno.ENOSYS, Answer.NO, "ENOSYS", id="old kernel"),
        pytest.param(errno.EPERM, Answer.NO, "seccomp", id="container"),
        pytest.param(errno.EMFILE, Answer.UNKNOWN, "EMFILE", id="no descriptor left"),
    ],
)
def test_refused_openat2_names_the_error(
    monkeypatch: pytest.MonkeyPatch, number: int, answer: Answer, word: str
):
    before = descriptors()
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(trials, "openat2_available", lambda: False)
    monkeypatch.setattr(openat2, "_system_call", lambda *_: -number)
    ability = try_openat2()
    assert ability.answer is answer
    assert word in ability.detail
    assert "step by step" in ability.detail
    assert descriptors() == before


def test_python_without_ctypes_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(trials, "openat2_available", lambda: False)
    monkeypatch.setattr(openat2, "_system_call", None)
    ability = try_openat2()
    assert ability.answer is Answer.NO
    assert "ctypes" in ability.detail


def test_root_that_cannot_be_opened_leaves_it_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(trials, "openat2_available", lambda: False)
    monkeypatch.setattr(os, "open", refuse(errno.EMFILE))
    assert try_openat2().answer is Answer.UNKNOWN


def test_openat2_that_works_the_second_time_is_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(trials, "openat2_available", lambda: False)
    monkeypatch.setattr(openat2, "open_beneath", lambda *_: os.dup(0))
    assert try_openat2().answer is Answer.UNKNOWN


def test_another_system_has_neither(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(trials, "openat2_available", lambda: False)
    monkeypatch.delattr(select, "epoll", raising=False)
    assert (try_openat2().answer, try_epoll().answer) == (Answer.NO, Answer.NO)
    assert "Linux only" in try_openat2().detail
    assert "chute serves by the portable path here" in try_epoll().detail


@needs_epoll
def test_epoll_can_be_watched_by_another():
    ability = try_epoll()
    assert (ability.answer, ability.is_missed) == (Answer.YES, False)


@needs_epoll
@pytest.mark.parametrize(
    ("number", "answer"),
    [
        pytest.param(errno.ENOSYS, Answer.NO, id="refused"),
        pytest.param(errno.EMFILE, Answer.UNKNOWN, id="no descriptor left"),
    ],
)
def test_epoll_that_cannot_be_made_names_the_error(
    monkeypatch: pytest.MonkeyPatch, number: int, answer: Answer
):
    monkeypatch.setattr(trials, "EpollPoller", refuse(number))
    ability = try_epoll()
    assert ability.answer is answer
    assert errno.errorcode[number] in ability.detail
    assert ("--poller portable" in ability.detail) is (answer is Answer.NO)


@needs_epoll
@pytest.mark.parametrize("place", ["inner", "outer"])
def test_epoll_that_cannot_be_nested_is_half_of_it(monkeypatch: pytest.MonkeyPatch, place: str):
    if place == "inner":
        monkeypatch.setattr(EpollPoller, "watch_listener", refuse(errno.EINVAL))
    else:
        monkeypatch.setattr(selectors.DefaultSelector, "register", refuse(errno.EINVAL))
    ability = try_epoll()
    assert ability.answer is Answer.PARTLY
    assert "EINVAL" in ability.detail
    assert "--poller portable" in ability.detail


@needs_epoll
def test_epoll_that_does_not_tell_the_outer_one_is_found_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trials, "WAIT_S", 0.02)
    monkeypatch.setattr(EpollPoller, "watch_listener", lambda *_: None)
    ability = try_epoll()
    assert ability.answer is Answer.PARTLY
    assert "hears nothing" in ability.detail


@needs_epoll
@pytest.mark.parametrize("failing", ["nothing", "bind", "connect", "inner", "outer"])
def test_epoll_trial_closes_what_it_opens(monkeypatch: pytest.MonkeyPatch, failing: str):
    before = descriptors()
    made = []  # what is only forgotten, and not closed, stays open for as long as somebody remembers it

    def make() -> EpollPoller:
        made.append(EpollPoller())
        return made[-1]

    with monkeypatch.context() as patched:
        patched.setattr(trials, "EpollPoller", make)
        if failing in ("bind", "connect"):
            patched.setattr(socket.socket, failing, refuse(errno.ENETDOWN))
        if failing == "inner":
            patched.setattr(EpollPoller, "watch_listener", refuse(errno.EINVAL))
        if failing == "outer":
            patched.setattr(selectors.DefaultSelector, "register", refuse(errno.EINVAL))
        ability = try_epoll()
    assert descriptors() == before
    if failing in ("bind", "connect"):
        assert ability.answer is Answer.UNKNOWN
        assert "ENETDOWN" in ability.detail
