"""Folders are opened when they are needed, and given back whatever happens."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.compose.folders import OPENED_AT_ONCE_MAX, Folders
from chute.compose.shared import Shared
from chute.config.resolve import load_text
from chute.errors import ConfigError
from chute.exchange import Handler, Response
from chute.static.options import StaticOptions
from chute.variables.names import Names
from routed import StillClock, request_of
from trees import descriptors

COUNT = OPENED_AT_ONCE_MAX + 8


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Folders]:
    """Folders `0` to `39` beneath `tmp_path`, each with a file that has its name."""
    for number in range(COUNT):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "name.txt").write_text(str(number))
    text = f'[listener.main]\nbind = "127.0.0.1:0"\n[[site]]\nroot = "{tmp_path}"\n'
    shared = Shared(load_text(str(tmp_path / "chute.toml"), text, {}))
    before = descriptors()
    folders = Folders(StillClock(), shared, Names())
    yield folders
    folders.close()
    folders.close()
    assert descriptors() == before
    shared.close()


def options(tmp_path: Path, number: int) -> StaticOptions:
    return StaticOptions(root=str(tmp_path / str(number)), compress=False)


def ask(handler: Handler) -> Response:
    response = handler(request_of(b"/name.txt"))
    assert isinstance(response, Response)
    return response


def test_the_first_are_opened_at_once_and_the_others_when_they_are_asked(
    folders: Folders, tmp_path: Path
):
    before = len(os.listdir("/proc/self/fd"))
    handlers = [folders.handler(options(tmp_path, number)) for number in range(COUNT)]
    assert len(os.listdir("/proc/self/fd")) - before == OPENED_AT_ONCE_MAX
    for number, handler in enumerate(handlers):
        response = ask(handler)
        assert (response.status, response.pieces) == (200, (str(number).encode(),))
        response.release()
    assert len(os.listdir("/proc/self/fd")) - before >= COUNT


def test_the_same_options_are_the_same_folder(folders: Folders, tmp_path: Path):
    assert folders.handler(options(tmp_path, 0)) is folders.handler(options(tmp_path, 0))
    before = len(os.listdir("/proc/self/fd"))
    folders.handler(options(tmp_path, 0))
    assert len(os.listdir("/proc/self/fd")) == before


def test_folder_that_is_not_there_at_the_start_is_told(folders: Folders, tmp_path: Path):
    with pytest.raises(ConfigError):
        folders.handler(options(tmp_path, COUNT))


def test_folder_that_vanished_is_503_and_a_line_and_answers_when_it_is_back(
    folders: Folders, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    last = [folders.handler(options(tmp_path, number)) for number in range(COUNT)][-1]
    folder = tmp_path / str(COUNT - 1)
    folder.rename(tmp_path / "elsewhere")
    with caplog.at_level(logging.ERROR):
        response = ask(last)
    assert (response.status, len(caplog.records)) == (503, 1)
    assert response.explanation == "What is served here cannot be opened at the moment."
    assert response.validity is None
    assert str(folder) in caplog.text
    (tmp_path / "elsewhere").rename(folder)
    response = ask(last)
    assert response.status == 200
    response.release()


def test_descriptors_are_given_back_when_they_are_scarce(folders: Folders, tmp_path: Path):
    handler = folders.handler(
        StaticOptions(root=str(tmp_path / "0"), sendfile_min_bytes=0, compress=False)
    )
    before = len(os.listdir("/proc/self/fd"))
    response = ask(handler)
    response.release()
    assert len(os.listdir("/proc/self/fd")) == before + 1
    folders.give_back_descriptors()
    assert len(os.listdir("/proc/self/fd")) == before
    folders.sweep()
