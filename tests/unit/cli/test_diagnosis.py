"""Everything gathered: which file is tried, which paths are refused, and what the last line says."""

from __future__ import annotations

import os
import platform
import select
from pathlib import Path

import pytest

from chute.cli import diagnosis, trials
from chute.cli.diagnosis import (
    FILES_OPENED_MAX,
    UNKNOWN,
    Diagnosis,
    FileSystem,
    diagnose,
    examine_files,
)
from chute.cli.machine import Limit
from chute.errors import ConfigError, FileForbidden
from chute.files.resolve import Root
from chute.transfer import residency, sendfile, splice
from chute.transfer.abilities import Ability, Answer
from trees import descriptors

FINE = Ability("fine", Answer.YES, "")


def diagnosed(
    *kernel: Ability, files: tuple[Ability, ...] = (), limits: tuple[Limit, ...] = ()
) -> Diagnosis:
    place = FileSystem("/site", None, "ext4", "/", "8:1", list(files))
    return Diagnosis("Linux", "CPython", list(kernel), place, [FINE], list(limits))


def missing(name: str, answer: Answer = Answer.NO) -> Ability:
    return Ability(name, answer, "")


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (diagnosed(FINE), "Every fast path that chute uses is here."),
        (
            diagnosed(missing("splice")._replace(is_used=False)),
            "Every fast path that chute uses is here.",
        ),
        (
            diagnosed(missing("epoll", Answer.UNKNOWN)),
            "Every fast path that could be tried is here.",
        ),
        (
            diagnosed(missing("openat2"), missing("epoll", Answer.UNKNOWN)),
            "1 fast path is missing; chute serves all the same, only slower: openat2.",
        ),
        (
            diagnosed(missing("sendfile", Answer.PARTLY), missing("openat2")),
            "2 fast paths are missing; chute serves all the same, only slower: sendfile, openat2.",
        ),
        (
            diagnosed(files=(missing("sendfile here"),)),
            "1 fast path is missing; chute serves all the same, only slower: sendfile here.",
        ),
        (
            diagnosed(missing("sendfile"), files=(missing("sendfile here"),)),
            "1 fast path is missing; chute serves all the same, only slower: sendfile.",
        ),
        (
            diagnosed(limits=(Limit("a", 1, "1", "", is_low=True), Limit("b", 1, "1", ""))),
            "Every fast path that chute uses is here. 1 limit is low: a.",
        ),
        (
            diagnosed(limits=tuple(Limit(name, 1, "1", "", is_low=True) for name in "ab")),
            "Every fast path that chute uses is here. 2 limits are low: a, b.",
        ),
    ],
    ids=[
        "nothing missing",
        "one that is not used",
        "one that could not be tried",
        "one",
        "two",
        "one of the files",
        "the same twice",
        "a low limit",
        "two low limits",
    ],
)
def test_verdict_is_one_line(found: Diagnosis, verdict: str):
    assert found.verdict == verdict


def test_everything_is_tried_once_and_nothing_stays_open(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    before = descriptors()
    found = diagnose(str(tmp_path))
    assert descriptors() == before
    names = [ability.name for ability in found.abilities]
    assert sorted(names) == [
        "RWF_NOWAIT",
        "SO_REUSEPORT",
        "eager tasks",
        "epoll",
        "free threading",
        "httptools",
        "kernel TLS",
        "openat2",
        "sendfile",
        "sendfile here",
        "splice",
    ]
    assert all(ability.detail for ability in found.abilities)


def test_another_system_lacks_them_one_by_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(trials, "openat2_available", lambda: False)
    monkeypatch.delattr(select, "epoll", raising=False)
    for module in (sendfile, splice, residency):
        monkeypatch.setattr(module, "IS_AVAILABLE", False)
    monkeypatch.setattr(diagnosis, "mount_of", lambda _: None)
    (tmp_path / "file").write_bytes(b"content")
    found = diagnose(str(tmp_path))
    assert found.missing[:3] == ["sendfile", "openat2", "epoll"]
    assert (found.files.type, found.files.point) == (UNKNOWN, UNKNOWN)
    assert found.verdict.startswith(f"{len(found.missing)} fast paths are missing")


def test_file_that_is_named_is_the_one_that_is_tried(tmp_path: Path):
    (tmp_path / "named").write_bytes(b"content")
    (tmp_path / "link").symlink_to("named")
    place = examine_files(str(tmp_path / "link"))
    assert place.sample == "named"
    assert place.path == str(tmp_path / "link")


def test_file_with_content_is_found_among_others(tmp_path: Path):
    for number in range(5):
        (tmp_path / f"empty{number}").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "content").write_bytes(b"content")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert examine_files(str(tmp_path)).sample == "content"


def test_empty_file_is_better_than_none(tmp_path: Path):
    (tmp_path / "empty").touch()
    before = descriptors()
    assert examine_files(str(tmp_path)).sample == "empty"
    assert descriptors() == before


def test_folder_without_files_is_looked_at_itself(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"deeper, where another disk may be mounted")
    (tmp_path / "link").symlink_to("folder/file")
    os.mkfifo(tmp_path / "fifo")
    place = examine_files(str(tmp_path))
    assert place.sample is None
    assert place.device == f"{os.major(tmp_path.stat().st_dev)}:{os.minor(tmp_path.stat().st_dev)}"
    assert "no file" in place.abilities[0].detail


def test_search_for_a_file_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for number in range(FILES_OPENED_MAX + 5):
        (tmp_path / f"secret{number}").write_bytes(b"content")
    real = Root.open
    opened = []

    def refusing(root: Root, name: bytes, flags: int = os.O_RDONLY) -> int:
        if name:
            opened.append(name)
            raise FileForbidden("not this one")
        return real(root, name, flags)

    monkeypatch.setattr(Root, "open", refusing)
    assert examine_files(str(tmp_path)).sample is None
    assert len(opened) == FILES_OPENED_MAX


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none", "there is no file or folder"),
        ("file/below", "there is no file or folder"),
        ("n" * 300, "there is no file or folder"),
        ("loop", "there is no file or folder"),
        ("nul\0", "there is no file or folder"),
        ("fifo", "is neither a file nor a folder"),
    ],
    ids=["missing", "beneath a file", "too long", "a loop", "NUL", "a FIFO"],
)
def test_path_that_cannot_be_served_is_refused(tmp_path: Path, name: str, words: str):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    before = descriptors()
    with pytest.raises(ConfigError, match=words) as caught:
        diagnose(f"{tmp_path}/{name}")
    assert caught.value.hint
    assert descriptors() == before


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_unreadable_path_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str):
    def refuse(*_: object) -> int:
        raise FileForbidden("no")

    (tmp_path / "file").touch()
    monkeypatch.setattr(Root, "open", refuse)
    with pytest.raises(ConfigError, match=f"cannot read the {kind}"):
        diagnose(str(tmp_path / "file") if kind == "file" else str(tmp_path))


def test_path_above_which_nothing_may_be_seen_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    def refuse(_: str) -> os.stat_result:
        raise PermissionError

    monkeypatch.setattr(diagnosis.os, "stat", refuse)
    with pytest.raises(ConfigError, match="cannot look at"):
        diagnose(str(tmp_path))


def test_folder_that_was_removed_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match="ENOENT"):
        diagnose(".")
