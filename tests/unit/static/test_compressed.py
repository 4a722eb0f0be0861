"""Compressed forms: the right bytes of the right state of a file, made once, bounded, and given back."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from chute.files.open_files import OpenFile
from chute.semantics.validators import EntityTag
from chute.static import compressed as module
from chute.static.codecs import CODINGS, GZIP, Coding, is_available
from chute.static.compressed import CompressedFiles
from chute.transfer.source import CLOSED
from trees import descriptors

LONG_AGO_NS = 1_600_000_000_123_456_789
TEXT = b"a text that shrinks, line %d\n"
LARGE = b"".join(TEXT % number for number in range(20_000))
SMALL = TEXT * 40


class Sources:
    """Files to compress; held by the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.opened: list[OpenFile] = []

    def open(self, content: bytes, *, in_memory: bool = False) -> OpenFile:
        path = self._folder / f"{len(self.opened)}"
        path.write_bytes(content)
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
        fd = os.open(path, os.O_RDONLY)
        self.opened.append(OpenFile(fd, os.fstat(fd), content if in_memory else None))
        return self.opened[-1]

    def path(self, file: OpenFile) -> Path:
        return self._folder / f"{self.opened.index(file)}"


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Sources]:
    before = descriptors()
    sources = Sources(tmp_path)
    yield sources
    for file in sources.opened:
        file.release()
        assert file.fd == CLOSED, "somebody still holds a source"
    assert descriptors() == before


@pytest.fixture
def forms(sources: Sources) -> Iterator[CompressedFiles]:
    forms = CompressedFiles()
    yield forms
    forms.close()


def make(forms: CompressedFiles, source: OpenFile, coding: Coding = GZIP) -> OpenFile | None:
    making = forms.begin(source, coding)
    making.blocking_make()
    return making.finish()


def content_of(form: OpenFile) -> bytes:
    if form.content is not None:
        return form.content
    return os.pread(form.fd, form.size + 1, 0)


@pytest.mark.parametrize("content", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("in_memory", [True, False], ids=["in memory", "open"])
def test_form_is_the_file_in_its_coding(
    forms: CompressedFiles, sources: Sources, content: bytes, in_memory: bool
):
    source = sources.open(content, in_memory=in_memory)
    form = make(forms, source)
    assert form is not None
    assert gzip.decompress(content_of(form)) == content
    assert form.size == len(content_of(form)) < len(content)
    assert (form.content is None) == (form.size > 8191)
    assert (form.modified_s, form.last_modified) == (source.modified_s, source.last_modified)


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.name.decode())
def test_every_coding_has_a_tag_of_its_own_that_is_of_its_bytes(
    forms: CompressedFiles, sources: Sources, coding: Coding
):
    if not is_available(coding):
        pytest.skip("not installed")
    source = sources.open(LARGE)
    assert source.entity_tag is not None
    form = make(forms, source, coding)
    assert form is not None
    mark = hashlib.sha256(content_of(form)).hexdigest()[:12].encode()
    expected = source.entity_tag.opaque + b"-" + coding.suffix[1:] + b"-" + mark
    assert form.entity_tag == EntityTag(expected)


def test_form_is_found_as_long_as_the_file_is_the_same(forms: CompressedFiles, sources: Sources):
    source = sources.open(LARGE)
    assert forms.find(source, GZIP) is None
    form = make(forms, source)
    assert forms.find(source, GZIP) is form
    assert not forms.may_begin(source, GZIP)
    same = OpenFile(os.open(sources.path(source), os.O_RDONLY), os.fstat(source.fd), None)
    assert forms.find(same, GZIP) is form, "it is the state of the file that counts"
    same.release()
    assert forms.find(sources.open(LARGE), GZIP) is None


def test_level_is_a_setting(sources: Sources):
    source = sources.open(LARGE)
    sizes = []
    for level in (1, 9):
        forms = CompressedFiles(levels={b"gzip": level})
        form = make(forms, source)
        assert form is not None
        sizes.append(form.size)
        forms.close()
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("content", [os.urandom(50_000), b""], ids=["random", "empty"])
def test_what_does_not_shrink_is_not_tried_again(
    forms: CompressedFiles, sources: Sources, content: bytes
):
    source = sources.open(content)
    assert make(forms, source) is None
    assert forms.find(source, GZIP) is None
    assert not forms.may_begin(source, GZIP)


def test_source_that_changes_meanwhile_has_no_form_but_may_have_one_later(
    forms: CompressedFiles, sources: Sources, monkeypatch: pytest.MonkeyPatch
):
    source = sources.open(LARGE)
    making = forms.begin(source, GZIP)
    sources.path(source).write_bytes(LARGE[::-1])
    making.blocking_make()
    assert making.finish() is None
    assert forms.may_begin(source, GZIP)


@pytest.mark.parametrize("when", ["at once", "half way"])
def test_codec_that_fails_is_told_of_and_not_tried_again(
    forms: CompressedFiles,
    sources: Sources,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    when: str,
):
    def fail(coding: Coding, blocks: Iterable[bytes], level: int, *, size: int) -> Iterator[bytes]:
        if when == "half way":
            yield b"some"
        raise ZeroDivisionError("the reason")

    monkeypatch.setattr(module, "blocking_compress", fail)
    source = sources.open(LARGE)
    assert make(forms, source) is None
    assert "the reason" in caplog.text
    assert not forms.may_begin(source, GZIP)


def test_form_that_nobody_waits_for_is_kept_if_it_was_made(
    forms: CompressedFiles, sources: Sources
):
    source = sources.open(LARGE)
    made = forms.begin(source, GZIP)
    made.blocking_make()
    made.give_up()
    made.give_up()
    assert forms.find(source, GZIP) is not None
    other = sources.open(SMALL)
    forms.begin(other, GZIP).give_up()
    assert forms.may_begin(other, GZIP)


def test_no_more_than_a_few_are_made_at_once(forms: CompressedFiles, sources: Sources):
    makings = [forms.begin(sources.open(LARGE), GZIP) for _ in range(module.MADE_AT_ONCE_MAX)]
    assert not forms.may_begin(sources.open(LARGE), GZIP)
    for making in makings:
        making.give_up()
    assert forms.may_begin(sources.open(LARGE), GZIP)


def test_form_used_longest_ago_goes_first(sources: Sources):
    opened = [sources.open(LARGE) for _ in range(4)]
    probe = CompressedFiles()
    form = make(probe, opened[0])
    assert form is not None
    size = form.size
    probe.close()
    forms = CompressedFiles(bytes_max=3 * size)
    for source in opened[:3]:
        make(forms, source)
    assert forms.find(opened[0], GZIP) is not None
    make(forms, opened[3])
    assert [forms.find(source, GZIP) is not None for source in opened] == [True, False, True, True]
    forms.close()


def test_form_that_is_being_sent_survives_its_eviction(sources: Sources):
    forms = CompressedFiles(entries_max=1)
    form = make(forms, sources.open(LARGE))
    assert form is not None
    form.acquire()
    make(forms, sources.open(LARGE))
    assert gzip.decompress(content_of(form)) == LARGE
    form.release()
    assert form.fd == CLOSED
    forms.close()
