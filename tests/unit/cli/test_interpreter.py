"""What Python brings along: looked at, not guessed."""

from __future__ import annotations

import sys
import sysconfig

import httptools
import pytest

from chute.cli import interpreter
from chute.cli.interpreter import find_interpreter_abilities
from chute.transfer.abilities import Ability, Answer


def found() -> dict[str, Ability]:
    return {ability.name: ability for ability in find_interpreter_abilities()}


def test_this_interpreter_has_the_compiled_parser():
    ability = found()["httptools"]
    assert ability.answer is Answer.YES
    assert httptools.__version__ in ability.detail


def test_missing_parser_is_missed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "httptools.parser.parser", None)
    ability = found()["httptools"]
    assert ability.answer is Answer.NO
    assert ability.is_missed
    assert "install it again" in ability.detail


def test_broken_parser_is_missed(monkeypatch: pytest.MonkeyPatch):
    def broken(_: object) -> object:
        raise SystemError("wrong ABI")

    monkeypatch.setattr(httptools, "HttpRequestParser", broken)
    assert "wrong ABI" in found()["httptools"].detail


def test_parser_in_python_is_not_the_compiled_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["httptools.parser.parser"], "__file__", "parser.py")
    assert found()["httptools"].answer is Answer.NO


@pytest.mark.parametrize(("version", "answer"), [((3, 11, 9), Answer.NO), ((3, 12, 0), Answer.YES)])
def test_eager_tasks_came_with_3_12(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, ...], answer: Answer
):
    monkeypatch.setattr(interpreter.sys, "version_info", version)
    ability = interpreter._find_eager_tasks()
    assert (ability.answer, ability.is_missed) == (answer, False)


@pytest.mark.parametrize(
    ("build", "is_locked", "answer"),
    [
        pytest.param(0, True, Answer.NO, id="usual build"),
        pytest.param(None, True, Answer.NO, id="a build that does not know the word"),
        pytest.param(1, True, Answer.PARTLY, id="an extension turned the lock on"),
        pytest.param(1, False, Answer.YES, id="free"),
    ],
)
def test_free_threading_is_that_of_the_running_process(
    monkeypatch: pytest.MonkeyPatch, build: int | None, is_locked: bool, answer: Answer
):
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _: build)
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: is_locked, raising=False)
    ability = found()["free threading"]
    assert (ability.answer, ability.is_missed) == (answer, False)
