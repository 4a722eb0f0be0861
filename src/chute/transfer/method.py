"""Which method carries a file: a property of the file system it lies on, learned once per device.

`sendfile(2)` reads through the page cache, and some file systems have none that can be trusted. On VirtualBox shared
folders and on 9p, content has been seen old or torn; on network and user-space file systems a page that is not there
is fetched by a server that may be far away, inside a call that holds up every other connection. There `auto` copies,
with reads in a thread. Elsewhere sendfile is tried, and what the kernel says is remembered: a device whose file system
answers EINVAL, ENOSYS, EOVERFLOW or EOPNOTSUPP is not asked again. Other errors say something about one file at
one moment and are not remembered.

The type is that of the mount a descriptor was opened through: `/proc/self/fdinfo` names the mount, and
`/proc/self/mountinfo` its type (proc_pid_mountinfo(5)). `st_dev` alone would not do: subvolumes and overlays have
device numbers that no mount shows.
"""

from __future__ import annotations

import enum
import errno
import os
import re
from typing import Literal, NamedTuple

from chute.clock import monotonic_s
from chute.transfer import sendfile
from chute.transfer.residency import can_probe, is_resident

SendfileMode = Literal["on", "off", "auto"]
"""`auto` leaves it to the file system, `on` tries sendfile on every one, `off` never does."""

DISTRUSTED = frozenset(
    {"vboxsf", "9p", "virtiofs", "fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3"}
)
"""Types of file systems whose files `auto` copies; `fuse.sshfs` and its kin count as `fuse`."""

IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
"""Types of file systems that have no disk to wait for."""

UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOVERFLOW, errno.EOPNOTSUPP})
"""Errors of sendfile(2) that mean: not with this file system, today or tomorrow."""

DEVICES_MAX = 1024
"""Devices remembered at once; automounters make and drop them."""

EXAMINED_S = 60.0
"""For how long the number of a device is taken to mean the same one: an unmounted one's is given to the next."""

_TOKEN = re.compile(r"[0-9A-Za-z._-]{1,40}")
_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mounted file system.

    Attributes:
        type: as in mountinfo, for example `ext4` or `fuse.sshfs`.
        point: where it is mounted.
    """

    type: str
    point: str


class Residency(enum.Enum):
    """What can be known about whether content is in memory already."""

    ALWAYS = "there is no disk, or nobody minds waiting for it"
    PROBED = "the kernel says so when asked (RWF_NOWAIT)"
    UNKNOWN = "it cannot be asked, so the content is read ahead in a thread"


class Device:
    """What has been learned of one device.

    Attributes:
        copy_reason: why its files are copied, or None when sendfile carries them.
        residency: how to find out whether sending would wait for the disk.
        file_system: the type of the mount that it was examined through; "" if unknown.
        examined_s: when that was (monotonic seconds).
        is_certain: whether it holds for every file of the device, and not for the one that was examined only.
    """

    __slots__ = ("copy_reason", "examined_s", "file_system", "is_certain", "residency")

    def __init__(
        self,
        copy_reason: bytes | None = None,
        residency: Residency = Residency.ALWAYS,
    ) -> None:
        self.copy_reason = copy_reason
        self.residency = residency
        self.file_system = ""
        self.examined_s = monotonic_s()
        self.is_certain = True

    @property
    def may_change_unseen(self) -> bool:
        """Whether others change its files behind this kernel's back: a network, a shared folder, a process."""
        return self.file_system.partition(".")[0] in DISTRUSTED

    def would_wait(self, fd: int, offset: int, count: int) -> bool:
        """Whether reading `count` bytes of `fd` at `offset` is known to wait for the disk.

        Where the system cannot say, it is not known.
        """
        return self.residency is Residency.PROBED and not is_resident(fd, offset, count)

    def note_failure(self, number: int | None) -> bytes:
        """Learn from an error of sendfile(2) before its first byte.

        Args:
            number: the error's errno.

        Returns:
            The reason to copy, which is remembered if it will be the same next time.
        """
        reason = errno.errorcode.get(number or 0, "error").encode()
        if number in UNSUPPORTED:
            self.copy_reason = reason
        return reason


class Devices:
    """The devices that files were opened on. Threads may share it: at worst, two of them examine the same one."""

    def __init__(self, mode: SendfileMode = "auto") -> None:
        """Start knowing nothing.

        Args:
            mode: what the user wants; see `SendfileMode`.
        """
        self._mode = mode
        self._known: dict[int, Device] = {}

    def of(self, fd: int, status: os.stat_result) -> Device:
        """Return what is known of the device of an open regular file, asking the system when it is new.

        Args:
            fd: an open descriptor of the file, borrowed.
            status: its `fstat`.
        """
        device = self._known.get(status.st_dev)
        if device is not None and monotonic_s() - device.examined_s < EXAMINED_S:
            return device
        examined = self._examine(fd)
        if device is not None and device.file_system == examined.file_system:
            device.examined_s = examined.examined_s
            return device
        if examined.is_certain:
            if len(self._known) >= DEVICES_MAX:
                self._known.clear()
            self._known[status.st_dev] = examined
        return examined

    def _examine(self, fd: int) -> Device:
        mount = mount_of(fd)
        residency = _residency_of(fd, mount)
        device = Device(self._reason_to_copy(mount), residency or Residency.UNKNOWN)
        device.file_system = "" if mount is None else mount.type
        device.is_certain = residency is not None
        return device

    def _reason_to_copy(self, mount: Mount | None) -> bytes | None:
        if self._mode == "off":
            return b"off"
        if not sendfile.IS_AVAILABLE:
            return b"unavailable"
        if self._mode == "auto" and mount is not None:
            main_type = mount.type.partition(".")[0]
            if main_type in DISTRUSTED:
                # The part behind the dot is what whoever mounted it says, and goes into log lines and fields.
                return (mount.type if _TOKEN.fullmatch(mount.type) else main_type).encode()
        return None


def _residency_of(fd: int, mount: Mount | None) -> Residency | None:
    """Return what can be known on the device of `fd`, or None if this file does not show it."""
    if mount is not None and mount.type in IN_MEMORY:
        return Residency.ALWAYS
    can_be_asked = can_probe(fd)
    if can_be_asked is None:
        return None
    return Residency.PROBED if can_be_asked else Residency.UNKNOWN


def mount_of(fd: int) -> Mount | None:
    """Return the mount that the file behind `fd` was opened through, or None where the system does not tell."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii", errors="replace") as lines:
            wanted = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
        # A mount point may hold a carriage return, which the kernel does not escape: it must not end a line here.
        with open(
            "/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n"
        ) as lines:
            for line in lines:
                number, rest = line.split(" ", 1)
                if number == wanted:
                    return _parse_mount(rest)
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    return None


def _parse_mount(rest: str) -> Mount:
    """Parse a mountinfo line behind its first field; optional fields end with a lone dash."""
    places, _, system = rest.partition(" - ")
    point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), places.split(" ")[3])
    return Mount(system.split(" ")[0], point)
