"""A folder as a `.tar`: what unpacks it finds the folder again, and its length was known before."""

from __future__ import annotations

import io
import itertools
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archiving import HOSTILE, TOP, Tree, archive_of, bytes_of, lay_out, read, survey_of, write
from chute.errors import TransferError
from chute.files.resolve import Root
from chute.static import archive_tar
from chute.static.archive_contents import BLOCK_BYTES, PIECE_BYTES_MIN, Contents, Entry
from chute.static.archive_tar import SPAN_BYTES_MIN, archive_bytes, blocking_pieces
from chute.transfer.method import Devices
from trees import descriptors

MTIME_S = 1_600_000_000


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
    "tar": ["tar", "--warning=no-unknown-keyword", "-xpf", "-"],
    "bsdtar": ["bsdtar", "-xpf", "-"],
}


@pytest.mark.parametrize("program", UNPACKERS)
def test_t23_programs_unpack_the_same_tree(site: Path, root: Root, tmp_path: Path, program: str):
    if shutil.which(program) is None:
        pytest.skip(f"no {program}")
    tree = {**HOSTILE, b"large": os.urandom(SPAN_BYTES_MIN + 1), b"\xff/large": bytes(300_000)}
    if program == "bsdtar":
        del tree[
            b"cafe\xcc\x81"
        ]  # It composes what is decomposed, and has two files of one name then.
    write(os.fsencode(site), tree)
    archive = archive_of(archive_tar, root, survey_of(root))
    place = tmp_path / "unpacked"
    place.mkdir()
    settings = {"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    outcome = subprocess.run(
        UNPACKERS[program], cwd=place, input=archive.content, env=settings, capture_output=True
    )
    assert (outcome.returncode, outcome.stderr) == (0, b"")
    assert os.listdir(place) == ["top"]
    assert read(os.fsencode(place / "top")) == read(os.fsencode(site))


def members_of(content: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:", encoding="utf-8") as archive:
        return archive.getmembers()


def test_t23_names_of_any_bytes_are_what_tarfile_finds(site: Path, root: Root):
    write(os.fsencode(site), HOSTILE)
    survey = survey_of(root)
    found = members_of(archive_of(archive_tar, root, survey).content)
    expected = [os.fsdecode(os.path.join(TOP, entry.name).rstrip(b"/")) for entry in survey.entries]
    assert [member.name for member in found] == expected


def test_members_tell_time_and_mode_and_nobody_as_owner(site: Path, root: Root):
    (site / "file").write_bytes(b"content")
    (site / "file").chmod(0o4750)
    (site / "folder").mkdir(mode=0o700)
    for name in ("file", "folder"):
        os.utime(site / name, (MTIME_S, MTIME_S))
    _, file, folder = members_of(archive_of(archive_tar, root, survey_of(root)).content)
    assert (file.mode, file.mtime, file.isreg()) == (0o750, MTIME_S, True)
    assert (folder.mode, folder.mtime, folder.isdir()) == (0o700, MTIME_S, True)
    for member in (file, folder):
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")


def test_empty_folder_is_an_archive_of_one_entry(root: Root):
    archive = archive_of(archive_tar, root, survey_of(root))
    assert [(member.name, member.isdir()) for member in members_of(archive.content)] == [
        ("top", True)
    ]
    assert len(archive.content) == archive.promised == tarfile.RECORDSIZE


SIZES = [0, 1, 511, 512, 513, SPAN_BYTES_MIN - 1, SPAN_BYTES_MIN, BLOCK_BYTES + 1]


@pytest.mark.parametrize("size", SIZES)
def test_files_of_every_size_end_on_a_block(site: Path, root: Root, size: int):
    content = os.urandom(size)
    (site / "file").write_bytes(content)
    archive = archive_of(archive_tar, root, survey_of(root))
    assert archive.promised == len(archive.content)
    with tarfile.open(fileobj=io.BytesIO(archive.content), mode="r:") as opened:
        file = opened.extractfile("top/file")
        assert file is not None
        assert file.read() == content


def test_large_files_are_carried_and_small_ones_gathered(site: Path, root: Root):
    (site / "large").write_bytes(bytes(SPAN_BYTES_MIN))
    for number in range(1000):
        (site / f"small{number}").write_bytes(bytes(number))
    sizes = archive_of(archive_tar, root, survey_of(root)).sizes
    assert [-size for size in sizes if size < 0] == [SPAN_BYTES_MIN]
    gathered = [size for size in sizes if size > 0]
    # What comes before the span, and what is left at the end, may be small.
    assert all(size >= PIECE_BYTES_MIN for size in gathered[1:-1])
    assert len(gathered) > 3


def test_pieces_have_a_bound(site: Path, root: Root):
    """A file whose size lies is read, however large; nothing else that is as large goes through memory."""
    (site / "file").write_bytes(bytes(1_000_000))
    for number in range(10):
        (site / f"small{number}").write_bytes(bytes(SPAN_BYTES_MIN - 1))
    survey = survey_of(root)
    survey.entries[1] = survey.entries[1]._replace(size_lies=True)
    archive = archive_of(archive_tar, root, survey)
    assert len(archive.content) == archive.promised
    assert max(archive.sizes) <= PIECE_BYTES_MIN + BLOCK_BYTES + 1024


def test_headers_without_content_are_pieces_with_a_bound_too(root: Root):
    survey = survey_of(root)
    survey.entries += [entry(b"%d" % number) for number in range(1000)]
    archive = archive_of(archive_tar, root, survey)
    assert len(archive.content) == archive.promised
    assert max(archive.sizes) <= PIECE_BYTES_MIN + 1024


paths = st.lists(
    st.binary(min_size=1, max_size=70).filter(
        lambda name: not {0, ord("/")}.intersection(name) and name not in (b".", b"..")
    ),
    min_size=1,
    max_size=3,
).map(b"/".join)
trees = st.dictionaries(paths, st.one_of(st.none(), st.integers(0, 2 * SPAN_BYTES_MIN)), max_size=6)
folders = itertools.count()


@given(tree=trees, top=st.binary(min_size=1, max_size=101).filter(lambda name: b"\0" not in name))
def test_length_is_known_beforehand(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[bytes, int | None], top: bytes
):
    place = os.fsencode(tmp_path_factory.getbasetemp() / f"tars{next(folders)}")
    os.mkdir(place)
    contents: Tree = {}
    for path, size in tree.items():
        is_free = not any(
            f"{path}/".startswith(f"{p}/") or f"{p}/".startswith(f"{path}/") for p in contents
        )
        if is_free:
            contents[path] = None if size is None else bytes(size)
    write(place, contents)
    with Root(place) as root:
        archive = archive_of(archive_tar, root, survey_of(root), top)
    assert len(archive.content) == archive.promised
    assert archive.promised % tarfile.RECORDSIZE == 0
    shutil.rmtree(place)


def entry(name: bytes = b"file", *, size: int = 0, modified_s: int = MTIME_S) -> Entry:
    return Entry(name, size, 0o644, modified_s, 0, 0, is_folder=False, size_lies=False)


AT_THE_BORDERS = {
    **{f"name of {n} bytes": entry(b"n" * (n - 4)) for n in (99, 100, 101, 255, 256)},
    "name that is not ASCII": entry(b"\xc3\xa9"),
    "name that is not UTF-8": entry(b"\xff"),
    **{f"size of {n}": entry(size=n) for n in (8**11 - 1, 8**11, 2**62)},
    **{f"time of {n}": entry(modified_s=n) for n in (-1, 0, 8**11 - 1, 8**11)},
}


@pytest.mark.parametrize("entry", AT_THE_BORDERS.values(), ids=AT_THE_BORDERS.keys())
def test_length_of_a_header_is_known_without_making_it(entry: Entry):
    assert archive_tar._header_bytes(entry, TOP) == len(archive_tar._header(entry, TOP))


def test_t07_sparse_5_gib_and_9_gib_are_one_span_each(site: Path, root: Root, tmp_path: Path):
    """Their size has room in a header, or needs a pax record; nothing of them is read."""
    for name, size in (("five", 5 << 30), ("nine", 9 << 30)):
        (site / name).touch()
        os.truncate(site / name, size)
    survey = survey_of(root)
    pieces = blocking_pieces(Contents(root, Devices(), survey), survey, TOP)
    made = tmp_path / "made"
    spans = lay_out(pieces, made)
    assert spans == [5 << 30, 9 << 30]
    assert made.stat().st_size == archive_bytes(survey, TOP)
    with tarfile.open(made, mode="r:") as archive:
        assert [member.size for member in archive] == [0, 5 << 30, 9 << 30]


def test_t01_file_that_shrank_since_the_survey_ends_the_archive(site: Path, root: Root):
    for name in ("a", "b", "c"):
        (site / name).write_bytes(bytes(SPAN_BYTES_MIN))
    survey = survey_of(root)
    pieces = blocking_pieces(Contents(root, Devices(), survey), survey, TOP)
    for _ in range(3):
        bytes_of(next(pieces))
    os.truncate(site / "b", SPAN_BYTES_MIN - 1)
    with pytest.raises(TransferError, match="'b' has 65535 bytes instead of 65536"):
        bytes_of(next(pieces))
    assert next(pieces, None) is None


@pytest.mark.parametrize("taken", range(6))
def test_archive_that_nobody_wants_any_more_leaves_nothing_open(site: Path, root: Root, taken: int):
    (site / "large").write_bytes(bytes(SPAN_BYTES_MIN))
    for number in range(5):
        (site / f"small{number}").write_bytes(bytes(SPAN_BYTES_MIN - 1))
    survey = survey_of(root)
    # Read in blocks, so that the generator is left in the middle of a file.
    survey.entries[2] = survey.entries[2]._replace(size_lies=True)
    (site / "small0").write_bytes(bytes(1_000_000))
    survey.entries[2] = survey.entries[2]._replace(size=1_000_000)
    before = descriptors()
    pieces = blocking_pieces(Contents(root, Devices(), survey), survey, TOP)
    for _ in range(taken):
        bytes_of(next(pieces))
    pieces.close()
    assert descriptors() == before
