"""Links of the owner of what they lead to, and of nobody else."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.files import by_owner
from chute.files.by_owner import open_by_owner
from trees import descriptors

OTHER = 12_345

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A root in which everything belongs to root, with a neighbour in which everything is another's."""
    (tmp_path / "site/sub/deep").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    for name in ("site/a", "site/sub/b", "outside/ours", "outside/theirs", "site/theirs"):
        (tmp_path / name).write_bytes(name.encode())
    for name in ("outside/theirs", "site/theirs"):
        os.chown(tmp_path / name, OTHER, OTHER)
    before = descriptors()
    yield tmp_path / "site"
    assert descriptors() == before


def link(path: Path, target: str | Path, owner: int = 0) -> None:
    path.symlink_to(target)
    os.lchown(path, owner, owner)


def read(place: Path, name: str, flags: int = os.O_RDONLY) -> bytes:
    root = os.open(place, os.O_PATH | os.O_DIRECTORY)
    try:
        fd = open_by_owner(root, name.encode(), flags)
    finally:
        os.close(root)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def refusal(place: Path, name: str, flags: int = os.O_RDONLY) -> int | None:
    try:
        read(place, name, flags)
    except OSError as error:
        return error.errno
    pytest.fail(f"{name!r} was opened")


@pytest.mark.parametrize("name", ["a", "sub/b", "./sub//b"])
def test_path_without_links_is_opened(place: Path, name: str):
    assert read(place, name) == b"site/" + (b"a" if name == "a" else b"sub/b")


def test_directory_is_opened(place: Path):
    root = os.open(place, os.O_PATH | os.O_DIRECTORY)
    for name in (b"sub", b"sub/", b".", b"sub/deep/"):
        fd = open_by_owner(root, name, os.O_RDONLY)
        assert os.path.samestat(os.fstat(fd), os.stat(os.fsencode(place) + b"/" + name))
        os.close(fd)
    os.close(root)


@pytest.mark.parametrize("is_absolute", [True, False])
def test_link_to_what_is_its_owners_is_followed_out_of_the_root(place: Path, is_absolute: bool):
    outside = place.parent / "outside"
    link(place / "link", outside / "ours" if is_absolute else "../outside/ours")
    assert read(place, "link") == b"outside/ours"


@pytest.mark.parametrize("owner", [0, OTHER, 999])
def test_link_of_somebody_else_is_not_followed(place: Path, owner: int):
    link(place / "link", "../outside/theirs", owner)
    link(place / "within", "theirs", owner)
    for name in ("link", "within"):
        if owner == OTHER:
            assert read(place, name).endswith(b"/theirs")
        else:
            assert refusal(place, name) == errno.ELOOP


def test_every_link_on_the_way_is_asked(place: Path):
    link(place / "good", "../outside")
    link(place / "bad", "../outside", OTHER)
    assert read(place, "good/ours") == b"outside/ours"
    assert refusal(place, "bad/ours") == errno.ELOOP
    link(place / "to-bad", "bad/ours")
    link(place / "to-good", "good/ours")
    assert read(place, "to-good") == b"outside/ours"
    assert refusal(place, "to-bad") == errno.ELOOP


def test_link_in_a_chain_is_asked_about_what_the_chain_leads_to(place: Path):
    link(place / "second", "theirs", OTHER)
    link(place / "first", "second", 0)
    assert read(place, "second") == b"site/theirs"
    assert refusal(place, "first") == errno.ELOOP


def test_link_to_a_directory_may_have_a_slash_behind_it(place: Path):
    link(place / "link", "sub/")
    link(place / "theirs-link", "sub", OTHER)
    assert read(place, "link/b") == b"site/sub/b"
    root = os.open(place, os.O_PATH | os.O_DIRECTORY)
    os.close(open_by_owner(root, b"link/", os.O_RDONLY | os.O_DIRECTORY))
    for name in (b"theirs-link", b"theirs-link/"):
        with pytest.raises(OSError, match="symbolic links"):
            open_by_owner(root, name, os.O_RDONLY)
    os.close(root)


@pytest.mark.parametrize("name", ["../outside/ours", "sub/../a", "/etc/hostname", "sub/.."])
def test_t21_path_itself_never_leads_upwards(place: Path, name: str):
    assert refusal(place, name) == errno.EXDEV


def test_t22_odd_paths_are_refused_like_everywhere(place: Path):
    link(place / "self", "self")
    link(place / "dangling", "none")
    assert refusal(place, "self") == errno.ELOOP
    assert refusal(place, "dangling") == errno.ENOENT
    assert refusal(place, "a/b") == errno.ENOTDIR
    assert refusal(place, "a/") == errno.ENOTDIR
    assert refusal(place, "n" * 300) == errno.ENAMETOOLONG
    assert refusal(place, "n/" * 3000) == errno.ENAMETOOLONG


def test_41_links_are_too_many(place: Path):
    for number in range(41):
        link(place / f"l{number}", f"l{number + 1}")
    link(place / "l41", "a")
    assert read(place, "l2") == b"site/a"
    assert refusal(place, "l0") == errno.ELOOP


def test_last_link_is_not_followed_where_that_is_asked_for(place: Path):
    link(place / "link", "a")
    assert refusal(place, "link", os.O_RDONLY | os.O_NOFOLLOW) == errno.ELOOP


def exchanging_links(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `link` exchanged for one of somebody else's while it is read, on a disk whose clock stands still."""
    link(place / "link", "a", OTHER)
    link(place / "other", "theirs")
    readlink, stat = os.readlink, os.stat

    def exchange() -> None:
        (place / "link").rename(place / "aside")
        (place / "other").rename(place / "link")
        (place / "aside").rename(place / "other")

    def between(name: bytes, *, dir_fd: int) -> bytes:
        exchange()
        try:
            return readlink(name, dir_fd=dir_fd)
        finally:
            exchange()

    def coarse(*arguments: object, **options: object) -> object:
        status = stat(*arguments, **options)
        times = {"st_ctime_ns": 0, "st_mtime_ns": status.st_mtime_ns}
        return os.stat_result(tuple(status), times)

    monkeypatch.setattr(os, "readlink", between)
    monkeypatch.setattr(os, "stat", coarse)


def test_t21_text_of_a_link_never_goes_with_the_owner_of_another(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    exchanging_links(place, monkeypatch)
    assert refusal(place, "link") == errno.ELOOP


def test_t21_link_that_is_exchanged_while_it_is_read_is_noticed_without_o_path(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    link(place / "link", "a")
    readlink = os.readlink

    def exchange(name: bytes, *, dir_fd: int) -> bytes:
        target = readlink(name, dir_fd=dir_fd)
        (place / "link").unlink()
        link(place / "link", "theirs", OTHER)
        return target

    monkeypatch.setattr(by_owner, "_LINK_FLAGS", None)
    monkeypatch.setattr(os, "readlink", exchange)
    assert refusal(place, "link") == errno.EAGAIN
