"""Trees full of names and links that a stranger might plant, and what opening one of them comes to."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from chute.errors import FileError
from chute.files.resolve import Root

Outcome = tuple[int, int] | str
"""Device and inode of what was opened; or the name of the error."""

RESOLVERS = ("openat2", "walk")


def outcome(root: Root, name: bytes, flags: int = os.O_RDONLY) -> Outcome:
    """Open `name` and say what came of it; nothing stays open."""
    try:
        fd = root.open(name, flags)
    except FileError as error:
        return type(error).__name__
    try:
        status = os.fstat(fd)
        return (status.st_dev, status.st_ino)
    finally:
        os.close(fd)


def identity(path: bytes) -> Outcome:
    """Return what `outcome` says when exactly `path` was opened."""
    status = os.lstat(path)
    return (status.st_dev, status.st_ino)


def descriptors() -> set[str]:
    """Return the numbers of this process's open descriptors, and what each leads to."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return found


LINKS: dict[bytes, bytes] = {
    b"relative": b"index.html",
    b"to-directory": b"sub",
    b"to-directory-slash": b"sub/",
    b"to-file-slash": b"index.html/",
    b"to-root": b".",
    b"sub/up": b"../index.html",
    b"sub/deep/up-twice": b"../../index.html",
    b"through-dots": b"sub/./deep/../../index.html",
    b"double-slash": b"sub//page",
    b"sub/deep/to-root": b"../..",
    b"chain-1": b"chain-2",
    b"chain-2": b"to-directory/up",
    b"dangling": b"no-such-file",
    b"self": b"self",
    b"loop-a": b"sub/loop-b",
    b"sub/loop-b": b"../loop-a",
    b"parent": b"..",
    b"climbing": b"../outside/secret",
    b"sub/deep/climbing": b"../../../outside/secret",
    b"climbing-late": b"sub/deep/../../../outside/secret",
    b"out-and-in": b"../site/index.html",
    b"sibling": b"../site-secret/secret",
    b"absolute-as-if-root": b"/index.html",
    b"directory-out": b"../outside",
    b"through-missing": b"no-such/../index.html",
    b"through-file": b"index.html/../index.html",
    **{b"link-%d" % n: b"link-%d" % (n + 1) for n in range(1, 41)},
    b"link-41": b"index.html",
}
"""What is planted besides the links that name the place; `link-2` takes 40 links to its end, `link-1` 41."""

ODD_NAMES: dict[str, bytes] = {
    "not UTF-8": b"\xff\xfe\x80",
    "newline": b"new\nline",
    "control bytes": b"\x01\x1b[2J\x7f",
    "backslashes": b"..\\..\\secret",
    "percent signs": b"%2e%2e%2fsecret",
    "three dots": b"...",
    "two dots and a letter": b"..a",
    "only a space": b" ",
    "composed letter": b"caf\xc3\xa9",
    "decomposed letter": b"cafe\xcc\x81",
    "255 bytes": b"n" * 255,
    "pattern signs": b"*?[a]{b}",
    "query signs": b"a?b#c;d&e=f",
}


def plant(place: Path) -> bytes:
    """Make the served directory `site` in `place`, with a secret outside and another in a sibling; return its path."""
    root = os.fsencode(place / "site")
    os.makedirs(root + b"/sub/deep")
    for name in (b"index.html", b"sub/page", b"sub/deep/leaf", *ODD_NAMES.values()):
        Path(os.fsdecode(root + b"/" + name)).write_bytes(name)
    for sibling in ("outside", "site-secret"):
        (place / sibling).mkdir()
        (place / sibling / "secret").write_bytes(b"secret")
    for name, target in LINKS.items():
        os.symlink(target, root + b"/" + name)
    os.symlink(root + b"/index.html", root + b"/absolute-inside")
    os.symlink(os.fsencode(place) + b"/outside/secret", root + b"/absolute-outside")
    os.mkfifo(root + b"/fifo")
    os.mknod(root + b"/socket", stat.S_IFSOCK | 0o600)
    return root
