"""A folder as one `.zip`, made while it is sent, of a length that is known beforehand (PKWARE, APPNOTE.TXT 6.3.10).

Files are stored and not compressed: most of what is large is compressed already, and compressing would cost a hundred
times what sending does.

Every byte has to be read here, for a zip has a CRC of each file. So the bytes that are sent are the very ones that the
CRC was made of: whatever happens to a file meanwhile, archive and CRC agree. The other way, to read a file for its CRC
and to have the kernel carry it afterwards, reads it twice, can be overtaken by a change in between, and keeps the
client waiting for as long as the first reading takes; what it saves is one copy, a tenth of what the CRC costs.

A file that fits into one block has its CRC in front, in the local header. For a larger one, the header leaves before
the file has been read; its CRC follows in a data descriptor (4.3.9). The central directory at the end repeats
everything, and that is what programs that unpack files go by.

`zipfile` of the standard library can write to a stream too, but it cannot say how long the outcome will be, and gives
even the smallest file a data descriptor, which programs that unpack from a pipe stumble over.

Names are in UTF-8, and said to be (bit 11). A name that is not UTF-8, or that holds a backslash, which is a separator
where zips are unpacked most, gets underscores in those places, and a number if that name is taken.
"""

from __future__ import annotations

import re
import struct
import zlib
from array import array
from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime
from stat import S_IFDIR, S_IFREG

from chute.static.archive_contents import BLOCK_BYTES, Contents, Entry, Gathering, Survey
from chute.transfer.source import Piece

_UINT16_MAX = 0xFFFF
_UINT32_MAX = 0xFFFF_FFFF
_INT32_MIN, _INT32_MAX = -(2**31), 2**31 - 1

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_DESCRIPTOR = struct.Struct("<4s3L")
_DESCRIPTOR_64 = struct.Struct("<4sL2Q")
_TIMESTAMP = struct.Struct("<2HBl")

_HAS_DESCRIPTOR = 1 << 3
_IS_UTF_8 = 1 << 11
_VERSION = 20
_VERSION_64 = 45
_MADE_BY_UNIX = 3 << 8
_IS_FOLDER = 0x10
_EXTRA_64 = 0x0001
_EXTRA_TIMESTAMP = 0x5455

_EPOCH_S = 315_532_800
_LAST_S = 4_354_819_198
"""What a DOS date can say: 1980-01-01 00:00:00 to 2107-12-31 23:59:58."""

_UNUSABLE = re.compile("[\\\\\udc80-\udcff]")
_LEAF_BYTES_MAX = 255
_EXTENSION_BYTES_MAX = 16


def archive_bytes(survey: Survey, top: bytes) -> int:
    """Return how many bytes the archive has.

    Args:
        survey: what goes in.
        top: the name that the folder itself has in the archive.
    """
    top = _usable_top(top)
    offset = central_bytes = 0
    for entry, name in zip(survey.entries, names_in_zip(survey.entries), strict=True):
        central_bytes += len(_central_header(entry, top + name, crc=0, offset=offset))
        offset += _local_bytes(entry, top + name)
    return offset + central_bytes + len(_end(len(survey.entries), offset, central_bytes))


def blocking_pieces(contents: Contents, survey: Survey, top: bytes) -> Generator[Piece, None, None]:
    """Yield the archive in pieces, all of them bytes.

    Args:
        contents: opens the files of the survey.
        survey: what goes in.
        top: the name that the folder itself has in the archive.

    Raises:
        FileError: a file cannot be opened any more.
        TransferError: a file is not what was promised.
        OSError: the disk failed.
    """
    top = _usable_top(top)
    names = names_in_zip(survey.entries)
    crcs = array("I")
    gathering = Gathering()
    for entry, name in zip(survey.entries, names, strict=True):
        if _has_descriptor(entry):
            gathering.add(_local_header(entry, top + name, crc=0))
            crc = 0
            with closing(contents.blocking_read(entry)) as blocks:
                for block in blocks:
                    crc = zlib.crc32(block, crc)
                    gathering.add(block)
                    if gathering.is_full:
                        yield gathering.take()
            gathering.add(_descriptor(entry, crc))
        else:
            content = b"".join(contents.blocking_read(entry)) if entry.size else b""
            crc = zlib.crc32(content)
            gathering.add(_local_header(entry, top + name, crc))
            gathering.add(content)
        crcs.append(crc)
        if gathering.is_full:
            yield gathering.take()
    offset = central_bytes = 0
    for entry, name, crc in zip(survey.entries, names, crcs, strict=True):
        header = _central_header(entry, top + name, crc=crc, offset=offset)
        gathering.add(header)
        central_bytes += len(header)
        offset += _local_bytes(entry, top + name)
        if gathering.is_full:
            yield gathering.take()
    gathering.add(_end(len(names), offset, central_bytes))
    yield gathering.take()


def names_in_zip(entries: list[Entry]) -> list[bytes]:
    """Return a name in UTF-8 for each entry, without backslashes, and no two of them the same.

    Args:
        entries: parents before what is in them.
    """
    raw_names = [entry.name for entry in entries]
    together = b"\0".join(raw_names)
    if _usable(together) == together:
        return raw_names
    taken = {raw.removesuffix(b"/") for raw in raw_names}
    numbers: dict[bytes, int] = {}
    renamed: dict[bytes, bytes] = {}
    for raw in raw_names:
        path = raw.removesuffix(b"/")
        folder, slash, leaf = path.rpartition(b"/")
        wanted = renamed.get(folder, folder) + slash + _usable(leaf)
        if wanted == path:
            continue
        name = wanted
        while name in taken:
            # Counted on for each name: a folder full of names that become one would take the square of them else.
            numbers[wanted] = numbers.get(wanted, 1) + 1
            name = _numbered(wanted, numbers[wanted])
        taken.add(name)
        renamed[path] = name
    return [_renamed(raw, renamed) for raw in raw_names]


def _renamed(raw: bytes, renamed: dict[bytes, bytes]) -> bytes:
    if raw.endswith(b"/"):
        return renamed.get(raw[:-1], raw[:-1]) + b"/"
    return renamed.get(raw, raw)


def _usable(name: bytes) -> bytes:
    """Return `name` with underscores in place of what no zip can hold, one for each byte."""
    return _UNUSABLE.sub("_", name.decode("utf-8", "surrogateescape")).encode()


def _usable_top(top: bytes) -> bytes:
    # A colon behind a first letter would be a drive.
    return _usable(top).replace(b":", b"_") + b"/"


def _numbered(name: bytes, number: int) -> bytes:
    """Return `name` with a number before its extension, cut where no file system would take it otherwise."""
    folder, slash, leaf = name.rpartition(b"/")
    stem, dot, extension = leaf.rpartition(b".")
    if not stem or len(extension) > _EXTENSION_BYTES_MAX:
        stem, dot, extension = leaf, b"", b""
    end = b"~%d" % number + dot + extension
    stem = stem[: _LEAF_BYTES_MAX - len(end)].decode("utf-8", "ignore").encode()
    return folder + slash + stem + end


def _has_descriptor(entry: Entry) -> bool:
    return entry.size > BLOCK_BYTES


def _is_large(entry: Entry) -> bool:
    return entry.size >= _UINT32_MAX


def _flags(entry: Entry) -> int:
    return _IS_UTF_8 | (_HAS_DESCRIPTOR if _has_descriptor(entry) else 0)


def _local_header(entry: Entry, name: bytes, crc: int) -> bytes:
    """Make a local file header (4.3.7): what follows in the descriptor is zero here, as 4.4.4 demands."""
    size = 0 if _has_descriptor(entry) else entry.size
    extra = _timestamp(entry)
    if _is_large(entry):
        # Both sizes have to be there, and tell that the descriptor has sizes of 8 bytes (4.3.9.2).
        extra = struct.pack("<2H2Q", _EXTRA_64, 16, 0, 0) + extra
        size = _UINT32_MAX
    return (
        _LOCAL.pack(
            b"PK\3\4",
            _VERSION_64 if _is_large(entry) else _VERSION,
            _flags(entry),
            0,
            *_dos_time(entry.modified_s),
            crc,
            size,
            size,
            len(name),
            len(extra),
        )
        + name
        + extra
    )


def _descriptor(entry: Entry, crc: int) -> bytes:
    packing = _DESCRIPTOR_64 if _is_large(entry) else _DESCRIPTOR
    return packing.pack(b"PK\7\10", crc, entry.size, entry.size)


def _local_bytes(entry: Entry, name: bytes) -> int:
    """Return how many bytes of the archive come from `entry`, without the central directory."""
    count = len(_local_header(entry, name, crc=0)) + entry.size
    return count + len(_descriptor(entry, crc=0)) if _has_descriptor(entry) else count


def _central_header(entry: Entry, name: bytes, *, crc: int, offset: int) -> bytes:
    """Make the header of `entry` in the central directory (4.3.12)."""
    wide: list[int] = []
    size = entry.size
    if _is_large(entry):
        wide += (size, size)
        size = _UINT32_MAX
    if offset >= _UINT32_MAX:
        wide.append(offset)
        offset = _UINT32_MAX
    extra = _timestamp(entry)
    if wide:
        # Only what has no room above, in this order (4.5.3).
        extra = struct.pack(f"<2H{len(wide)}Q", _EXTRA_64, 8 * len(wide), *wide) + extra
    kind = S_IFDIR if entry.is_folder else S_IFREG
    return (
        _CENTRAL.pack(
            b"PK\1\2",
            _MADE_BY_UNIX | _VERSION_64,
            _VERSION_64 if wide else _VERSION,
            _flags(entry),
            0,
            *_dos_time(entry.modified_s),
            crc,
            size,
            size,
            len(name),
            len(extra),
            0,
            0,
            0,
            (kind | entry.mode) << 16 | (_IS_FOLDER if entry.is_folder else 0),
            offset,
        )
        + name
        + extra
    )


def _end(entries: int, offset: int, count: int) -> bytes:
    """Make what ends the archive (4.3.14 to 4.3.16), in 64 bits too where that is needed.

    Args:
        entries: in the central directory.
        offset: where that begins.
        count: its bytes.
    """
    end_64 = b""
    if entries >= _UINT16_MAX or max(offset, count) >= _UINT32_MAX:
        end_64 = _END_64.pack(
            b"PK\6\6",
            _END_64.size - 12,
            _MADE_BY_UNIX | _VERSION_64,
            _VERSION_64,
            0,
            0,
            entries,
            entries,
            count,
            offset,
        ) + _LOCATOR_64.pack(b"PK\6\7", 0, offset + count, 1)
    entries = min(entries, _UINT16_MAX)
    return end_64 + _END.pack(
        b"PK\5\6",
        0,
        0,
        entries,
        entries,
        min(count, _UINT32_MAX),
        min(offset, _UINT32_MAX),
        0,
    )


def _timestamp(entry: Entry) -> bytes:
    """Return the time of modification in UTC, as Info-ZIP writes it: DOS times mean the zone of whoever reads them."""
    if not _INT32_MIN <= entry.modified_s <= _INT32_MAX:
        return b""
    return _TIMESTAMP.pack(_EXTRA_TIMESTAMP, 5, 1, entry.modified_s)


def _dos_time(modified_s: int) -> tuple[int, int]:
    """Return time and date as DOS writes them, in UTC, to two seconds (4.4.6)."""
    at = datetime.fromtimestamp(min(max(modified_s, _EPOCH_S), _LAST_S), UTC)
    return (
        at.hour << 11 | at.minute << 5 | at.second // 2,
        (at.year - 1980) << 9 | at.month << 5 | at.day,
    )
