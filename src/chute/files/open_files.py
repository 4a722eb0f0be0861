"""Open files and what is known of them, kept for as long as it is true.

Resolving a name and opening it costs more than answering from what is already open, so both are remembered for
`valid_s` seconds and then checked again: the name is resolved anew beneath the root, and when it still leads to the
same file in the same state, the old descriptor goes on being used.

What "the same" means: device, inode, size, and both the times of modification and of change to the nanosecond. The
time of change is there because a modification time can be set back by its owner, and a change of permissions must be
noticed too. A file that was modified less than two seconds before it was opened may be modified again without any
of these moving (clock granularity), so its entry is never confirmed, only replaced.

Small files are read at once and their descriptor is closed: their content goes out in one call with the head. Files
whose size lies (procfs, sysfs: small, and no block allocated) are read first and sized by what came (T27).

An entry that is evicted or replaced releases its file. Transfers in flight hold references of their own.
"""

from __future__ import annotations

import enum
import os
import stat

from chute.clock import Clock, wall_ns
from chute.errors import DescriptorsExhausted, FileForbidden, FileMissing
from chute.files.resolve import Root
from chute.semantics.dates import format_http_date
from chute.semantics.validators import (
    FLATTENED_NS,
    EntityTag,
    entity_tag_for_content,
    entity_tag_for_file,
)
from chute.transfer.method import Device, Devices
from chute.transfer.source import CLOSED, SharedFile
from chute.transfer.unsized import READ_FIRST_BYTES_MAX, blocking_read_all, size_may_lie

RACY_NS = 2_000_000_000
"""A file younger than this may change again within one tick of its file system's clock (2 s on FAT)."""

CONTENT_BYTES_MAX = 64 * 1024 * 1024
"""Memory for the contents of small files, both generations together."""

READS_MAX = 3
"""How often a small file is read again because it changed meanwhile."""


class Absent(enum.Enum):
    """Why a name does not lead to a file that can be served."""

    MISSING = "nothing servable has this name"
    FORBIDDEN = "the operating system refuses"
    DIRECTORY = "it is a directory"
    EXHAUSTED = "no descriptor is left"
    UNREADABLE = "reading it failed"


Identity = tuple[int, int, int, int, int]


def identity_of(status: os.stat_result) -> Identity:
    """Return what must not move for a file to be the same: device, inode, size, mtime, ctime."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class OpenFile(SharedFile):
    """A regular file, open or read into memory, with its validators.

    Attributes:
        size: bytes of the representation.
        modified_s: modification time in whole seconds since the epoch, or None when the file's metadata cannot be
            trusted: then no date in a request says anything about it either.
        entity_tag: a validator, weak as long as the file is so young that it may change unnoticed; or None like
            `modified_s`.
        wants_hash: whether its date says nothing (`validators.FLATTENED_NS`), and no hash has been made its tag yet.
        last_modified: the encoded Last-Modified value, or None.
        content: all the bytes, for a small file; its descriptor is then closed.
        identity: see `identity_of`.
        is_stable: whether an unchanged identity proves unchanged content.
    """

    __slots__ = (
        "content",
        "entity_tag",
        "identity",
        "is_stable",
        "last_modified",
        "modified_s",
        "size",
        "wants_hash",
    )

    def __init__(
        self, fd: int, status: os.stat_result, content: bytes | None, device: Device | None = None
    ) -> None:
        super().__init__(fd, device)
        lies = content is not None and len(content) != status.st_size
        self.identity = identity_of(status)
        self.content = content
        self.size = status.st_size if content is None else len(content)
        has_date = status.st_mtime_ns > FLATTENED_NS
        # A date that was set says nothing about when the content came to be; that of the change cannot be set.
        written_ns = status.st_mtime_ns if has_date else status.st_ctime_ns
        now_ns = wall_ns()
        self.is_stable = not lies and now_ns - written_ns > RACY_NS
        self.modified_s: int | None = None
        self.entity_tag: EntityTag | None = None
        self.last_modified: bytes | None = None
        self.wants_hash = not (lies or has_date)
        if not lies and has_date:
            self.modified_s = status.st_mtime_ns // 1_000_000_000
            self.entity_tag = entity_tag_for_file(
                status.st_mtime_ns, self.size, is_weak=not self.is_stable
            )
            if status.st_mtime_ns <= now_ns:
                # A server with a clock must not name a date to come (RFC 9110, 8.8.2.1).
                self.last_modified = format_http_date(self.modified_s)
        if content is not None:
            self.close()

    def adopt_hash(self, sha_256: bytes) -> None:
        """Take the hash of the content for a validator, in place of a date that says nothing."""
        self.entity_tag = entity_tag_for_content(sha_256)
        self.wants_hash = False


class Entry:
    """What one name led to when it was last looked at.

    Attributes:
        name: the path beneath the root, without a leading slash.
        found: the open file, or why there is none.
        valid_until_s: until when that is taken for granted (monotonic seconds).
    """

    __slots__ = ("found", "name", "valid_until_s")

    def __init__(self, name: bytes, found: OpenFile | Absent, valid_until_s: float) -> None:
        self.name = name
        self.found = found
        self.valid_until_s = valid_until_s


class OpenFiles:
    """A bounded cache of entries beneath one root.

    Two generations stand in for a list in order of use: a look-up that hits the old one moves the entry to the young
    one, and when the young one is full the old one is dropped whole. A hit costs one dictionary look-up, and no entry
    is dropped before at least `entries_max / 2` others were used after it.
    """

    def __init__(
        self,
        root: Root,
        clock: Clock,
        devices: Devices,
        *,
        valid_s: float,
        entries_max: int,
        content_bytes_max: int,
    ) -> None:
        """Cache what is opened beneath `root`, which stays the caller's to close.

        Args:
            root: the directory all names are resolved beneath.
            clock: read, never refreshed here.
            devices: what is known of the devices that files lie on.
            valid_s: for how long an entry is taken for granted; 0 checks at every look-up.
            entries_max: bound on entries, and so on descriptors held.
            content_bytes_max: files up to this size are read at once and need no descriptor.
        """
        self._root = root
        self._clock = clock
        self._devices = devices
        self._valid_s = valid_s
        self._generation_max = max(1, entries_max // 2)
        self._content_bytes_max = content_bytes_max
        self._young: dict[bytes, Entry] = {}
        self._young_content_bytes = 0
        self._old: dict[bytes, Entry] = {}
        self._root_valid_until_s = clock.now_s + valid_s

    def look_up(self, name: bytes) -> Entry:
        """Return the entry for `name`, checked within the last `valid_s` seconds.

        The entry's file belongs to the cache; a caller that keeps it beyond this turn acquires it. Names that lead
        nowhere are looked at again each time and not kept, so that probing for them cannot evict anything.
        """
        self._follow_root()
        entry = self._young.get(name)
        if entry is None:
            entry = self._old.pop(name, None)
            if entry is None:
                found = self._open(name)
                entry = Entry(name, found, self._clock.now_s + self._valid_for_s(found))
                self._keep(entry)
                return entry
            self._admit(entry)
        self.refresh(entry)
        return entry

    def refresh(self, entry: Entry) -> OpenFile | Absent:
        """Check `entry` again if its time is up, and return what it leads to now."""
        now_s = self._clock.now_s
        if now_s < entry.valid_until_s:
            return entry.found
        self._follow_root()
        found = entry.found
        if isinstance(found, Absent):
            return self._refresh_absent(entry)
        if not self._belongs_in_memory(found) and self._is_unchanged(entry.name, found):
            self._use(entry)
        else:
            self._forget(entry)
            entry.found = self._open(entry.name)
            self._keep(entry)
        entry.valid_until_s = now_s + self._valid_for_s(entry.found)
        return entry.found

    def clear(self) -> None:
        """Release every file."""
        for generation in (self._young, self._old):
            for entry in generation.values():
                self._drop(entry)
            generation.clear()

    def give_back_descriptors(self) -> None:
        """Release every file that has a descriptor; what is in memory costs none and stays."""
        for generation in (self._young, self._old):
            for entry in list(generation.values()):
                if isinstance(entry.found, OpenFile) and entry.found.fd != CLOSED:
                    del generation[entry.name]
                    self._drop(entry)

    def sweep(self) -> None:
        """Age the entries once: what is not used before the next call but one is released.

        Called on a timer, so that a deleted file does not keep its disk space because it was once served.
        """
        self._turn_generations()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _valid_for_s(self, found: OpenFile | Absent) -> float:
        """Return for how long what was found is taken for granted: not at all where others change it unseen."""
        is_shared = isinstance(found, OpenFile) and found.device.may_change_unseen
        return 0.0 if is_shared else self._valid_s

    def _follow_root(self) -> None:
        """See whether the root leads to another tree by now, when the time of what was seen is up.

        Nothing need be dropped then: each entry is compared with the new tree when its own time is up.
        """
        now_s = self._clock.now_s
        if now_s >= self._root_valid_until_s:
            self._root_valid_until_s = now_s + self._valid_s
            self._root.follow()

    def _keep(self, entry: Entry) -> None:
        """Remember an entry that leads to a file; one whose size lied has nothing in it that could be confirmed."""
        found = entry.found
        if isinstance(found, OpenFile) and (found.entity_tag or found.wants_hash):
            self._admit(entry)

    def _refresh_absent(self, entry: Entry) -> OpenFile | Absent:
        """Look at a name again that led nowhere, or whose file was dropped; such an entry is never in the cache.

        It must not come back into it: another entry may stand there for the name by now, and the two would drop each
        other's file in turns.
        """
        found = self.look_up(entry.name).found
        if isinstance(found, Absent):
            entry.found = found
            entry.valid_until_s = self._clock.now_s + self._valid_s
        return found

    def _admit(self, entry: Entry) -> None:
        found = entry.found
        in_memory = 0
        if isinstance(found, OpenFile) and found.content is not None:
            in_memory = len(found.content)
        is_full = len(self._young) >= self._generation_max
        if is_full or self._young_content_bytes + in_memory > CONTENT_BYTES_MAX // 2:
            self._turn_generations()
        self._young_content_bytes += in_memory
        previous = self._young.get(entry.name)
        self._young[entry.name] = entry
        if previous is not None and previous is not entry:
            self._drop(previous)

    def _use(self, entry: Entry) -> None:
        """Keep an entry in use from ageing; plans come here once per `valid_s`, and not by `look_up`."""
        if self._old.get(entry.name) is entry:
            del self._old[entry.name]
            self._admit(entry)

    def _turn_generations(self) -> None:
        old, self._old, self._young = self._old, self._young, {}
        self._young_content_bytes = 0
        for entry in old.values():
            self._drop(entry)

    def _drop(self, entry: Entry) -> None:
        """Release the cache's reference. A plan may still know the entry: it must find that it no longer holds."""
        found = entry.found
        if isinstance(found, OpenFile):
            entry.found = Absent.MISSING
            entry.valid_until_s = 0.0
            found.release()

    def _forget(self, entry: Entry) -> None:
        for generation in (self._young, self._old):
            if generation.get(entry.name) is entry:
                del generation[entry.name]
                self._drop(entry)

    def _belongs_in_memory(self, found: OpenFile) -> bool:
        """Whether a small file that was cold when it was opened can be read by now without waiting for the disk."""
        return found.content is None and self._can_be_kept(found.fd, found.size, found.device)

    def _can_be_kept(self, fd: int, size: int, device: Device) -> bool:
        """Whether a file is small, and not known to be on the disk only.

        What is small and cold goes out like a large file: read by a thread, then sent from its descriptor.
        """
        return size <= self._content_bytes_max and not device.would_wait(fd, 0, size)

    def _is_unchanged(self, name: bytes, found: OpenFile) -> bool:
        """Resolve `name` again, with all the rules, and compare what it leads to."""
        if not found.is_stable:
            return False
        try:
            fd = self._root.open(name)
        except (FileMissing, FileForbidden, DescriptorsExhausted, OSError):
            return False
        try:
            return identity_of(os.fstat(fd)) == found.identity
        except OSError:
            return False
        finally:
            os.close(fd)

    def _open(self, name: bytes) -> OpenFile | Absent:
        try:
            try:
                fd = self._root.open(name)
            except DescriptorsExhausted:
                # What this cache holds is the one thing that can be given back at once.
                self.give_back_descriptors()
                fd = self._root.open(name)
        except FileMissing:
            return Absent.MISSING
        except FileForbidden:
            return Absent.FORBIDDEN
        except DescriptorsExhausted:
            return Absent.EXHAUSTED
        except OSError:
            return Absent.UNREADABLE
        return self._measure(fd)

    def _measure(self, fd: int) -> OpenFile | Absent:
        """Turn a fresh descriptor into what it is; owns `fd` and closes it unless it becomes part of the answer."""
        keep = False
        try:
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                return Absent.DIRECTORY
            if not stat.S_ISREG(status.st_mode):
                return Absent.MISSING
            content = None
            device = self._devices.of(fd, status)
            if size_may_lie(status):
                content = blocking_read_all(fd, READ_FIRST_BYTES_MAX)
            elif self._can_be_kept(fd, status.st_size, device):
                status, content = _read_consistently(fd, status, self._content_bytes_max)
            keep = True
            return OpenFile(fd, status, content, device)
        except PermissionError:
            # Some files below /proc/sys can be opened by whoever may not read them.
            return Absent.FORBIDDEN
        except OSError:
            return Absent.UNREADABLE
        finally:
            if not keep:
                os.close(fd)


def _read_consistently(
    fd: int, status: os.stat_result, bytes_max: int
) -> tuple[os.stat_result, bytes | None]:
    """Read a small file so that content and metadata belong together, if it holds still for a moment.

    A writer that never stops gets `READS_MAX` chances; then the content goes with the metadata from before it was
    read. A validator older than its bytes costs a client one transfer too many; one newer than its bytes would make
    the client keep the wrong ones for good.

    Returns:
        The metadata, and the content or None: the file has outgrown `bytes_max` meanwhile.
    """
    reads_left = READS_MAX
    while True:
        content = os.pread(fd, status.st_size + 1, 0)
        after = os.fstat(fd)
        reads_left -= 1
        is_whole = identity_of(after) == identity_of(status) and len(content) == status.st_size
        if is_whole or not reads_left:
            return status, content[: status.st_size]
        status = after
        if status.st_size > bytes_max:
            return status, None
