"""Which form of a file is chosen: dates, sizes, weights, and what may be made first."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.clock import Clock
from chute.files.open_files import Entry, OpenFile, OpenFiles
from chute.files.resolve import Root
from chute.static.codecs import BR, CODINGS, GZIP, ZSTD
from chute.static.compressed import CompressedFiles
from chute.static.variants import Variant, Variants, is_up_to_date
from chute.transfer.method import Devices

LONG_AGO_NS = 1_600_000_000_123_456_789
TEXT = b"a text that shrinks " * 200
CSS = b"text/css"


class Site:
    """A folder, and the choice among what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Root(os.fsencode(folder))
        self.files = OpenFiles(
            self.root,
            Clock(),
            Devices(),
            valid_s=0.0,
            entries_max=100,
            content_bytes_max=100,
        )
        self.compressed = CompressedFiles(source_bytes_max=100_000)
        self.variants = Variants(
            self.files, CODINGS, self.compressed, (GZIP,), compressed_bytes_min=1000
        )
        self.looked_at: list[Entry] = []

    def write(self, name: str, content: bytes, modified_ns: int = LONG_AGO_NS) -> None:
        (self.folder / name).write_bytes(content)
        os.utime(self.folder / name, ns=(modified_ns, modified_ns))

    def choose(
        self,
        accept: bytes | None,
        name: str = "a.css",
        media_type: bytes = CSS,
        *,
        may_wait: bool = True,
    ) -> Variant | None:
        source = self.files.look_up(name.encode()).found
        assert isinstance(source, OpenFile)
        self.looked_at.clear()
        return self.variants.choose(
            name.encode(), source, media_type, accept, self.looked_at, may_wait=may_wait
        )

    def close(self) -> None:
        self.variants.close()
        self.files.clear()
        self.root.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    site.write("a.css", TEXT)
    yield site
    site.close()


def chosen(variant: Variant | None) -> bytes | None:
    assert variant is not None
    assert variant.making is None
    return None if variant.coding is None else variant.coding.name


def test_file_without_other_forms_does_not_vary(site: Site):
    site.write("a.png", TEXT)
    for accept in (None, b"gzip", b"identity;q=0"):
        variant = site.choose(accept, "a.png", b"image/png")
        assert variant is not None
        assert (variant.coding, variant.varies) == (None, False)


def test_every_name_that_was_looked_at_is_told(site: Site):
    """What comes and goes there changes the answer."""
    site.choose(b"gzip", may_wait=False)
    assert {entry.name for entry in site.looked_at} == {b"a.css.zst", b"a.css.br", b"a.css.gz"}


def test_sidecar_has_no_sidecar_of_its_own_kind(site: Site):
    site.write("a.css.gz", b"x")
    site.choose(b"gzip", "a.css.gz", b"application/gzip")
    assert b"a.css.gz.gz" not in {entry.name for entry in site.looked_at}


def test_sidecar_is_taken_before_anything_is_compressed(site: Site):
    site.write("a.css.br", b"small")
    assert chosen(site.choose(b"br, gzip")) == b"br"
    variant = site.choose(b"gzip")
    assert variant is not None
    assert (variant.coding, variant.varies, variant.making) == (None, True, None)


def test_sidecar_that_is_no_smaller_is_taken_only_if_the_file_itself_is_excluded(site: Site):
    site.write("a.css.gz", TEXT + b"!")
    assert chosen(site.choose(b"gzip")) is None
    assert chosen(site.choose(b"gzip, identity;q=0")) == b"gzip"


def test_sidecars_of_one_size_and_date_have_tags_of_their_own(site: Site):
    for suffix in ("br", "gz", "zst"):
        site.write(f"a.css.{suffix}", b"small")
    tags = set()
    for accept in (b"br", b"gzip", b"zstd", b"identity"):
        variant = site.choose(accept)
        assert variant is not None
        tags.add(variant.entity_tag)
    assert len(tags) == 4


def test_form_is_made_once_and_then_found(site: Site):
    variant = site.choose(b"gzip")
    assert variant is not None
    assert variant.making is not None
    while_it_is_made = site.choose(b"gzip")
    assert while_it_is_made is not None
    assert (while_it_is_made.coding, while_it_is_made.making) == (None, None)
    variant.making.blocking_make()
    form = variant.making.finish()
    assert form is not None
    again = site.choose(b"gzip")
    assert again is not None
    assert again.file is form
    content = form.content or os.pread(form.fd, form.size, 0)
    assert gzip.decompress(content) == TEXT


def test_nothing_is_made_for_who_cannot_wait(site: Site):
    assert chosen(site.choose(b"gzip", may_wait=False)) is None


@pytest.mark.parametrize(
    ("content", "modified_ns"),
    [
        pytest.param(TEXT[:999], LONG_AGO_NS, id="too small"),
        pytest.param(TEXT * 30, LONG_AGO_NS, id="too large"),
        pytest.param(TEXT, None, id="just written"),
    ],
)
def test_what_should_not_be_compressed_is_not(site: Site, content: bytes, modified_ns: int | None):
    (site.folder / "b.css").write_bytes(content)
    if modified_ns is not None:
        site.write("b.css", content, modified_ns)
    variant = site.choose(b"gzip", "b.css")
    assert variant is not None
    assert (variant.making, variant.varies) == (None, False)


def test_nothing_acceptable_is_nothing(site: Site):
    assert site.choose(b"identity;q=0, br") is None


@pytest.mark.parametrize(
    ("later_ns", "up_to_date"),
    [
        (0, True),
        (1, True),
        (-1, False),
        (-(LONG_AGO_NS % 1_000_000_000), True),
        (-(LONG_AGO_NS % 1_000), True),
        (-(LONG_AGO_NS % 1_000_000_000) - 1_000_000_000, False),
        (-10_000_000_000, False),
    ],
    ids=[
        "same",
        "newer",
        "older",
        "without fractions of a second",
        "without nanoseconds",
        "the second before",
        "much older",
    ],
)
def test_sidecar_is_up_to_date_by_its_date(site: Site, later_ns: int, up_to_date: bool):
    site.write("a.css.gz", b"small", LONG_AGO_NS + later_ns)
    sidecar, source = site.files.look_up(b"a.css.gz").found, site.files.look_up(b"a.css").found
    assert isinstance(sidecar, OpenFile)
    assert isinstance(source, OpenFile)
    assert is_up_to_date(sidecar, source) is up_to_date
    assert chosen(site.choose(b"gzip", may_wait=False)) == (b"gzip" if up_to_date else None)


def test_codings_have_distinct_suffixes():
    assert len({coding.suffix for coding in (BR, GZIP, ZSTD)}) == 3
