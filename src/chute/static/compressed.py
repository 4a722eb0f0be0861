"""Compressed forms of files, made once and served like files.

Theory of operation. A form is made in a thread, into a file without a name, and is then an `OpenFile`: it has a length,
a validator and ranges, and the kernel carries it. It belongs to the state of the file that it was made from (its
identity), so that it is found again as long as that state lasts, by whatever name, and simply ages out afterwards. What
turned out no smaller, or could not be made, is remembered too: it is not tried twice.

`find`, `may_begin`, `begin`, `Making.finish` and `Making.give_up` belong to the loop's thread, `Making.blocking_make`
to another one. The source is held from `begin` to the end of the making.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator

from chute.files.open_files import Identity, OpenFile, identity_of
from chute.semantics.validators import entity_tag_for_variant
from chute.static.codecs import LEVELS, Coding, blocking_compress
from chute.transfer.method import Device, Devices, Residency
from chute.transfer.source import CLOSED

logger = logging.getLogger("chute.static")

READ_BYTES = 256 * 1024

WRITE_BYTES = 1024 * 1024
"""Written at once: what is written in one go lies in larger pieces in memory."""

ENTRIES_MAX = 4096
"""Forms kept at once, and so descriptors of those that are not small."""

MADE_AT_ONCE_MAX = 2
"""More would take the cores from everybody else."""

GAIN_LEAST = 0.95
"""A form that is not at least so much smaller is not worth a client's trouble."""

Key = tuple[Identity, bytes]


class CompressedFiles:
    """A bounded memory of compressed forms.

    Attributes:
        source_bytes_max: larger files are never compressed on the way.
    """

    def __init__(
        self,
        *,
        source_bytes_max: int = 16 * 1024 * 1024,
        bytes_max: int = 64 * 1024 * 1024,
        entries_max: int = ENTRIES_MAX,
        content_bytes_max: int = 8 * 1024 - 1,
        levels: dict[bytes, int] | None = None,
    ) -> None:
        """Remember nothing yet.

        Args:
            source_bytes_max: see the attribute.
            bytes_max: what all forms may come to; the one that was used longest ago goes first.
            entries_max: how many there may be, what was not worth it included.
            content_bytes_max: forms up to this size are kept in memory and need no descriptor.
            levels: by the name of the coding, where the usual ones are not wanted.
        """
        self.source_bytes_max = source_bytes_max
        self._bytes_max = bytes_max
        self._entries_max = entries_max
        self._content_bytes_max = content_bytes_max
        self._levels = {coding: each.dynamic for coding, each in LEVELS.items()}
        for coding in LEVELS:
            if levels and coding.name in levels:
                self._levels[coding] = levels[coding.name]
        self._devices = Devices()
        self._made: dict[Key, OpenFile | None] = {}
        self._bytes = 0
        self._in_work: set[Key] = set()

    def find(self, source: OpenFile, coding: Coding) -> OpenFile | None:
        """Return the form of `source` in `coding`, if it has been made; it belongs to this object."""
        key = (source.identity, coding.name)
        found = self._made.get(key)
        if found is not None:
            # The order of the dictionary is that of use.
            self._made[key] = self._made.pop(key)
        return found

    def may_begin(self, source: OpenFile, coding: Coding) -> bool:
        """Whether it makes sense to make the form of `source` in `coding` now."""
        key = (source.identity, coding.name)
        return (
            key not in self._made
            and key not in self._in_work
            and len(self._in_work) < MADE_AT_ONCE_MAX
        )

    def is_decided(self, source: OpenFile, coding: Coding) -> bool:
        """Whether the form has been made, or has turned out not to be worth it."""
        return (source.identity, coding.name) in self._made

    def give_back_descriptors(self) -> None:
        """Release every form that has a descriptor: the process has run out of them."""
        for key, form in list(self._made.items()):
            if form is not None and form.fd != CLOSED:
                del self._made[key]
                self._bytes -= form.size
                form.release()

    def begin(self, source: OpenFile, coding: Coding) -> Making:
        """Begin to make a form, after `may_begin`; whoever is given it ends it, by `finish` or `give_up`."""
        key = (source.identity, coding.name)
        assert key not in self._in_work, "it is being made"
        self._in_work.add(key)
        source.acquire()
        return Making(source, coding, self._levels[coding], self._content_bytes_max, self._take_in)

    def close(self) -> None:
        """Release every form."""
        for form in self._made.values():
            if form is not None:
                form.release()
        self._made.clear()
        self._bytes = 0

    def _take_in(self, source: OpenFile, coding: Coding, made: Made | None) -> OpenFile | None:
        """Keep what was made, or that nothing came of it; None for work that was not done."""
        key = (source.identity, coding.name)
        self._in_work.discard(key)
        source.release()
        if made is None:
            return None
        form = None
        if made.is_worth_it:
            form = made.open_as_form_of(source, coding, self._devices)
            self._bytes += form.size
        else:
            made.discard()
        self._made[key] = form
        self._make_room()
        return form

    def _make_room(self) -> None:
        while self._bytes > self._bytes_max or len(self._made) > self._entries_max:
            oldest = self._made.pop(next(iter(self._made)))
            if oldest is not None:
                self._bytes -= oldest.size
                oldest.release()


class Made:
    """What a thread has made: content in memory, or a file without a name, or nothing that is worth it.

    Attributes:
        is_worth_it: whether it is much smaller than its source.
    """

    __slots__ = ("_content", "_fd", "_mark", "is_worth_it")

    def __init__(
        self,
        content: bytes | None = None,
        fd: int = CLOSED,
        mark: bytes = b"",
        *,
        is_worth_it: bool,
    ) -> None:
        """Take over `fd`.

        Args:
            content: the compressed bytes, where they are few.
            fd: of a file that holds them.
            mark: of these bytes, for their entity tag: another version of a library makes others of the same source,
                and so may another server of the same site.
            is_worth_it: see the attribute.
        """
        self._content = content
        self._fd = fd
        self._mark = mark
        self.is_worth_it = is_worth_it

    def open_as_form_of(self, source: OpenFile, coding: Coding, devices: Devices) -> OpenFile:
        """Return it as a file, which takes over the descriptor, with validators that follow those of `source`."""
        fd, self._fd = self._fd, CLOSED
        status = os.fstat(fd)
        device = devices.of(fd, status)
        if device.residency is Residency.UNKNOWN:
            device = Device()  # it is in memory, and no mount could be asked
        form = OpenFile(fd, status, self._content, device)
        form.is_stable = source.is_stable
        form.modified_s = source.modified_s
        form.last_modified = source.last_modified
        form.wants_hash = False
        tag = source.entity_tag
        if tag is None:
            form.entity_tag = None
        else:
            variant = coding.suffix[1:] + b"-" + self._mark
            form.entity_tag = entity_tag_for_variant(tag, variant)
        return form

    def discard(self) -> None:
        """Close the file. Idempotent."""
        if self._fd != CLOSED:
            fd, self._fd = self._fd, CLOSED
            os.close(fd)


class Making:
    """One form on its way."""

    __slots__ = ("_coding", "_content_bytes_max", "_is_over", "_level", "_made", "_source", "_take")

    def __init__(
        self,
        source: OpenFile,
        coding: Coding,
        level: int,
        content_bytes_max: int,
        take: Callable[[OpenFile, Coding, Made | None], OpenFile | None],
    ) -> None:
        self._source = source
        self._coding = coding
        self._level = level
        self._content_bytes_max = content_bytes_max
        self._take = take
        self._made: Made | None = None
        self._is_over = False

    def blocking_make(self) -> None:
        """Compress; in a thread. That it did not work is told by the log, and is no reason not to answer."""
        try:
            self._made = self._blocking_compress()
        except Exception as error:  # noqa: BLE001 - a wall: the file can be sent as it is
            logger.warning("compressing with %s failed: %s", self._coding.name.decode(), error)
            # What the disk says may pass; a codec would say the same again.
            if not isinstance(error, OSError):
                self._made = Made(is_worth_it=False)

    def finish(self) -> OpenFile | None:
        """Keep what was made; return it, or None if nothing came of it."""
        assert not self._is_over, "ended twice"
        self._is_over = True
        return self._take(self._source, self._coding, self._made)

    def give_up(self) -> None:
        """End it for want of somebody who waits; what was made all the same is kept. Idempotent."""
        if not self._is_over:
            self.finish()

    def _blocking_compress(self) -> Made:
        bytes_max = int(self._source.size * GAIN_LEAST)
        fd = _blocking_open_unnamed()
        is_kept = False
        try:
            size = written = 0
            unwritten: list[bytes] = []
            digest = hashlib.sha256()
            for block in blocking_compress(
                self._coding, self._blocking_blocks(), self._level, size=self._source.size
            ):
                size += len(block)
                if size > bytes_max:
                    return Made(is_worth_it=False)
                digest.update(block)
                unwritten.append(block)
                if size - written >= WRITE_BYTES:
                    written += _write_all(fd, unwritten)
            _write_all(fd, unwritten)
            is_small = size <= self._content_bytes_max
            content = os.pread(fd, size, 0) if is_small else None
            is_kept = True
            return Made(content, fd, digest.hexdigest()[:12].encode(), is_worth_it=True)
        finally:
            if not is_kept:
                os.close(fd)

    def _blocking_blocks(self) -> Iterator[bytes]:
        source = self._source
        if source.content is not None:
            yield source.content
            return
        offset = 0
        while block := os.pread(source.fd, READ_BYTES, offset):
            yield block
            offset += len(block)
        if offset != source.size or identity_of(os.fstat(source.fd)) != source.identity:
            raise OSError(errno.EAGAIN, "the file changed while it was compressed")


def _blocking_open_unnamed() -> int:
    """Return a descriptor of a new file without a name.

    Where temporary files lie on a disk, that is cheaper to send from than memory: its pages come in larger pieces (1.0
    of what a plain file costs, and 1.3 for memfd_create(2)), and the kernel may take their memory back.
    """
    try:
        with tempfile.TemporaryFile(buffering=0) as file:
            return os.dup(file.fileno())
    except OSError:
        if not hasattr(os, "memfd_create"):
            raise
        fd: int = os.memfd_create("chute-compressed")
        return fd


def _write_all(fd: int, blocks: list[bytes]) -> int:
    """Write `blocks`, and empty the list; return how many bytes that were."""
    content = b"".join(blocks)
    blocks.clear()
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    return len(content)
