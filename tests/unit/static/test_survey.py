"""What a survey finds: sources, names that only look like sidecars, and what is skipped and why."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from carrying import failing
from chute.files.resolve import Root
from chute.static.codecs import BR, GZIP
from chute.static.survey import (
    BYTES_MIN,
    Finding,
    Orphan,
    Reason,
    Skipped,
    Source,
    Unreadable,
    blocking_survey,
)
from disk import LONG_AGO_NS, write
from trees import descriptors, plant

TEXT = b"x" * BYTES_MIN

Survey = Callable[..., list[Finding]]


@pytest.fixture
def survey(folder: Path) -> Iterator[Survey]:
    """Surveys the folder; the descriptors are those of before."""
    before = descriptors()

    def find(**settings: object) -> list[Finding]:
        with Root(os.fsencode(folder)) as root:
            return list(blocking_survey(root, **settings))

    yield find
    assert descriptors() == before


def paths(findings: list[Finding]) -> list[bytes]:
    return [each.path for each in findings if isinstance(each, Source)]


def test_sources_come_folder_by_folder_in_the_order_of_their_names(folder: Path, survey: Survey):
    (folder / "b/c").mkdir(parents=True)
    (folder / "a").mkdir()
    for name in ("z.js", "b/c/deep.css", "b/1.js", "a/2.html"):
        write(folder / name, TEXT)
    assert paths(survey()) == [b"z.js", b"a/2.html", b"b/1.js", b"b/c/deep.css"]


def test_source_is_told_with_what_it_was(folder: Path, survey: Survey):
    write(folder / "page.js", TEXT)
    inode = (folder / "page.js").stat().st_ino
    assert survey() == [Source(b"", b"page.js", len(TEXT), LONG_AGO_NS, inode)]


@pytest.mark.parametrize(
    ("name", "size", "reason"),
    [
        ("photo.png", 5000, Reason.TYPE),
        ("page.js", BYTES_MIN - 1, Reason.SMALL),
        (".page.js", 5000, Reason.HIDDEN),
        ("archive.tar.gz", 5000, Reason.TYPE),
        ("photo.png.gz", 5000, Reason.TYPE),
        (".gz", 5000, Reason.HIDDEN),
    ],
)
def test_what_is_no_source_is_skipped(
    folder: Path, survey: Survey, name: str, size: int, reason: Reason
):
    write(folder / name, b"x" * size)
    found = survey()
    if name == "archive.tar.gz" and not isinstance(found[0], Skipped):
        assert found == [Orphan(b"", b"archive.tar.gz", GZIP)]  # where tar shrinks
    else:
        assert found == [Skipped(name.encode(), reason)]


def test_least_size_can_be_set(folder: Path, survey: Survey):
    write(folder / "page.js", b"x" * 10)
    assert paths(survey(bytes_min=10)) == [b"page.js"]
    assert paths(survey(bytes_min=11)) == []


def test_sidecars_are_neither_sources_nor_skipped(folder: Path, survey: Survey):
    for name in ("page.js", "page.js.gz", "page.js.br", "page.js.zst"):
        write(folder / name, TEXT)
    assert [each.path for each in survey()] == [b"page.js"]


def test_sidecar_of_a_small_or_linked_file_is_no_orphan(folder: Path, survey: Survey):
    write(folder / "small.js", b"x")
    write(folder / "small.js.gz", TEXT)
    (folder / "link.js").symlink_to("small.js")
    write(folder / "link.js.br", TEXT)
    assert not [each for each in survey() if isinstance(each, Orphan)]


def test_name_of_a_sidecar_beside_nothing_is_an_orphan(folder: Path, survey: Survey):
    (folder / "sub").mkdir()
    write(folder / "sub/page.js.br", TEXT)
    assert survey() == [Orphan(b"sub", b"page.js.br", BR)]


def test_hidden_names_are_surveyed_when_asked(folder: Path, survey: Survey):
    for name in (".hidden", ".well-known"):
        (folder / name).mkdir()
        write(folder / name / "page.txt", TEXT)
    write(folder / ".page.js", TEXT)
    assert paths(survey()) == [b".well-known/page.txt"]
    assert paths(survey(shows_hidden=True)) == [
        b".page.js",
        b".hidden/page.txt",
        b".well-known/page.txt",
    ]


def test_names_of_unfinished_files_are_passed_over(folder: Path, survey: Survey):
    write(folder / ".chute-0123456789abcdef.js", TEXT)
    assert survey(shows_hidden=True) == []


def test_t21_links_are_not_followed(tmp_path: Path):
    root_path = plant(tmp_path)
    with Root(root_path) as root:
        found = list(blocking_survey(root, bytes_min=1))
    outside = tmp_path / "outside"
    assert outside.exists()
    for each in found:
        whole = os.path.join(root_path, each.path)
        assert isinstance(each, Skipped) or not os.path.islink(whole)
        assert os.path.realpath(os.path.dirname(whole)).startswith(root_path)
    links = [each for each in found if isinstance(each, Skipped) and each.reason is Reason.LINK]
    assert links


def test_what_is_neither_file_nor_folder_is_skipped(folder: Path, survey: Survey):
    os.mkfifo(folder / "pipe.js")
    assert survey() == [Skipped(b"pipe.js", Reason.SPECIAL)]


def test_names_of_any_bytes_are_found(folder: Path, survey: Survey):
    name = b"\xff\n\x1b.js"
    write(Path(os.fsdecode(os.fsencode(folder) + b"/" + name)), TEXT)
    assert paths(survey()) == [name]


def test_folder_that_cannot_be_read_is_told_and_the_rest_found(
    folder: Path, survey: Survey, monkeypatch: pytest.MonkeyPatch
):
    (folder / "locked").mkdir()
    (folder / "open").mkdir()
    write(folder / "open/page.js", TEXT)
    real = Root.open

    def refuse(root: Root, name: bytes, flags: int = os.O_RDONLY) -> int:
        if name == b"locked":
            raise failing(13)
        return real(root, name, flags)

    monkeypatch.setattr(Root, "open", refuse)
    found = survey()
    assert found[0] == Unreadable(b"locked", os.strerror(13))
    assert paths(found) == [b"open/page.js"]
