"""Uploads that survive interruptions: what has arrived is kept, and the rest may come later, by another connection.

An unfinished upload is two files in the folder that it is meant for, both hidden: `.chute-upload-<id>` holds what has
arrived, and its size is the offset at which to go on; `.chute-upload-<id>.json` says what it will be. Whoever knows the
id may go on: it is 128 random bits. When all has come, the first file gets its name in one step, as any upload does
(`arriving`), and both hidden names go.

Theory of operation. Who appends, finishes or removes holds a lock of flock(2) on the first file, which belongs to its
open file description: so it keeps threads apart as well as workers, and ends with a worker that is killed. After the
lock is had, the hidden name must still lead to the file, for it may have been finished or removed meanwhile. Bytes
count once fsync(2) has confirmed them; where that fails, the file is cut back to what was confirmed before.

Nothing says how far an upload got but the file itself, and nothing says when it was last used but the time of its last
change. What was abandoned is removed when another upload begins in the same folder, a bounded number at a time.

On the account (`ledger`) is what is on the disk, so that it comes out the same after a restart. An upload that has
begun has therefore no claim to room for the rest of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import stat
from typing import Final, NamedTuple

from chute.clock import wall_ns
from chute.errors import (
    FileError,
    FileMissing,
    NameTaken,
    NameUnusable,
    TooManyUnfinished,
    UploadBusy,
    UploadExpired,
)
from chute.files.arriving import TAKE_ATTEMPTS, Destination, MayTake
from chute.files.atomic import blocking_write_whole
from chute.files.ledger import Ledger
from chute.files.resolve import Root
from chute.files.writing import (
    CANNOT_SYNC,
    HAS_NO_HARD_LINKS,
    HIDDEN_PREFIX,
    translating,
)

IDLE_S_MAX: Final = 24 * 60 * 60
"""How long an upload is kept when nothing comes any more, unless something else is asked for (seconds)."""

UNFINISHED_MAX: Final = 100
"""How many uploads may be unfinished in one folder, unless something else is asked for."""

REMOVALS_MAX: Final = 16
"""How many abandoned uploads are removed when another begins."""

RECORD_BYTES_MAX: Final = 64 * 1024

_NS_PER_S: Final = 1_000_000_000
_PREFIX: Final = HIDDEN_PREFIX + b"upload-"
_HIDDEN_NAME: Final = re.compile(re.escape(_PREFIX) + rb"([0-9a-f]{32})(?:\.json)?")

_SAFE: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW: Final = os.O_CREAT | os.O_EXCL | _SAFE
_MODE: Final = 0o666
"""Less what the umask takes, as for any file that a program makes."""

_TICK_NS_MAX: Final = 2_000_000_000
"""No clock of a file system is coarser (FAT)."""


class Record(NamedTuple):
    """What an upload will be.

    Attributes:
        name: the one that the file will have; of one segment.
        length: bytes of all of it.
        note: whatever who began the upload wants to find again.
    """

    name: bytes
    length: int
    note: str


class PartialFiles:
    """The unfinished uploads in the folders beneath one root."""

    def __init__(
        self,
        root: Root,
        ledger: Ledger,
        *,
        idle_s_max: int = IDLE_S_MAX,
        unfinished_max: int = UNFINISHED_MAX,
    ) -> None:
        """Keep uploads beneath `root`; it and `ledger` stay the caller's.

        Args:
            root: resolves the names of folders.
            ledger: keeps the quota, and uploads of one name apart.
            idle_s_max: how long an upload is kept when nothing comes (seconds).
            unfinished_max: how many there may be in one folder; those that begin at once do not see each other.
        """
        self._root = root
        self._ledger = ledger
        self._idle_s_max = idle_s_max
        self._unfinished_max = unfinished_max

    def blocking_begin(self, folder: bytes, record: Record, may_take: MayTake) -> PartialFile:
        """Begin an upload into `folder`, and remove some that were abandoned there.

        Args:
            folder: relative to the root.
            record: what it will be.
            may_take: decides whether it may have its name, as things stand; it is asked again in the end.

        Raises:
            NameTaken: it may not, or what has the name is no regular file.
            TooManyUnfinished: see there.
            InsufficientStorage: there is no room for all of it.
            FileMissing: there is no such folder.
            FileError: no file can have the name, or the operating system refuses.
            OSError: the disk failed.
        """
        with contextlib.ExitStack() as undoing:
            destination = Destination(self._root, folder)
            undoing.callback(destination.close)
            if not _is_name(record.name):
                raise NameUnusable(f"{record.name!r} is no name for an upload")
            if not may_take(destination.status_of(record.name)):
                raise NameTaken(f"something has the name {record.name!r}")
            if self._blocking_sweep(destination) >= self._unfinished_max:
                raise TooManyUnfinished("too many uploads into this folder are not finished")
            self._ledger.blocking_reserve(record.length, self._root)
            self._ledger.blocking_give_back(record.length)
            file = self._blocking_create(destination, record, undoing)
            undoing.pop_all()
        return file

    def blocking_resume(self, folder: bytes, upload_id: bytes) -> PartialFile:
        """Go on with an upload; nobody else can until the file that comes back has been ended.

        Raises:
            UploadBusy: somebody else is at it.
            UploadExpired: see there.
            FileMissing: there is no such upload in this folder.
            FileError: the operating system refuses.
            OSError: the disk failed.
        """
        with contextlib.ExitStack() as undoing, translating(upload_id):
            destination = Destination(self._root, folder)
            undoing.callback(destination.close)
            fd = _lock(destination, upload_id)
            undoing.callback(os.close, fd)
            self._refuse_abandoned(os.fstat(fd))
            record = _read_record(destination, _hidden_names(upload_id)[1])
            file = PartialFile(destination, fd, upload_id, record, self._ledger)
            undoing.pop_all()
        return file

    def blocking_look(self, folder: bytes, upload_id: bytes) -> tuple[Record, os.stat_result]:
        """Return what an upload will be, and the status of what is there of it; raises what `blocking_resume` does."""
        destination = Destination(self._root, folder)
        with contextlib.closing(destination), translating(upload_id):
            data, record = _hidden_names(upload_id)
            status = _status_of(destination, data)
            self._refuse_abandoned(status)
            return _read_record(destination, record), status

    def expires_s(self, touched_ns: int) -> int:
        """Return until when an upload is kept that something came for at `touched_ns` (seconds since the epoch)."""
        return touched_ns // _NS_PER_S + self._idle_s_max

    def _is_abandoned(self, status: os.stat_result) -> bool:
        return self.expires_s(status.st_mtime_ns) <= wall_ns() // _NS_PER_S

    def _refuse_abandoned(self, status: os.stat_result) -> None:
        if self._is_abandoned(status):
            raise UploadExpired("the upload was abandoned for too long")

    def _blocking_create(
        self, destination: Destination, record: Record, undoing: contextlib.ExitStack
    ) -> PartialFile:
        upload_id = secrets.token_hex(16).encode()
        data, hidden_record = _hidden_names(upload_id)
        content = _encoded(record)
        self._ledger.blocking_reserve(len(content), self._root)
        undoing.callback(self._ledger.blocking_give_back, len(content))
        undoing.callback(_unlink, destination, hidden_record)
        # In this order, for a sweep takes a record without an upload for one that is about to begin.
        blocking_write_whole(destination.fd, hidden_record, (content,))
        with translating(record.name):
            fd = os.open(data, os.O_RDWR | _NEW, _MODE, dir_fd=destination.fd)
            undoing.callback(os.close, fd)
            undoing.callback(_unlink, destination, data)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return PartialFile(destination, fd, upload_id, record, self._ledger)

    def _blocking_sweep(self, destination: Destination) -> int:
        """Remove what was abandoned, at most `REMOVALS_MAX` of it, and return how many uploads are left."""
        with os.scandir(destination.fd) as entries:
            matches = (_HIDDEN_NAME.fullmatch(os.fsencode(entry.name)) for entry in entries)
            found = {match[1] for match in matches if match is not None}
        removed = 0
        for upload_id in found:
            if removed == REMOVALS_MAX:
                break
            # It is not this request's business what cannot be removed, or why.
            with contextlib.suppress(OSError, FileError):
                removed += self._blocking_remove_abandoned(destination, upload_id)
        return len(found) - removed

    def _blocking_remove_abandoned(self, destination: Destination, upload_id: bytes) -> bool:
        data, record = _hidden_names(upload_id)
        with contextlib.ExitStack() as closing:
            try:
                status = _status_of(destination, data)
                # Only now, for whoever came back to the upload while this has the lock would be refused.
                if self._is_abandoned(status):
                    fd = _lock(destination, upload_id)
                    closing.callback(os.close, fd)
                    status = os.fstat(fd)
            except FileNotFoundError:
                # The worker was killed after it had finished the upload, or before it had begun.
                status = _status_of(destination, record)
            if not self._is_abandoned(status):
                return False
            removed_bytes = _unlink(destination, data) + _unlink(destination, record)
        self._ledger.blocking_give_back(removed_bytes)
        return True


class PartialFile:
    """An unfinished upload that somebody is at. Owns its folder, its descriptor and its lock, until it is ended.

    It is ended by `blocking_pause`, by `blocking_discard`, or by a commit that succeeds.

    Attributes:
        id: by which to find it again.
        record: what it will be.
        offset: bytes that are there.
    """

    def __init__(
        self, destination: Destination, fd: int, upload_id: bytes, record: Record, ledger: Ledger
    ) -> None:
        """Take over `destination` and the locked `fd`; `PartialFiles` makes these."""
        self.id = upload_id
        self.record = record
        self.offset = os.fstat(fd).st_size
        self._destination = destination
        self._fd = fd
        self._ledger = ledger
        self._data_name, self._record_name = _hidden_names(upload_id)
        self._reserved = self._confirmed = self.offset

    def blocking_expect(self, count: int) -> None:
        """Reserve room for `count` bytes that are known to come, or raise InsufficientStorage.

        What does not come is given back in the end.
        """
        missing = self.offset + count - self._reserved
        if missing > 0:
            self._ledger.blocking_reserve(missing, self._destination.root)
            self._reserved += missing

    def blocking_write(self, block: bytes) -> None:
        """Append `block`, or raise FileError where there is no room. What was written before an error counts."""
        assert self.offset + len(block) <= self.record.length, "more than was announced"
        self.blocking_expect(len(block))
        remaining = memoryview(block)
        with translating(self.record.name):
            while remaining:
                written = os.pwrite(self._fd, remaining, self.offset)
                self.offset += written
                remaining = remaining[written:]

    def blocking_commit(self, may_take: MayTake) -> os.stat_result:
        """Give the file its name, with all of its bytes and the name itself on the disk; return its status.

        Args:
            may_take: decides whether it may; asked while no other upload can take the name. A file that replaces
                another gets the permissions that that one had.

        Raises:
            NameTaken: it may not, or what has the name is no regular file.
            FileError: the operating system refuses.
            OSError: the disk failed. In all of these cases it is unfinished as before, and still to be ended.
        """
        assert self.offset == self.record.length, "not all of it has come"
        with translating(self.record.name):
            self._blocking_sync()
            with self._ledger.blocking_lock():
                replaced = self._take_name(may_take)
            self._destination.blocking_sync()
            status = os.fstat(self._fd)
        self._forget_hidden_names()
        self._end(kept_bytes=self.offset - (0 if replaced is None else replaced.st_size))
        return status

    def blocking_pause(self) -> None:
        """Leave what has arrived where it is, on the disk; the rest may come later. Idempotent.

        When the disk fails (OSError), what came since the upload was resumed is lost.
        """
        if self._fd < 0:
            return
        try:
            if self.offset > self._confirmed:
                self._blocking_sync()
        finally:
            self._end(kept_bytes=self.offset)

    def blocking_discard(self) -> None:
        """Leave nothing behind. Idempotent, and without effect on what has been committed."""
        if self._fd >= 0:
            self._forget_hidden_names()
            self._end(kept_bytes=0)

    def _blocking_sync(self) -> None:
        """Have all of it on the disk (fsync(2)), where its file system can do that."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            if error.errno not in CANNOT_SYNC:
                # It tells of a failure once: a second call would succeed, although the bytes are gone.
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, self._confirmed)
                    self.offset = self._confirmed
                raise
        self._confirmed = self.offset

    def _take_name(self, may_take: MayTake) -> os.stat_result | None:
        """Take the name, and return the status of the file that had it."""
        mine = os.fstat(self._fd)
        for _ in range(TAKE_ATTEMPTS):
            current = self._destination.status_of(self.record.name)
            if current is not None and os.path.samestat(current, mine):
                return None  # an earlier commit got as far as here
            if not may_take(current):
                raise NameTaken(f"something has the name {self.record.name!r}")
            try:
                if current is None:
                    self._take_new()
                else:
                    self._take_over(current)
            except FileExistsError:
                continue  # by another program, in this moment
            return current
        raise NameTaken(f"something else takes the name {self.record.name!r} again and again")

    def _take_new(self) -> None:
        here, name = self._destination.fd, self.record.name
        try:
            os.link(self._data_name, name, src_dir_fd=here, dst_dir_fd=here, follow_symlinks=False)
        except OSError as error:
            if error.errno not in HAS_NO_HARD_LINKS:
                raise
            # As in `atomic`: another program that takes the name in this moment loses it.
            self._rename()

    def _take_over(self, current: os.stat_result) -> None:
        """Take the name of the file whose status is `current`, and its permissions, but for set-user-ID and its kin."""
        os.fchmod(self._fd, current.st_mode & 0o777)
        mine = os.fstat(self._fd)
        # Later than what it replaces, or they had the same entity tag if they have the same size (see `arriving`).
        if 0 <= current.st_mtime_ns - mine.st_mtime_ns < _TICK_NS_MAX:
            os.utime(self._fd, ns=(mine.st_atime_ns, current.st_mtime_ns + 1))
        self._rename()

    def _rename(self) -> None:
        here = self._destination.fd
        os.rename(self._data_name, self.record.name, src_dir_fd=here, dst_dir_fd=here)

    def _forget_hidden_names(self) -> None:
        _unlink(self._destination, self._data_name)
        self._reserved += _unlink(self._destination, self._record_name)

    def _end(self, *, kept_bytes: int) -> None:
        """Give back whatever is held, and what was reserved beyond `kept_bytes`."""
        os.close(self._fd)  # and with it the lock
        self._fd = -1
        self._destination.close()
        self._ledger.blocking_give_back(self._reserved - kept_bytes)
        self._reserved = kept_bytes


def _hidden_names(upload_id: bytes) -> tuple[bytes, bytes]:
    """Return the names of what has arrived, and of the record."""
    return _PREFIX + upload_id, _PREFIX + upload_id + b".json"


def _is_name(name: bytes) -> bool:
    """Whether a file may have this name: of one segment, and none of our hidden ones."""
    is_segment = name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name
    return is_segment and not name.startswith(HIDDEN_PREFIX)


def _encoded(record: Record) -> bytes:
    # Names are bytes: those that are no text pass as lone surrogates, which JSON can escape.
    name = os.fsdecode(record.name)
    content = {"version": 1, "name": name, "length": record.length, "note": record.note}
    return json.dumps(content).encode("ascii") + b"\n"


def _read_record(destination: Destination, hidden_name: bytes) -> Record:
    """Return the record of an upload; FileMissing when it is none that was ever written here."""
    fd = os.open(hidden_name, os.O_RDONLY | _SAFE, dir_fd=destination.fd)
    try:
        read = json.loads(os.read(fd, RECORD_BYTES_MAX))
        record = Record(os.fsencode(read["name"]), read["length"], read["note"])
        if _is_name(record.name) and (type(record.length), type(record.note)) == (int, str):
            return record
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    finally:
        os.close(fd)
    raise FileMissing(f"the record {hidden_name!r} is broken")


def _lock(destination: Destination, upload_id: bytes) -> int:
    """Return a descriptor of an upload that has its lock; UploadBusy when somebody else has it, OSError without one."""
    name, _ = _hidden_names(upload_id)
    _status_of(destination, name)  # devices and the like are not even opened
    with contextlib.ExitStack() as undoing:
        fd = os.open(name, os.O_RDWR | _SAFE, dir_fd=destination.fd)
        undoing.callback(os.close, fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UploadBusy(f"another request is at the upload {upload_id!r}") from None
        # Who had the lock before may have finished the upload: then this is somebody's file, and not ours to change.
        if not os.path.samestat(_status_of(destination, name), os.fstat(fd)):
            raise FileMissing(f"another file has the name of the upload {upload_id!r}")
        undoing.pop_all()
    return fd


def _status_of(destination: Destination, name: bytes) -> os.stat_result:
    """Return the status of a hidden regular file; OSError when there is none."""
    if _HIDDEN_NAME.fullmatch(name) is None:
        raise FileMissing("this is no id of an upload")
    status = os.stat(name, dir_fd=destination.fd, follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        raise FileMissing(f"{name!r} is no regular file")
    return status


def _unlink(destination: Destination, name: bytes) -> int:
    """Remove a hidden name if it is there; return the size of what had it, or 0."""
    with contextlib.suppress(OSError, FileError):
        status = _status_of(destination, name)
        os.unlink(name, dir_fd=destination.fd)
        return status.st_size
    return 0
