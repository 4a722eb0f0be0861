"""A folder as a `.zip`: what unpacks it finds the folder again, and its length was known before."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import stat
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiving import HOSTILE, TOP, archive_of, bytes_of, read, survey_of, write
from chute.errors import TransferError
from chute.files.resolve import Root
from chute.static import archive_zip
from chute.static.archive_contents import BLOCK_BYTES, PIECE_BYTES_MIN, Contents, Entry, Survey
from chute.static.archive_zip import archive_bytes, blocking_pieces, names_in_zip
from chute.transfer.method import Devices
from trees import descriptors

MTIME_S = 1_600_000_001
MIB, GIB = 1 << 20, 1 << 30


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site"
    path.mkdir()
    return path


@pytest.fixture
def root(site: Path) -> Iterator[Root]:
    """A root; when the test is over, it was the last thing open."""
    before = descriptors()
    with Root(os.fsencode(site)) as root:
        yield root
    assert descriptors() == before


UNPACKERS = {
    "unzip": ["unzip", "-q", "made.zip"],
    "bsdtar": ["bsdtar", "-xf", "made.zip"],
    "bsdtar from a pipe": ["sh", "-c", "cat made.zip | bsdtar -xf -"],
    "zipfile": [sys.executable, "-m", "zipfile", "-e", "made.zip", "."],
}
UNLIKED = {
    b"\xff\xfe not UTF-8": "it is replaced",
    b"new\nline": "unzip takes control characters out",
    b"cafe\xcc\x81": "bsdtar composes it",
}


@pytest.mark.parametrize("way", UNPACKERS)
def test_t23_programs_unpack_the_same_tree(site: Path, root: Root, tmp_path: Path, way: str):
    program = way.split(maxsplit=1)[0]
    if program != "zipfile" and shutil.which(program) is None:
        pytest.skip(f"no {program}")
    tree = {path: content for path, content in HOSTILE.items() if path not in UNLIKED}
    write(os.fsencode(site), {**tree, b"large": os.urandom(3 * BLOCK_BYTES + 1)})
    place = tmp_path / "unpacked"
    place.mkdir()
    (place / "made.zip").write_bytes(archive_of(archive_zip, root, survey_of(root)).content)
    settings = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    outcome = subprocess.run(UNPACKERS[way], cwd=place, env=settings, capture_output=True)
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    assert sorted(os.listdir(place)) == ["made.zip", "top"]
    assert read(os.fsencode(place / "top")) == read(os.fsencode(site))


def opened(content: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(content))


def test_members_tell_time_and_mode_as_on_unix(site: Path, root: Root):
    (site / "file").write_bytes(b"content")
    (site / "file").chmod(0o4750)
    (site / "folder").mkdir(mode=0o700)
    for name in ("file", "folder"):
        os.utime(site / name, (MTIME_S, MTIME_S))
    with opened(archive_of(archive_zip, root, survey_of(root)).content) as archive:
        file, folder = archive.getinfo("top/file"), archive.getinfo("top/folder/")
    assert file.external_attr >> 16 == stat.S_IFREG | 0o750
    assert folder.external_attr >> 16 == stat.S_IFDIR | 0o700
    assert folder.is_dir()
    for member in (file, folder):
        assert member.create_system == 3
        assert member.date_time == (2020, 9, 13, 12, 26, 40)
        assert member.extra == struct.pack("<2HBl", 0x5455, 5, 1, MTIME_S)


TIMES = {
    "before 1980": (0, (1980, 1, 1, 0, 0, 0), 9),
    "before 1901": (-(2**31) - 1, (1980, 1, 1, 0, 0, 0), 0),
    "after 2038": (2**31, (2038, 1, 19, 3, 14, 8), 0),
    "after 2107": (2**33, (2107, 12, 31, 23, 59, 58), 0),
}


@pytest.mark.parametrize(("time_s", "dos", "extra"), TIMES.values(), ids=TIMES.keys())
def test_t19_any_time_can_be_told_somehow(
    root: Root, time_s: int, dos: tuple[int, ...], extra: int
):
    survey = survey_of(root)
    survey.entries[0] = survey.entries[0]._replace(modified_s=time_s)
    with opened(archive_of(archive_zip, root, survey).content) as archive:
        (member,) = archive.infolist()
    assert (member.date_time, len(member.extra)) == (dos, extra)


def test_empty_folder_is_an_archive_of_one_entry(root: Root):
    archive = archive_of(archive_zip, root, survey_of(root))
    with opened(archive.content) as found:
        assert found.namelist() == ["top/"]


SIZES = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES]


@pytest.mark.parametrize("size", SIZES)
def test_crc_stands_before_what_fits_into_a_block_and_behind_the_rest(
    site: Path, root: Root, size: int
):
    content = os.urandom(size)
    (site / "file").write_bytes(content)
    archive = archive_of(archive_zip, root, survey_of(root))
    assert archive.promised == len(archive.content)
    with opened(archive.content) as found:
        member = found.getinfo("top/file")
        assert found.read(member) == content  # and the CRC is right, or this raises
    assert member.compress_type == zipfile.ZIP_STORED
    assert bool(member.flag_bits & 8) is (size > BLOCK_BYTES)
    # APPNOTE.TXT, 4.3.7
    crc, _, size_in_front = struct.unpack_from("<3L", archive.content, member.header_offset + 14)
    assert (crc, size_in_front) == ((0, 0) if size > BLOCK_BYTES else (member.CRC, size))


def test_small_files_are_gathered_and_pieces_have_a_bound(site: Path, root: Root):
    (site / "large").write_bytes(bytes(5 * BLOCK_BYTES))
    for number in range(1000):
        (site / f"small{number}").write_bytes(bytes(number))
    (site / "medium").write_bytes(bytes(BLOCK_BYTES))
    sizes = archive_of(archive_zip, root, survey_of(root)).sizes
    assert min(sizes[:-1]) >= PIECE_BYTES_MIN
    assert max(sizes) <= PIECE_BYTES_MIN + BLOCK_BYTES + 1024


def test_t01_file_rewritten_while_it_is_sent_never_parts_from_its_crc(site: Path, root: Root):
    """The bytes that leave are those that the CRC was made of; another pass over the file would see others."""
    (site / "file").write_bytes(b"o" * 4 * BLOCK_BYTES)
    survey = survey_of(root)
    pieces = blocking_pieces(Contents(root, Devices(), survey), survey, TOP)
    made = bytes_of(next(pieces))
    (site / "file").write_bytes(b"n" * 4 * BLOCK_BYTES)
    made += b"".join(map(bytes_of, pieces))
    with opened(made) as archive:
        assert archive.testzip() is None
        assert set(archive.read("top/file")) == set(b"on")


def test_t01_file_that_shrank_since_the_survey_ends_the_archive(site: Path, root: Root):
    for name in ("a", "b"):
        (site / name).write_bytes(bytes(2 * BLOCK_BYTES))
    survey = survey_of(root)
    pieces = blocking_pieces(Contents(root, Devices(), survey), survey, TOP)
    next(pieces)
    os.truncate(site / "b", BLOCK_BYTES)
    with pytest.raises(TransferError, match="'b' has 262144 bytes instead of 524288"):
        list(pieces)


@pytest.mark.parametrize("taken", range(5))
def test_archive_that_nobody_wants_any_more_leaves_nothing_open(site: Path, root: Root, taken: int):
    (site / "large").write_bytes(bytes(4 * BLOCK_BYTES))
    survey = survey_of(root)
    before = descriptors()
    pieces = blocking_pieces(Contents(root, Devices(), survey), survey, TOP)
    for _ in range(taken):
        next(pieces)
    pieces.close()
    assert descriptors() == before


def entry(name: bytes, size: int = 0, *, is_folder: bool = False) -> Entry:
    """Return an entry that has no file; an empty one is never opened."""
    return Entry(name, size, 0o644, MTIME_S, 0, 0, is_folder, size_lies=False)


def named(*names: bytes) -> list[Entry]:
    return [entry(name, is_folder=name.endswith(b"/")) for name in (b"", *names)]


NAMES = {
    "usual": ([b"a", b"\xc3\xa9", b"b/", b"b/c"], [b"a", b"\xc3\xa9", b"b/", b"b/c"]),
    "not UTF-8": ([b"a\xff\xfe.txt"], [b"a__.txt"]),
    "half a character": ([b"\xe2\x82"], [b"__"]),
    "backslashes": ([b"..\\..\\evil"], [b".._.._evil"]),
    "one that is taken before": ([b"a_", b"a\xff"], [b"a_", b"a_~2"]),
    "one that is taken later": ([b"a\\b.txt", b"a_b.txt"], [b"a_b~2.txt", b"a_b.txt"]),
    "two that become one": ([b"\xfe.tar.gz", b"\xff.tar.gz"], [b"_.tar.gz", b"_.tar~2.gz"]),
    "number that is taken": ([b"a\xfe", b"a_", b"a_~2"], [b"a_~3", b"a_", b"a_~2"]),
    "hidden": ([b".\xfe", b".\xff"], [b"._", b"._~2"]),
    "folder and file": ([b"a\xff", b"a\xfe/", b"a\xfe/b"], [b"a_", b"a_~2/", b"a_~2/b"]),
    "folders of one name": (
        [b"a\xfe/", b"a\xfe/x", b"a\xff/", b"a\xff/x", b"a\xff/\xff"],
        [b"a_/", b"a_/x", b"a_~2/", b"a_~2/x", b"a_~2/_"],
    ),
    "as long as can be": (
        [b"\xfe" * 255, b"\xff" * 255],
        [b"_" * 255, b"_" * 253 + b"~2"],
    ),
    "cut between characters": (
        [b"\xfe" + b"\xc3\xa9" * 127, b"\xff" + b"\xc3\xa9" * 127],
        [b"_" + b"\xc3\xa9" * 127, b"_" + b"\xc3\xa9" * 126 + b"~2"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "usable"), NAMES.values(), ids=NAMES.keys())
def test_t22_names_that_no_zip_can_hold_are_replaced(raw: list[bytes], usable: list[bytes]):
    assert names_in_zip(named(*raw))[1:] == usable


def test_many_names_that_become_one_take_no_square_of_time():
    """A hundred thousand, counted up from 2 for each, would take half an hour; the timeout of the test sees it."""
    raw = [
        bytes([128 + a, 128 + b, 128 + c]) for a in range(30) for b in range(30) for c in range(30)
    ]
    assert len(set(names_in_zip(named(*raw)))) == len(raw) + 1


TOPS = {b"C:": "C_/", b"a\\..\\b": "a_.._b/", b"\xff": "_/", b"caf\xc3\xa9": "caf\u00e9/"}


@pytest.mark.parametrize("top", TOPS, ids=TOPS.values())
def test_t22_folder_at_the_top_has_no_name_that_leads_elsewhere(root: Root, top: bytes):
    with opened(archive_of(archive_zip, root, survey_of(root), top).content) as archive:
        assert archive.namelist() == [TOPS[top]]


names = st.binary(min_size=1, max_size=12).filter(
    lambda name: not {0, ord("/")}.intersection(name) and name not in (b".", b"..")
)
folders = itertools.count()


@given(
    tree=st.dictionaries(names, st.one_of(st.none(), st.integers(0, 2 * BLOCK_BYTES)), max_size=6),
    inner=st.dictionaries(names, st.integers(0, 9), max_size=4),
    top=names,
)
def test_length_is_known_beforehand(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[bytes, int | None],
    inner: dict[bytes, int],
    top: bytes,
):
    place = os.fsencode(tmp_path_factory.getbasetemp() / f"zips{next(folders)}")
    os.mkdir(place)
    write(place, {name: None if size is None else bytes(size) for name, size in tree.items()})
    for name, size in tree.items():
        if size is None:
            write(os.path.join(place, name), {leaf: bytes(n) for leaf, n in inner.items()})
    with Root(place) as root:
        survey = survey_of(root)
        archive = archive_of(archive_zip, root, survey, top)
    assert len(archive.content) == archive.promised
    with opened(archive.content) as found:
        assert found.testzip() is None
        assert len(set(found.namelist())) == len(survey.entries)
        assert sum(member.file_size for member in found.infolist()) == sum(
            entry.size for entry in survey.entries
        )
    shutil.rmtree(place)


class Hollow(Contents):
    """Files that are all zeros, large ones made of one block that is yielded again and again."""

    hole = bytes(16 * MIB)

    def blocking_read(self, entry: Entry) -> Generator[bytes, None, None]:
        for offset in range(0, entry.size, len(self.hole)):
            yield self.hole[: entry.size - offset]


def crc_but_of_holes(content: bytes, crc: int = 0) -> int:
    """Return the CRC of what is small: that of 5 GiB takes seconds, and is not what the test is about."""
    return zlib.crc32(content, crc) if len(content) < MIB else 0


@pytest.mark.parametrize("size", [5 * GIB, 2**32 - 1, 2**32 - 2])
def test_t07_more_than_4_gib_are_told_in_64_bits(
    root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
):
    survey = Survey(b"")
    survey.entries += [entry(b"", is_folder=True), entry(b"large", size), entry(b"next", size)]
    survey.entries.append(entry(b"last", 7))
    monkeypatch.setattr(archive_zip, "zlib", SimpleNamespace(crc32=crc_but_of_holes))
    made = tmp_path / "made.zip"
    with made.open("wb") as file:
        for piece in blocking_pieces(Hollow(root, Devices(), survey), survey, TOP):
            if piece is Hollow.hole:
                file.seek(len(piece), os.SEEK_CUR)
            else:
                assert isinstance(piece, bytes)
                file.write(piece)
    assert made.stat().st_size == archive_bytes(survey, TOP)
    with zipfile.ZipFile(made) as archive:
        assert [member.file_size for member in archive.infolist()] == [0, size, size, 7]
        assert archive.read("top/last") == bytes(7)
    # unzip 6.0 mistakes exactly 2**32 - 1 bytes, once read from 64 bits, for a sign that there are 64 bits to read.
    if shutil.which("unzip") and size != 2**32 - 1:
        listed = subprocess.run(["unzip", "-lqq", made], capture_output=True, check=True).stdout
        assert [int(line.split()[0]) for line in listed.splitlines()] == [0, size, size, 7]


def test_sizes_that_follow_in_a_descriptor_are_zero_in_front_in_64_bits_too():
    """APPNOTE.TXT, 4.4.4 and 4.5.3; a program that unpacks from a pipe has nothing else to go by."""
    header = archive_zip._local_header(entry(b"large", 5 * GIB), b"large", crc=0)
    assert header[14:26] == struct.pack("<3L", 0, 2**32 - 1, 2**32 - 1)
    assert header[30 + len(b"large") :].startswith(struct.pack("<2H2Q", 1, 16, 0, 0))


@pytest.mark.parametrize(("count", "is_wide"), [(65_534, False), (65_535, True), (65_536, True)])
def test_more_than_65_534_entries_are_counted_in_64_bits(root: Root, count: int, is_wide: bool):
    survey = Survey(b"")
    survey.entries.append(entry(b"", is_folder=True))
    survey.entries += [entry(b"%d" % number) for number in range(count - 1)]
    archive = archive_of(archive_zip, root, survey)
    assert len(archive.content) == archive.promised
    assert (archive.content[-42:-38] == b"PK\6\7") is is_wide
    with opened(archive.content) as found:
        assert len(found.namelist()) == count
