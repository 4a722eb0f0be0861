"""The walk without openat2: what may change between two of its steps, and what each step may fail with."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.files import walk
from trees import descriptors, identity, plant

FLAGS = os.O_RDONLY | os.O_CLOEXEC

STEPS = ("stat", "readlink", "open")
"""The system calls that a walk is made of."""


@pytest.fixture
def site(tmp_path: Path) -> bytes:
    return plant(tmp_path)


@pytest.fixture
def directory(site: bytes) -> Iterator[int]:
    fd = os.open(site, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def errno_of(directory: int, name: bytes, flags: int = FLAGS) -> int:
    """Return the number that opening `name` fails with, or 0."""
    try:
        os.close(walk.open_beneath(directory, name, flags))
    except OSError as error:
        return error.errno or -1
    return 0


def after(function: str, name: bytes, change: Callable[[], None]) -> Callable[..., object]:
    """Return an `os.<function>` that lets the world change right after it was used on `name`."""
    real = getattr(os, function)

    def call(path: bytes, *arguments: object, **options: object) -> object:
        result = real(path, *arguments, **options)
        if path == name:
            change()
        return result

    return call


def exchange_for_link(path: bytes, target: bytes) -> Callable[[], None]:
    def change() -> None:
        os.rename(path, path + b".aside")
        os.symlink(target, path)

    return change


@pytest.mark.parametrize(
    ("name", "component", "target"),
    [
        pytest.param(b"sub/page", b"sub", b"../outside", id="directory on the way"),
        pytest.param(b"index.html", b"index.html", b"../outside/secret", id="the file itself"),
    ],
)
def test_t21_component_exchanged_for_a_link_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
    site: bytes,
    directory: int,
    name: bytes,
    component: bytes,
    target: bytes,
):
    """The moment between looking and opening is the attack; here it is struck every time."""
    before = descriptors()
    change = exchange_for_link(site + b"/" + component, target)
    monkeypatch.setattr(os, "stat", after("stat", component, change))
    assert errno_of(directory, name) in (errno.ELOOP, errno.ENOTDIR)
    monkeypatch.undo()
    assert descriptors() == before


def test_t21_link_exchanged_for_a_file_is_missing(
    monkeypatch: pytest.MonkeyPatch, site: bytes, directory: int
):
    def change() -> None:
        os.unlink(site + b"/relative")
        Path(os.fsdecode(site + b"/relative")).write_bytes(b"late")

    monkeypatch.setattr(os, "stat", after("stat", b"relative", change))
    assert errno_of(directory, b"relative") == errno.EINVAL


def test_t21_directory_moved_out_does_not_carry_dot_dot_along(
    monkeypatch: pytest.MonkeyPatch, site: bytes, directory: int
):
    """`..` leads back to where the walk came from, and not to where the directory lies now."""

    def change() -> None:
        os.rename(site + b"/sub/deep", os.path.dirname(site) + b"/outside/deep")

    (Path(os.fsdecode(site)).parent / "outside" / "page").write_bytes(b"not this one")
    monkeypatch.setattr(os, "open", after("open", b"deep", change))
    fd = walk.open_beneath(directory, b"sub/deep/../page", FLAGS)
    assert (os.fstat(fd).st_dev, os.fstat(fd).st_ino) == identity(site + b"/sub/page")
    os.close(fd)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.EACCES, errno.EINTR])
@pytest.mark.parametrize("name", [b"sub/deep/leaf", b"chain-1", b"through-dots", b"sub/deep/"])
def test_failure_of_any_step_closes_every_descriptor(
    monkeypatch: pytest.MonkeyPatch, directory: int, name: bytes, number: int
):
    """The n-th system call fails, for every n, until a whole walk gets through."""
    before = descriptors()
    failing_at = 0
    while True:
        failing_at += 1
        calls = 0

        def step(real: Callable[..., object], at: int) -> Callable[..., object]:
            def call(*arguments: object, **options: object) -> object:
                nonlocal calls
                calls += 1
                if calls == at:
                    raise OSError(number, "injected")
                return real(*arguments, **options)

            return call

        with monkeypatch.context() as patched:
            for function in STEPS:
                patched.setattr(os, function, step(getattr(os, function), failing_at))
            found = errno_of(directory, name)
        assert descriptors() == before
        if calls < failing_at:
            break
        assert found == number
    assert failing_at > len(name.split(b"/"))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(b"link-2", 0, id="40 links"),
        pytest.param(b"link-1", errno.ELOOP, id="41 links"),
        pytest.param(b"/index.html", errno.EXDEV, id="absolute name"),
        pytest.param(b"./" * 2042 + b"index.html", 0, id="4094 bytes"),
        pytest.param(b"./" * 2043 + b"index.html", errno.ENAMETOOLONG, id="4096 bytes"),
    ],
)
def test_bounds_are_those_of_the_kernel(directory: int, name: bytes, number: int):
    assert errno_of(directory, name) == number


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(b"relative", errno.ELOOP, id="the last component"),
        pytest.param(b"to-directory/page", 0, id="on the way"),
        pytest.param(b"to-directory/", 0, id="before a trailing slash"),
    ],
)
def test_caller_may_refuse_a_link_at_the_end(directory: int, name: bytes, number: int):
    assert errno_of(directory, name, FLAGS | os.O_NOFOLLOW) == number


def test_without_links_none_is_followed(site: bytes, directory: int):
    before = descriptors()
    for name in (b"relative", b"to-directory/page", b"to-directory/", b"sub/deep/to-root"):
        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            walk.open_beneath(directory, name, FLAGS, links_max=0)
    fd = walk.open_beneath(directory, b"sub/deep/leaf", FLAGS, links_max=0)
    assert os.path.samestat(os.fstat(fd), os.stat(site + b"/sub/deep/leaf"))
    os.close(fd)
    assert descriptors() == before


@pytest.fixture(params=["with O_PATH", "without O_PATH"])
def follow(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, directory: int
) -> Callable[..., int]:
    """`walk.open_following`, with and without O_PATH; returns the errno, or the descriptor negated."""
    if request.param == "without O_PATH":
        monkeypatch.setattr(walk, "_O_PATH", 0)

    def opened(name: bytes, flags: int = FLAGS) -> int:
        try:
            return -walk.open_following(directory, name, flags)
        except OSError as error:
            return error.errno or 0

    return opened


@pytest.mark.parametrize(
    ("name", "real"),
    [
        pytest.param(b"absolute-inside", b"index.html", id="absolute link"),
        pytest.param(b"absolute-outside", b"../outside/secret", id="absolute link outside"),
        pytest.param(b"climbing-late", b"../outside/secret", id="link upwards"),
        pytest.param(b"directory-out/secret", b"../outside/secret", id="link on the way"),
        pytest.param(b"directory-out", b"../outside", id="link to a directory"),
        pytest.param(b"parent/site/sub/page", b"sub/page", id="out and in again"),
        pytest.param(b"sub/deep/to-root/sub/", b"sub", id="slash behind a directory"),
        pytest.param(b"sub//./page", b"sub/page", id="dots in between"),
        pytest.param(b"link-2", b"index.html", id="40 links"),
    ],
)
def test_following_leads_wherever_links_lead(
    site: bytes, follow: Callable[..., int], name: bytes, real: bytes
):
    before = descriptors()
    fd = -follow(name)
    assert os.path.samestat(os.fstat(fd), os.stat(site + b"/" + real))
    os.close(fd)
    assert descriptors() == before


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param(b"..", errno.EXDEV, id="the parent"),
        pytest.param(b"../outside/secret", errno.EXDEV, id="out by name"),
        pytest.param(b"sub/../index.html", errno.EXDEV, id="up, though not out"),
        pytest.param(b"directory-out/../outside/secret", errno.EXDEV, id="up behind a link"),
        pytest.param(b"/etc/hostname", errno.EXDEV, id="absolute name"),
        pytest.param(b"link-1", errno.ELOOP, id="41 links"),
        pytest.param(b"loop-a", errno.ELOOP, id="loop"),
        pytest.param(b"dangling", errno.ENOENT, id="dangling"),
        pytest.param(b"through-file", errno.ENOTDIR, id="link through a file"),
        pytest.param(b"relative/", errno.ENOTDIR, id="slash behind a link to a file"),
        pytest.param(b"./" * 2043 + b"index.html", errno.ENAMETOOLONG, id="4096 bytes"),
    ],
)
def test_t21_following_is_for_links_and_never_for_the_name(
    follow: Callable[..., int], name: bytes, number: int
):
    before = descriptors()
    assert follow(name) == number
    assert descriptors() == before


def test_following_stops_at_a_last_link_where_that_is_asked_for(follow: Callable[..., int]):
    assert follow(b"relative", FLAGS | os.O_NOFOLLOW) == errno.ELOOP
    os.close(-follow(b"to-directory/page", FLAGS | os.O_NOFOLLOW))


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
@pytest.mark.parametrize("name", [b"sub/deep/leaf", b"absolute-outside", b"through-dots", b"sub/"])
def test_failure_of_any_step_of_following_closes_every_descriptor(
    monkeypatch: pytest.MonkeyPatch, directory: int, name: bytes, number: int
):
    monkeypatch.setattr(walk, "open_beneath", walk.open_following)
    test_failure_of_any_step_closes_every_descriptor(monkeypatch, directory, name, number)
