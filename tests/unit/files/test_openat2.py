"""The binding of openat2(2): the way to the kernel, and its absence."""

from __future__ import annotations

import errno
import os
import platform
import sys
from pathlib import Path

import pytest

from chute.files import openat2
from chute.files.resolve import openat2_available
from trees import descriptors, plant

FLAGS = os.O_RDONLY | os.O_CLOEXEC

needs_openat2 = pytest.mark.skipif(not openat2_available(), reason="this kernel has no openat2")


def refusing(*numbers: int) -> tuple[openat2.SystemCall, list[bytes]]:
    """Return a system call that fails once with each of `numbers` and then opens /, and the paths it was asked for."""
    left = list(numbers)
    asked: list[bytes] = []

    def system_call(_dir_fd: int, path: bytes, _how: bytes) -> int:
        asked.append(path)
        return -left.pop(0) if left else os.open("/", FLAGS)

    return system_call, asked


@needs_openat2
def test_opening_gives_the_file_beneath_the_directory(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"content")
    directory = os.open(tmp_path, os.O_RDONLY)
    fd = openat2.open_beneath(directory, b"sub/file", FLAGS)
    assert os.read(fd, 100) == b"content"
    os.close(fd)
    os.close(directory)


@needs_openat2
@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(b"none", errno.ENOENT, id="missing"),
        pytest.param(b"..", errno.EXDEV, id="the parent"),
        pytest.param(b"/etc/passwd", errno.EXDEV, id="absolute"),
        pytest.param(b"n" * 300, errno.ENAMETOOLONG, id="too long a name"),
    ],
)
def test_failure_carries_the_number_of_the_kernel(tmp_path: Path, name: bytes, number: int):
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match=os.strerror(number)):
        openat2.open_beneath(directory, name, FLAGS)
    os.close(directory)


@needs_openat2
def test_t21_magic_link_is_refused():
    """/proc/self/fd/N looks like a link and is none: it jumps straight to an open file."""
    process = os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        openat2.open_beneath(process, b"fd/%d" % process, FLAGS)
    os.close(process)


@needs_openat2
@pytest.mark.parametrize(
    ("name", "beneath", "without_links", "following"),
    [
        pytest.param(b"sub/page", 0, 0, 0, id="no link"),
        pytest.param(b"relative", 0, errno.ELOOP, 0, id="link"),
        pytest.param(b"to-directory/page", 0, errno.ELOOP, 0, id="link on the way"),
        pytest.param(b"climbing", errno.EXDEV, errno.ELOOP, 0, id="link upwards"),
        pytest.param(b"absolute-outside", errno.EXDEV, errno.ELOOP, 0, id="absolute link"),
        pytest.param(b"link-1", errno.ELOOP, errno.ELOOP, errno.ELOOP, id="41 links"),
    ],
)
def test_t21_which_links_are_followed_is_the_callers_choice(
    tmp_path: Path, name: bytes, beneath: int, without_links: int, following: int
):
    directory = os.open(plant(tmp_path), os.O_RDONLY)
    found = []
    for resolve in (openat2.BENEATH, openat2.WITHOUT_LINKS, openat2.FOLLOWING):
        try:
            os.close(openat2.open_beneath(directory, name, FLAGS, resolve))
            found.append(0)
        except OSError as error:
            found.append(error.errno or -1)
    assert found == [beneath, without_links, following]
    os.close(directory)


@needs_openat2
def test_t21_magic_link_is_refused_even_where_all_others_are_followed(tmp_path: Path):
    (tmp_path / "link").symlink_to("/proc/self/exe")
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        openat2.open_beneath(directory, b"link", FLAGS, openat2.FOLLOWING)
    os.close(directory)


def test_interrupted_call_is_repeated(monkeypatch: pytest.MonkeyPatch):
    system_call, asked = refusing(errno.EINTR, errno.EINTR)
    monkeypatch.setattr(openat2, "_system_call", system_call)
    os.close(openat2.open_beneath(0, b"name", FLAGS))
    assert asked == [b"name"] * 3


def test_other_failures_are_not_repeated(monkeypatch: pytest.MonkeyPatch):
    system_call, asked = refusing(errno.EAGAIN)
    monkeypatch.setattr(openat2, "_system_call", system_call)
    with pytest.raises(BlockingIOError):
        openat2.open_beneath(0, b"name", FLAGS)
    assert asked == [b"name"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM], ids=["old kernel", "seccomp"])
def test_probe_finds_a_kernel_that_refuses(monkeypatch: pytest.MonkeyPatch, number: int):
    system_call, _ = refusing(number)
    monkeypatch.setattr(openat2, "_system_call", system_call)
    before = descriptors()
    assert openat2.is_available() is False
    assert descriptors() == before


def test_probe_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch):
    system_call, _ = refusing()
    monkeypatch.setattr(openat2, "_system_call", system_call)
    before = descriptors()
    assert openat2.is_available() is True
    assert descriptors() == before


def test_probe_without_a_binding_says_no(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(openat2, "_system_call", None)
    assert openat2.is_available() is False


def test_probe_without_a_descriptor_says_no(monkeypatch: pytest.MonkeyPatch):
    def exhausted(*_: object) -> int:
        raise OSError(errno.EMFILE, "no descriptor is left")

    monkeypatch.setattr(openat2, "_system_call", refusing()[0])
    monkeypatch.setattr(os, "open", exhausted)
    assert openat2.is_available() is False


def test_python_without_ctypes_has_no_binding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert openat2._bind() is None


@pytest.mark.parametrize(
    ("system", "machine"),
    [
        pytest.param("Darwin", "arm64", id="macOS"),
        pytest.param("Linux", "alpha", id="the one architecture with another number"),
    ],
)
def test_systems_without_the_call_have_no_binding(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert openat2._bind() is None
