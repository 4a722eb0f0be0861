r"""From a name to a descriptor, strictly beneath a root: the only place where files are opened by name.

A name comes from a stranger. Whatever it holds (dot segments that survived, links planted in the tree, directories
exchanged for links during the call) the descriptor that comes back is one of a file beneath the root. There is no
check that a use could follow too late: the kernel resolves and opens in one step (`openat2`), and where it has no such
call, a walk by directory descriptors does (`walk`).

Which links are followed is a policy. By default those that stay beneath the root: an absolute link leaves it, wherever
it points. `owner` follows those that belong to the owner of what they lead to, out of the root too, and `follow` all of
them; `deny` follows none. A name never leads out of the root, whatever the policy: only links do. What the policy
refuses is not there, as all that may not be served: nginx says 403, which tells a stranger that there is a link.

`owner` has the question of nginx's `disable_symlinks if_not_owner` and Apache's `SymLinksIfOwnerMatch`: does the link
belong to the owner of what it leads to? Apache puts it to names, and opens by name afterwards: what it asked about may
have gone meanwhile, and its manual calls the option no security restriction. nginx puts it to what it has opened, as is
done here. Of a chain of links both ask the first one only, and neither asks those in the text of a link; here each is
asked, so a link of one's own leads through nobody else's.

Magic links, which /proc is full of, jump to what a process holds open. openat2 refuses them; where links are expanded
by hand (`owner`, and `walk`) they are taken by their text like all others, and never jump.

Opening never waits: a FIFO without a writer opens at once (`O_NONBLOCK`) and is found out by its type afterwards.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable
from typing import Literal, Self

from chute.errors import ConfigError, DescriptorsExhausted, FileForbidden, FileMissing
from chute.files import by_owner, openat2, walk

Resolver = Literal["auto", "openat2", "walk"]
Links = Literal["beneath", "owner", "follow", "deny"]

_ALWAYS = os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_ROOT_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

_MISSING = frozenset(
    {
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EXDEV,
        errno.ENXIO,
        errno.ENODEV,
        errno.EINVAL,
        # File systems that store text say this of bytes that are none (APFS, ZFS with utf8only): T22.
        errno.EILSEQ,
    }
)
"""Different ways of not being there; which one it was is nobody's business."""

RENAME_RETRIES = 8
"""openat2 answers EAGAIN while something on the way is being renamed; a client that renames forever gets a 404."""


@functools.cache
def openat2_available() -> bool:
    """Whether names are resolved by one system call here."""
    return openat2.is_available()


class Root:
    """A served directory. Owns a descriptor of it, until `close`.

    When the path is a link that is made to lead elsewhere (the way that releases are switched), `follow` changes over
    to the new tree. What was opened before stays what it was: a download that has begun ends in the tree it began in.
    """

    __slots__ = ("_fd", "_identity", "_open_beneath", "_path", "_previous_fd")

    def __init__(
        self, path: bytes, *, resolver: Resolver = "auto", links: Links = "beneath"
    ) -> None:
        """Open the directory `path`.

        Args:
            path: any path of this process; links in it are followed, whatever `links` says.
            resolver: `auto` takes openat2 where the kernel has it.
            links: which links beneath it are followed.

        Raises:
            ConfigError: `path` is not a directory that can be opened, or `resolver` does not exist here.
        """
        if resolver == "auto":
            resolver = "openat2" if openat2_available() else "walk"
        elif resolver == "openat2" and not openat2_available():
            raise ConfigError(
                "this system has no openat2, or does not let us call it",
                hint="use the resolver auto, or walk",
            )
        self._open_beneath = _opener(resolver, links)
        self._path = path
        self._previous_fd = -1
        try:
            self._fd = os.open(path, _ROOT_FLAGS)
            self._identity = _identity_of(os.fstat(self._fd))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigError(
                f"cannot serve the folder {os.fsdecode(path)!r}: {reason}",
                hint="name a folder that exists and that this user may enter",
            ) from error

    def open(self, name: bytes, flags: int = os.O_RDONLY) -> int:
        """Open `name` beneath the root.

        Args:
            name: relative to the root; any bytes. Empty means the root itself; a trailing slash demands a directory.
            flags: as for open(2); never to create.

        Returns:
            A new descriptor, the caller's to close.

        Raises:
            FileMissing: nothing that may be served has this name.
            FileForbidden: the operating system refuses.
            DescriptorsExhausted: no descriptor is left.
            OSError: the disk failed.
        """
        if b"\0" in name:
            raise FileMissing(f"no file has the name {name!r}")
        retries_left = RENAME_RETRIES
        while True:
            try:
                return self._open_beneath(self._fd, name or b".", flags | _ALWAYS)
            except OSError as error:
                if error.errno == errno.EAGAIN and retries_left > 0:
                    retries_left -= 1
                    continue
                raise _translated(error, name) from error

    def follow(self) -> bool:
        """Look where the path leads by now, and return whether that is another directory than before.

        A path that leads nowhere at the moment changes nothing: it is being switched. The old directory stays open
        until the next change, for a thread may be using its descriptor.
        """
        try:
            if _identity_of(os.stat(self._path)) == self._identity:
                return False
            fd = os.open(self._path, _ROOT_FLAGS)
        except OSError:
            return False
        previous_fd, self._previous_fd, self._fd = self._previous_fd, self._fd, fd
        self._identity = _identity_of(os.fstat(fd))
        if previous_fd >= 0:
            os.close(previous_fd)
        return True

    def close(self) -> None:
        """Close the directory; names can no longer be opened. Idempotent."""
        for fd in (self._fd, self._previous_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._previous_fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opener(resolver: Resolver, links: Links) -> Callable[[int, bytes, int], int]:
    """Return what opens a name: directory, name and flags in, a descriptor out."""
    if resolver == "walk":
        if links == "owner":
            return by_owner.open_by_owner
        if links == "follow":
            return walk.open_following
        if links == "deny":
            return functools.partial(walk.open_beneath, links_max=0)
        return walk.open_beneath
    if links == "owner":
        return _open_by_owner
    if links == "follow":
        return _open_following
    if links == "deny":
        return functools.partial(openat2.open_beneath, resolve=openat2.WITHOUT_LINKS)
    return openat2.open_beneath


def _open_following(dir_fd: int, path: bytes, flags: int) -> int:
    walk.check_downward(path)
    return openat2.open_beneath(dir_fd, path, flags, openat2.FOLLOWING)


def _open_by_owner(dir_fd: int, path: bytes, flags: int) -> int:
    walk.check_downward(path)
    # Hot: open and close of a two-component name, 3.8 us in place of 12.6. Without a link nobody has to be asked.
    try:
        return openat2.open_beneath(dir_fd, path, flags, openat2.WITHOUT_LINKS)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    return by_owner.open_by_owner(dir_fd, path, flags)


def _identity_of(status: os.stat_result) -> tuple[int, int]:
    return (status.st_dev, status.st_ino)


def _translated(error: OSError, name: bytes) -> Exception:
    if error.errno in _MISSING or error.errno == errno.EAGAIN:
        return FileMissing(f"there is no {name!r} beneath the root ({error.strerror})")
    if error.errno in (errno.EACCES, errno.EPERM):
        return FileForbidden(f"{name!r} may not be read ({error.strerror})")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return DescriptorsExhausted(f"{name!r} cannot be opened ({error.strerror})")
    return error
