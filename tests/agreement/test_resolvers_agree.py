"""Both resolvers give the same answer to every name, and neither ever gives a file outside the root (T21, T22).

Invariant: for any tree and any name, openat2 and the walk open the same inode or raise the same class of error; and
an inode that is opened is one that lies beneath the root, whatever happens to the tree meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chute.errors import FileError
from chute.files import resolve, walk
from chute.files.resolve import Root, openat2_available
from trees import ODD_NAMES, RESOLVERS, Outcome, descriptors, identity, outcome, plant

WITHOUT_O_PATH = "walk without O_PATH"
"""The walk as it goes where directories can only be opened for reading, as on macOS."""

RACE_S = 0.6

pytestmark = pytest.mark.skipif(not openat2_available(), reason="this kernel has no openat2")


@contextlib.contextmanager
def rooted(path: bytes, resolver: str, links: str = "beneath") -> Iterator[Root]:
    with pytest.MonkeyPatch.context() as patched:
        if resolver == WITHOUT_O_PATH:
            portable = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            patched.setattr(resolve, "_ROOT_FLAGS", portable)
            patched.setattr(walk, "DIRECTORY_FLAGS", portable | os.O_NOFOLLOW)
            patched.setattr(walk, "_O_PATH", 0)
            resolver = "walk"
        with Root(path, resolver=resolver, links=links) as root:
            yield root


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return plant(tmp_path_factory.mktemp("agreement"))


LEADS_TO: dict[str, tuple[bytes, bytes]] = {
    "file": (b"index.html", b"index.html"),
    "file in a directory": (b"sub/page", b"sub/page"),
    "directory": (b"sub", b"sub"),
    "directory with a slash": (b"sub/", b"sub"),
    "the root": (b"", b""),
    "FIFO": (b"fifo", b"fifo"),
    "dots in between": (b"./sub/./deep/../page", b"sub/page"),
    "doubled slashes": (b"sub//deep///leaf", b"sub/deep/leaf"),
    "back to the root": (b"sub/..", b""),
    "link to a file": (b"relative", b"index.html"),
    "link to a directory": (b"to-directory", b"sub"),
    "link to a directory, with a slash": (b"to-directory/", b"sub"),
    "through a link to a directory": (b"to-directory/deep/leaf", b"sub/deep/leaf"),
    "link with a slash": (b"to-directory-slash", b"sub"),
    "through a link with a slash": (b"to-directory-slash/page", b"sub/page"),
    "link to the root": (b"to-root", b""),
    "link to the root from below": (b"sub/deep/to-root/sub/page", b"sub/page"),
    "link upwards": (b"sub/up", b"index.html"),
    "link upwards twice": (b"sub/deep/up-twice", b"index.html"),
    "dots inside a link": (b"through-dots", b"index.html"),
    "doubled slash inside a link": (b"double-slash", b"sub/page"),
    "chain": (b"chain-1", b"index.html"),
    "40 links": (b"link-2", b"index.html"),
    "name of 4094 bytes": (b"./" * 2042 + b"index.html", b"index.html"),
    **{f"odd name: {words}": (name, name) for words, name in ODD_NAMES.items()},
}

MISSING: dict[str, bytes] = {
    "no such name": b"no-such-file",
    "no such directory": b"no-such/page",
    "slash behind a missing name": b"no-such/",
    "slash behind a file": b"index.html/",
    "slash behind a link to a file": b"relative/",
    "slash behind a FIFO": b"fifo/",
    "dot behind a file": b"index.html/.",
    "dots behind a file": b"index.html/..",
    "file used as directory": b"index.html/page",
    "link to a file used as directory": b"relative/page",
    "link to a file with a slash": b"to-file-slash",
    "link through a file": b"through-file",
    "link through nothing": b"through-missing",
    "dangling link": b"dangling",
    "link to itself": b"self",
    "below a link to itself": b"self/page",
    "loop of two": b"loop-a",
    "41 links": b"link-1",
    "socket": b"socket",
    "NUL": b"index.html\0",
    "256 bytes": b"n" * 256,
    "300 bytes": b"n" * 300,
    "300 bytes below a directory": b"sub/" + b"n" * 300,
    "name of 4096 bytes": b"./" * 2043 + b"index.html",
    "T21: the parent": b"..",
    "T21: the parent with a slash": b"../",
    "T21: out by name": b"../outside/secret",
    "T21: out and in by name": b"../site/index.html",
    "T21: out from below": b"sub/../../outside/secret",
    "T21: absolute name": b"/index.html",
    "T21: absolute name outside": b"/etc/passwd",
    "T21: two slashes first": b"//etc/passwd",
    "T21: absolute link outside": b"absolute-outside",
    "T21: absolute link inside": b"absolute-inside",
    "T21: absolute link, taken beneath the root": b"absolute-as-if-root",
    "T21: link to the parent": b"parent",
    "T21: through a link to the parent": b"parent/outside/secret",
    "T21: climbing link": b"climbing",
    "T21: climbing link from below": b"sub/deep/climbing",
    "T21: link that climbs late": b"climbing-late",
    "T21: link out and in again": b"out-and-in",
    "T21: sibling with the same beginning": b"sibling",
    "T21: link to a directory outside": b"directory-out",
    "T21: through a link to a directory outside": b"directory-out/secret",
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("resolver", [*RESOLVERS, WITHOUT_O_PATH])
@pytest.mark.parametrize(("name", "real"), LEADS_TO.values(), ids=LEADS_TO.keys())
def test_t21_name_beneath_the_root_leads_to_its_file(
    site: bytes, resolver: str, name: bytes, real: bytes
):
    with rooted(site, resolver) as root:
        assert outcome(root, name) == identity(site + b"/" + real)


@pytest.mark.parametrize("resolver", [*RESOLVERS, WITHOUT_O_PATH])
@pytest.mark.parametrize("name", MISSING.values(), ids=MISSING.keys())
def test_t22_name_that_leads_nowhere_or_out_is_missing(site: bytes, resolver: str, name: bytes):
    with rooted(site, resolver) as root:
        assert outcome(root, name) == "FileMissing"


def test_t21_root_without_its_last_letters_is_no_prefix(site: bytes):
    """`/srv/site` serves nothing of `/srv/site-secret`, by whatever spelling."""
    for resolver in RESOLVERS:
        with rooted(site, resolver) as root:
            for name in (b"-secret/secret", b"../site-secret/secret", b"sibling"):
                assert outcome(root, name) == "FileMissing", (resolver, name)


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_t21_magic_links_lead_nowhere(resolver: str):
    """A served /proc would otherwise hand out whatever this process holds open."""
    secret = os.open("/", os.O_RDONLY)
    with rooted(b"/proc", resolver) as root:
        for name in (
            b"self/fd/%d" % secret,
            b"self/exe",
            b"self/root",
            b"self/cwd",
            b"self/ns/net",
        ):
            assert outcome(root, name) == "FileMissing", name
        assert outcome(root, b"self/status") != "FileMissing"
    os.close(secret)


COMPONENTS = [b"..", b".", b"", b"sub", b"deep", b"page", b"one", b"two", b"three", b"none"]
PLACES = [b"one", b"two", b"sub/one", b"sub/three", b"sub/deep/one", b"sub/deep/two"]
paths = st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=6).map(b"/".join)
# One link in eight or so leads to where the tree really is outside, so that leaving it could succeed.
targets = st.one_of(paths, paths, paths, st.sampled_from([b"../outside/page", b"../site/page"]))


@settings(max_examples=300, deadline=None)
@given(links=st.dictionaries(st.sampled_from(PLACES), targets.filter(bool)), names=st.lists(paths))
def test_t21_any_tree_of_links_gives_the_same_answers(
    links: dict[bytes, bytes], names: list[bytes]
):
    with tempfile.TemporaryDirectory() as place:
        site = os.fsencode(place) + b"/site"
        os.makedirs(site + b"/sub/deep")
        os.mkdir(os.fsencode(place) + b"/outside")
        for name in (b"site/page", b"site/sub/page", b"site/sub/deep/page", b"outside/page"):
            Path(place, os.fsdecode(name)).touch()
        for name, target in links.items():
            os.symlink(target, site + b"/" + name)
        beneath = {identity(folder) for folder, _, _ in os.walk(site)}
        beneath |= {identity(f + b"/" + name) for f, _, files in os.walk(site) for name in files}
        with Root(site, resolver="openat2") as kernel, Root(site, resolver="walk") as walker:
            for name in [*names, *links, *(link + b"/page" for link in links)]:
                found = outcome(kernel, name)
                assert outcome(walker, name) == found, name
                assert found == "FileMissing" or found in beneath, name


# A process of its own, for two threads of one would take turns where an attacker does not.
SWAP = textwrap.dedent("""
    import os, select, sys
    place, counterpart = sys.argv[1:]
    aside = counterpart + "-aside"
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        os.rename(place, aside)
        os.rename(counterpart, place)
        os.rename(place, counterpart)
        os.rename(aside, place)
""")


@contextlib.contextmanager
def swapped(place: Path, counterpart: Path) -> Iterator[None]:
    """Exchange what lies at `place` with `counterpart`, as fast as it goes, until the block is left."""
    with subprocess.Popen(
        [sys.executable, "-c", SWAP, place, counterpart],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdin is not None
        assert attacker.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            attacker.stdin.close()
            assert attacker.wait(10) == 0


def race(root: Root, name: bytes) -> set[object]:
    """Open `name` again and again, and return everything that ever came of it."""
    found: set[object] = set()
    deadline = time.monotonic() + RACE_S
    while time.monotonic() < deadline:
        for _ in range(100):
            found.add(outcome(root, name))
    return found


@pytest.mark.parametrize("resolver", RESOLVERS)
@pytest.mark.parametrize(
    ("name", "place", "target"),
    [
        pytest.param(b"sub/page", "sub", "../outside", id="directory on the way"),
        pytest.param(b"index.html", "index.html", "../outside/page", id="the file itself"),
        pytest.param(b"relative", "index.html", "../outside/page", id="what a link leads to"),
    ],
)
def test_t21_exchange_for_a_link_never_lets_out(
    tmp_path: Path, resolver: str, name: bytes, place: str, target: str
):
    site = plant(tmp_path)
    (tmp_path / "outside" / "page").write_bytes(b"never served")
    os.symlink(target, site + b"/counterpart")
    with rooted(site, resolver) as root:
        inside = outcome(root, name)
        before = descriptors()
        with swapped(tmp_path / "site" / place, tmp_path / "site" / "counterpart"):
            found = race(root, name)
        assert found == {inside, "FileMissing"}
        assert descriptors() == before


@pytest.mark.parametrize("resolver", RESOLVERS)
def test_t21_directory_that_moves_out_never_takes_dot_dot_along(tmp_path: Path, resolver: str):
    """`sub/deep/../page` asks for `..` of a directory that meanwhile lies beside a page outside."""
    site = plant(tmp_path)
    outside = tmp_path / "outside"
    (outside / "page").write_bytes(b"never served")
    (outside / "deep").mkdir()
    with rooted(site, resolver) as root:
        inside = outcome(root, b"sub/deep/../page")
        before = descriptors()
        with swapped(tmp_path / "site" / "sub" / "deep", outside / "deep"):
            found = race(root, b"sub/deep/../page")
        assert inside in found
        assert found <= {inside, "FileMissing"}
        assert descriptors() == before


@pytest.mark.parametrize("resolver", [*RESOLVERS, WITHOUT_O_PATH])
def test_t10_a_thousand_failures_of_each_kind_leave_nothing_open(site: bytes, resolver: str):
    with rooted(site, resolver) as root:
        before = descriptors()
        for words, name in MISSING.items():
            for _ in range(1000):
                with contextlib.suppress(FileError):
                    os.close(root.open(name))
            assert descriptors() == before, words


POLICIES: dict[str, tuple[str, ...]] = {
    # What is opened under each policy; everything else is not there.
    "index.html": ("beneath", "owner", "follow", "deny"),
    "sub/page": ("beneath", "owner", "follow", "deny"),
    "relative": ("beneath", "owner", "follow"),
    "to-directory/deep/leaf": ("beneath", "owner", "follow"),
    "sub/deep/to-root/sub/page": ("beneath", "owner", "follow"),
    "chain-1": ("beneath", "owner", "follow"),
    "link-2": ("beneath", "owner", "follow"),
    "link-1": (),
    "self": (),
    "dangling": (),
    "absolute-inside": ("owner", "follow"),
    "absolute-outside": ("owner", "follow"),
    "climbing": ("owner", "follow"),
    "directory-out/secret": ("owner", "follow"),
    "out-and-in": ("owner", "follow"),
    "through-file": (),
    "none": (),
    "../outside/secret": (),
    "/etc/hostname": (),
}


@pytest.mark.parametrize("policy", ["beneath", "owner", "follow", "deny"])
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_t21_resolvers_agree_on_every_policy(site: bytes, resolver: str, policy: str):
    with Root(site, resolver=resolver, links=policy) as root:
        opened = set()
        for name in POLICIES:
            try:
                os.close(root.open(os.fsencode(name)))
            except FileError:
                continue
            opened.add(name)
    assert opened == {name for name, policies in POLICIES.items() if policy in policies}


@pytest.mark.parametrize("policy", ["owner", "follow", "deny"])
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_t22_odd_names_are_opened_as_they_are_under_every_policy(
    site: bytes, resolver: str, policy: str
):
    with Root(site, resolver=resolver, links=policy) as root:
        for name in ODD_NAMES.values():
            fd = root.open(name)
            assert os.read(fd, 1000) == name
            os.close(fd)
        for name in (b"a\0b", b"n" * 300, b"n/" * 3000, b"index.html/"):
            with pytest.raises(FileError):
                root.open(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("policy", ["beneath", "deny", "owner"])
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_t21_directory_exchanged_for_a_link_never_leads_to_a_stranger(
    tmp_path: Path, resolver: str, policy: str
):
    """Invariant: whatever is exchanged meanwhile, what is opened is ours."""
    root_path = tmp_path / "site"
    for place in (root_path / "real", tmp_path / "strange"):
        place.mkdir(parents=True)
    (root_path / "real/file").write_bytes(b"ours")
    (tmp_path / "strange/file").write_bytes(b"strange")
    os.chown(tmp_path / "strange/file", 12_345, 12_345)
    os.chown(tmp_path / "strange", 12_345, 12_345)
    (root_path / "link").symlink_to("../strange")
    program = textwrap.dedent(
        """
        import ctypes, os, sys, time
        os.chdir(sys.argv[1])
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        end = time.monotonic() + float(sys.argv[2])
        while time.monotonic() < end:
            rename(-100, b"real", -100, b"link", 2)
        """
    )
    exchanger = subprocess.Popen([sys.executable, "-c", program, str(root_path), str(RACE_S)])
    ours = 0
    with Root(os.fsencode(root_path), resolver=resolver, links=policy) as root:
        while exchanger.poll() is None:
            for name in (b"real/file", b"link/file"):
                try:
                    fd = root.open(name)
                except FileError:
                    continue
                content = os.read(fd, 100)
                os.close(fd)
                assert content == b"ours"
                ours += 1
    assert exchanger.returncode == 0
    assert ours, "nothing was ever opened"


STRANGER = 12_345
EVERY_WALK = (*RESOLVERS, WITHOUT_O_PATH)


def expected(site: bytes, name: bytes, policy: str) -> Outcome:
    """Say what `name` leads to, by one path after the other: right as long as nothing changes meanwhile."""
    stays = policy in ("beneath", "deny")
    refused = name.startswith(b"/") or (not stays and b".." in name.split(b"/"))
    here, followed = site, 0
    pending: list[bytes | int] = [*name.split(b"/")][::-1]
    while pending and not refused:
        step = pending.pop()
        if isinstance(step, int):
            refused = os.lstat(here).st_uid != step
            continue
        there = os.path.normpath(os.path.join(here, step))
        leaves = stays and there == os.path.dirname(site)
        refused = leaves or not (os.path.isdir(here) and os.path.lexists(there))
        if refused or not os.path.islink(there):
            here = there
            continue
        followed += 1
        target = os.readlink(there)
        refused = followed > 40 or policy == "deny" or (stays and target.startswith(b"/"))
        pending.extend([os.lstat(there).st_uid] * (policy == "owner"))
        pending.extend(target.split(b"/")[::-1])
        here = b"/" if target.startswith(b"/") else here
    return "FileMissing" if refused else identity(here)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("policy", ["beneath", "owner", "follow", "deny"])
@pytest.mark.parametrize("resolver", EVERY_WALK)
def test_t21_every_name_leads_where_the_policy_says(site: bytes, resolver: str, policy: str):
    names = [*MISSING.values(), *(name for name, _ in LEADS_TO.values())]
    # What is wrong with the others has nothing to do with links.
    names = [n for n in names if b"\0" not in n and len(n) < 256 and n != b"socket"]
    with rooted(site, resolver, policy) as root:
        for name in names:
            assert outcome(root, name) == expected(site, name, policy), name


absolute_targets = st.sampled_from([b"@/outside/page", b"@/site/sub", b"@/site/one", b"@/outside"])


@settings(max_examples=40, deadline=None)
@given(
    links=st.dictionaries(st.sampled_from(PLACES), targets.filter(bool) | absolute_targets),
    strange=st.sets(st.sampled_from([*PLACES, b"sub", b"sub/page", b"../outside/page"])),
    names=st.lists(paths, max_size=4),
)
def test_t21_any_tree_gives_the_same_answers_under_every_policy(
    links: dict[bytes, bytes], strange: set[bytes], names: list[bytes]
):
    """Where this user can give things away, links of one owner to what is another's are among them."""
    with tempfile.TemporaryDirectory() as place:
        site = os.fsencode(place) + b"/site"
        os.makedirs(site + b"/sub/deep")
        os.mkdir(os.fsencode(place) + b"/outside")
        for name in (b"page", b"sub/page", b"sub/deep/page", b"../outside/page"):
            Path(os.fsdecode(site + b"/" + name)).touch()
        for name, target in links.items():
            os.symlink(target.replace(b"@", os.fsencode(place)), site + b"/" + name)
        for name in strange:
            if os.geteuid() == 0 and os.path.lexists(site + b"/" + name):
                os.lchown(site + b"/" + name, STRANGER, STRANGER)
        asked = [*names, *links, *(link + b"/page" for link in links)]
        for policy in ("beneath", "owner", "follow", "deny"):
            for resolver in EVERY_WALK:
                with rooted(site, resolver, policy) as root:
                    for name in asked:
                        found = outcome(root, name)
                        assert found == expected(site, name, policy), (policy, resolver, name)


@pytest.mark.parametrize("policy", ["beneath", "owner", "follow", "deny"])
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_t21_link_into_proc_never_hands_out_what_is_merely_open(
    tmp_path: Path, resolver: str, policy: str
):
    """A magic link would jump to it, though no path leads there any more."""
    (tmp_path / "gone").write_bytes(b"held open")
    held = os.open(tmp_path / "gone", os.O_RDONLY)
    (tmp_path / "gone").unlink()
    reading, writing = os.pipe()
    (tmp_path / "file").symlink_to(f"/proc/self/fd/{held}")
    (tmp_path / "pipe").symlink_to(f"/proc/self/fd/{reading}")
    with rooted(os.fsencode(tmp_path), resolver, policy) as root:
        assert {outcome(root, b"file"), outcome(root, b"pipe")} == {"FileMissing"}
    for fd in (held, reading, writing):
        os.close(fd)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives links away")
@pytest.mark.parametrize("resolver", RESOLVERS)
def test_t21_exchange_of_two_links_never_gives_one_the_owner_of_the_other(
    tmp_path: Path, resolver: str
):
    """Neither is followed; read halfway through the exchange, one's owner would own what the other leads to."""
    (tmp_path / "site").mkdir()
    (tmp_path / "strange").write_bytes(b"strange")
    (tmp_path / "site/ours").write_bytes(b"ours")
    os.chown(tmp_path / "strange", STRANGER, STRANGER)
    (tmp_path / "site/to-ours").symlink_to("ours")
    os.lchown(tmp_path / "site/to-ours", STRANGER, STRANGER)
    (tmp_path / "site/to-strange").symlink_to("../strange")
    with rooted(os.fsencode(tmp_path / "site"), resolver, "owner") as root:
        before = descriptors()
        with swapped(tmp_path / "site/to-ours", tmp_path / "site/to-strange"):
            assert race(root, b"to-ours") == {"FileMissing"}
        assert descriptors() == before
