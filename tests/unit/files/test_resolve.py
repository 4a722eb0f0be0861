"""A root: what opening beneath it gives, and what each failure is called."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.errors import ConfigError, DescriptorsExhausted, FileForbidden, FileMissing
from chute.files import openat2, resolve, walk
from chute.files.resolve import Links, Resolver, Root, openat2_available
from trees import ODD_NAMES, RESOLVERS, descriptors, identity, outcome, plant


@pytest.fixture(params=RESOLVERS)
def resolver(request: pytest.FixtureRequest) -> Resolver:
    if request.param == "openat2" and not openat2_available():
        pytest.skip("this kernel has no openat2")
    return request.param


@pytest.fixture
def site(tmp_path: Path) -> bytes:
    return plant(tmp_path)


@pytest.fixture
def root(site: bytes, resolver: Resolver) -> Iterator[Root]:
    with Root(site, resolver=resolver) as root:
        yield root


@pytest.fixture
def fresh_probe() -> Iterator[None]:
    """Ask the kernel again, and forget what it was made to answer."""
    openat2_available.cache_clear()
    yield
    openat2_available.cache_clear()


def failing_with(number: int, resolver: Resolver, patched: pytest.MonkeyPatch) -> list[bytes]:
    """Make every way to a file fail with `number`; return the list that collects the attempts."""
    attempts: list[bytes] = []

    def system_call(_dir_fd: int, path: bytes, _how: bytes) -> int:
        attempts.append(path)
        return -number

    def stat(path: bytes, **_: object) -> os.stat_result:
        attempts.append(path)
        raise OSError(number, os.strerror(number))

    if resolver == "openat2":
        patched.setattr(openat2, "_system_call", system_call)
    else:
        patched.setattr(os, "stat", stat)
    return attempts


def test_descriptor_is_the_callers_alone(root: Root):
    """Not inherited by a child, and never the reason for a wait."""
    fd = root.open(b"index.html")
    assert os.get_inheritable(fd) is False
    assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK
    os.close(fd)


def test_empty_name_is_the_root_itself(root: Root, site: bytes):
    assert outcome(root, b"", os.O_RDONLY | os.O_DIRECTORY) == identity(site)


def test_flags_of_the_caller_are_kept(root: Root):
    assert outcome(root, b"index.html", os.O_RDONLY | os.O_DIRECTORY) == "FileMissing"


@pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES.keys())
def test_t23_name_is_looked_up_byte_for_byte(root: Root, name: bytes):
    fd = root.open(name)
    assert os.read(fd, 1000) == name
    os.close(fd)


def test_t23_every_byte_may_stand_in_a_name(root: Root, site: bytes):
    for byte in set(range(1, 256)) - {ord("/")}:
        name = b"byte-" + bytes([byte])
        Path(os.fsdecode(site + b"/" + name)).write_bytes(name)
        assert outcome(root, name) == identity(site + b"/" + name), name


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(b"index.html\0.jpg", id="NUL inside"),
        pytest.param(b"\0", id="NUL alone"),
        pytest.param(b"n" * 256, id="256 bytes"),
        pytest.param(b"n" * 300, id="300 bytes"),
        pytest.param(b"d/" * 3000, id="6000 bytes in components"),
        pytest.param(b"self", id="link to itself"),
        pytest.param(b"index.html/more", id="file used as directory"),
        pytest.param(b"index.html/", id="slash behind a file"),
        pytest.param(b"\xff", id="not UTF-8"),
    ],
)
def test_t22_odd_name_is_missing_and_nothing_worse(root: Root, name: bytes):
    with pytest.raises(FileMissing):
        root.open(name)


def test_t22_bytes_that_a_text_only_file_system_refuses_are_missing(
    root: Root, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
):
    failing_with(errno.EILSEQ, resolver, monkeypatch)
    with pytest.raises(FileMissing):
        root.open(b"\xff")


def test_message_escapes_the_name(root: Root):
    with pytest.raises(FileMissing) as caught:
        root.open(b"forged\nline\xff\x1b[2J")
    assert r"b'forged\nline\xff\x1b[2J'" in str(caught.value)


@pytest.mark.timeout(10)
def test_t26_fifo_without_a_writer_opens_at_once(root: Root, site: bytes):
    assert outcome(root, b"fifo") == identity(site + b"/fifo")


def test_t26_socket_is_missing(root: Root):
    assert outcome(root, b"socket") == "FileMissing"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        *[
            (number, FileMissing)
            for number in (
                errno.ENOENT,
                errno.ENOTDIR,
                errno.ENAMETOOLONG,
                errno.ELOOP,
                errno.EXDEV,
                errno.ENXIO,
                errno.ENODEV,
                errno.EINVAL,
                errno.EAGAIN,
            )
        ],
        (errno.EACCES, FileForbidden),
        (errno.EPERM, FileForbidden),
        (errno.EMFILE, DescriptorsExhausted),
        (errno.ENFILE, DescriptorsExhausted),
        (errno.EIO, OSError),
        (errno.ESTALE, OSError),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else value.__name__,
)
def test_t28_every_failure_has_its_name(
    root: Root,
    resolver: Resolver,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[Exception],
):
    failing_with(number, resolver, monkeypatch)
    with pytest.raises(kind) as caught:
        root.open(b"index.html")
    assert isinstance(caught.value, OSError) == (kind is OSError)


def test_rename_on_the_way_is_tried_again_a_bounded_number_of_times(
    site: bytes, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
):
    with Root(site, resolver=resolver) as root:
        attempts = failing_with(errno.EAGAIN, resolver, monkeypatch)
        with pytest.raises(FileMissing):
            root.open(b"index.html")
    assert attempts == [b"index.html"] * (resolve.RENAME_RETRIES + 1)


def test_rename_that_ends_in_time_goes_unnoticed(site: bytes, monkeypatch: pytest.MonkeyPatch):
    left = [errno.EAGAIN] * resolve.RENAME_RETRIES

    def system_call(dir_fd: int, path: bytes, _how: bytes) -> int:
        return -left.pop() if left else os.open(path, os.O_RDONLY, dir_fd=dir_fd)

    monkeypatch.setattr(openat2, "_system_call", system_call)
    monkeypatch.setattr(resolve, "openat2_available", lambda: True)
    with Root(site, resolver="openat2") as root:
        assert outcome(root, b"index.html") == identity(site + b"/index.html")


def test_t29_no_descriptor_left_is_told_apart_from_missing(root: Root, site: bytes):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(descriptors()) + 30, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                held.append(os.dup(2))
        found = outcome(root, b"sub/page")
    finally:
        for fd in held:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found == "DescriptorsExhausted"
    assert outcome(root, b"sub/page") == identity(site + b"/sub/page")


# Root feels no permissions, so a child gives up its rights once it holds the directory. A root that may not even do
# that has lost the right to read everything with it.
OPEN_AS_NOBODY = textwrap.dedent("""
    import contextlib, os, sys
    from chute.files.resolve import Root
    from trees import outcome
    root = Root(os.fsencode(sys.argv[1]), resolver=sys.argv[2])
    with contextlib.suppress(PermissionError):
        os.setgroups([])
        os.setegid(65534)
        os.seteuid(65534)
    for name in sys.argv[3:]:
        found = outcome(root, os.fsencode(name))
        print(name, found if isinstance(found, str) else "opened")
""")


def test_t28_what_the_system_forbids_is_forbidden_and_not_missing(
    tmp_path: Path, resolver: Resolver
):
    site = tmp_path / "open"
    for folder, mode in (("closed", 0o600), ("unlisted", 0o311), ("kept", 0o755)):
        (site / folder).mkdir(parents=True)
        (site / folder / "page").write_bytes(b"page")
        (site / folder).chmod(mode)
    site.chmod(0o755)
    (site / "kept" / "page").chmod(0)
    (site / "link").symlink_to("kept/page")
    expected = {
        "unlisted/page": "opened",
        "unlisted/none": "FileMissing",
        "unlisted": "FileForbidden",
        "kept/page": "FileForbidden",
        "link": "FileForbidden",
        "closed/page": "FileForbidden",
        "closed/none": "FileForbidden",
    }
    search = os.pathsep.join(sys.path)
    child = subprocess.run(
        [sys.executable, "-c", OPEN_AS_NOBODY, site, resolver, *expected],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        timeout=30,
    )
    for folder in ("closed", "unlisted"):
        (site / folder).chmod(0o755)  # or no one but root could tidy up
    assert child.stderr == ""
    assert dict(line.rsplit(" ", 1) for line in child.stdout.splitlines()) == expected


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("none", id="missing"),
        pytest.param("index.html", id="a file"),
        pytest.param("nul\0", id="NUL"),
    ],
)
def test_root_that_is_no_directory_says_what_to_do(site: bytes, name: str):
    path = site + b"/" + os.fsencode(name)
    before = descriptors()
    with pytest.raises(ConfigError) as caught:
        Root(path)
    assert repr(os.fsdecode(path)) in str(caught.value)
    assert "folder that exists" in caught.value.hint
    assert descriptors() == before


def test_root_may_be_reached_by_a_link(site: bytes, tmp_path: Path, resolver: Resolver):
    """What the user names is trusted; what lies beneath it is not."""
    (tmp_path / "current").symlink_to("site")
    with Root(os.fsencode(tmp_path / "current"), resolver=resolver) as root:
        assert outcome(root, b"index.html") == identity(site + b"/index.html")


def test_root_stays_the_directory_it_was_when_its_path_moves_on(
    site: bytes, tmp_path: Path, root: Root
):
    (tmp_path / "site").rename(tmp_path / "moved")
    assert outcome(root, b"index.html") == identity(os.fsencode(tmp_path) + b"/moved/index.html")


def test_closing_twice_closes_nothing_else(site: bytes, resolver: Resolver):
    root = Root(site, resolver=resolver)
    root.close()
    # The next descriptor takes the number that has just become free.
    stranger = os.open("/", os.O_RDONLY)
    root.close()
    os.fstat(stranger)
    os.close(stranger)


def test_closed_root_opens_nothing_beneath_the_working_directory(
    site: bytes, resolver: Resolver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(os.fsdecode(site))
    root = Root(site, resolver=resolver)
    root.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        root.open(b"index.html")


@pytest.mark.usefixtures("fresh_probe")
@pytest.mark.parametrize("is_available", [True, False], ids=["with openat2", "without openat2"])
def test_auto_takes_what_the_kernel_has(
    site: bytes,
    monkeypatch: pytest.MonkeyPatch,
    is_available: bool,
):
    monkeypatch.setattr(openat2, "is_available", lambda: is_available)
    with Root(site) as root:
        expected = openat2.open_beneath if is_available else walk.open_beneath
        assert root._open_beneath is expected


@pytest.mark.usefixtures("fresh_probe")
def test_asking_for_what_the_kernel_lacks_is_refused_at_once(
    site: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(openat2, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no openat2"):
        Root(site, resolver="openat2")


POLICIES: tuple[Links, ...] = ("beneath", "owner", "follow", "deny")


def test_links_stay_beneath_where_nothing_else_is_said(root: Root, site: bytes):
    assert outcome(root, b"relative") == identity(site + b"/index.html")
    assert outcome(root, b"climbing") == "FileMissing"
    assert outcome(root, b"absolute-inside") == "FileMissing"


@pytest.mark.parametrize("links", POLICIES)
def test_root_may_be_reached_by_a_link_under_every_policy(
    site: bytes, tmp_path: Path, resolver: Resolver, links: Links
):
    """Even by one that belongs to somebody else: the root is the word of the one who starts the server."""
    (tmp_path / "current").symlink_to("site")
    if os.geteuid() == 0:
        os.lchown(tmp_path / "current", 12_345, 12_345)
    with Root(os.fsencode(tmp_path / "current"), resolver=resolver, links=links) as root:
        assert outcome(root, b"index.html") == identity(site + b"/index.html")
        assert outcome(root, b"") == identity(site)


@pytest.mark.parametrize("links", POLICIES)
def test_t21_policy_goes_on_when_the_root_leads_elsewhere(
    tmp_path: Path, resolver: Resolver, links: Links
):
    for release in ("one", "two"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "file").write_bytes(release.encode())
        (tmp_path / release / "link").symlink_to("file")
        (tmp_path / release / "out").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "current").symlink_to("one")
    with Root(os.fsencode(tmp_path / "current"), resolver=resolver, links=links) as root:
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "current")
        assert root.follow()
        there = os.fsencode(tmp_path) + b"/two/file"
        assert outcome(root, b"file") == identity(there)
        assert outcome(root, b"link") == ("FileMissing" if links == "deny" else identity(there))
        leaves = links in ("owner", "follow")
        assert (outcome(root, b"out") == "FileMissing") is not leaves


@pytest.mark.parametrize("links", POLICIES)
@pytest.mark.parametrize(
    "name", [b"sub/deep/leaf", b"absolute-outside", b"chain-1", b"to-directory/", b"sub/deep/"]
)
def test_t10_failure_of_any_step_closes_every_descriptor_under_every_policy(
    site: bytes, resolver: Resolver, links: Links, name: bytes, monkeypatch: pytest.MonkeyPatch
):
    """The n-th system call fails, for every n, until a whole look-up gets through."""
    with Root(site, resolver=resolver, links=links) as root:
        whole = outcome(root, name)
        before = descriptors()
        failing_at = calls = 1
        while calls >= failing_at:
            calls = 0

            def step(real: Callable[..., object], at: int) -> Callable[..., object]:
                def call(*arguments: object, **options: object) -> object:
                    nonlocal calls
                    calls += 1
                    if calls == at:
                        raise OSError(errno.EMFILE, "injected")
                    return real(*arguments, **options)

                return call

            with monkeypatch.context() as patched:
                for function in ("stat", "readlink", "open"):
                    patched.setattr(os, function, step(getattr(os, function), failing_at))
                patched.setattr(openat2, "_system_call", step(openat2._system_call, failing_at))
                found = outcome(root, name)
            assert descriptors() == before
            assert found == ("DescriptorsExhausted" if calls >= failing_at else whole)
            failing_at += calls >= failing_at


def test_owner_costs_one_call_where_there_is_no_link(site: bytes, monkeypatch: pytest.MonkeyPatch):
    """And nobody is asked anything then."""
    if not openat2_available():
        pytest.skip("this kernel has no openat2")
    monkeypatch.setattr(resolve.by_owner, "open_by_owner", lambda *_: pytest.fail("walked"))
    with Root(site, resolver="openat2", links="owner") as root:
        assert outcome(root, b"sub/deep/leaf") == identity(site + b"/sub/deep/leaf")
        for name in (b"none", b"index.html/page", b"..", b"sub/../index.html", b"/etc/hostname"):
            assert outcome(root, name) == "FileMissing", name
