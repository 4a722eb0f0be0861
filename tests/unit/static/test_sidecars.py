"""Making one sidecar of one file, and removing one whose source has gone: over a real folder."""

from __future__ import annotations

import errno
import gzip
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from carrying import failing
from chute.files.resolve import Root
from chute.static import sidecars
from chute.static.codecs import BR, CODINGS, GZIP, ZSTD, Coding, is_available
from chute.static.sidecars import MARK, Outcome, Result, blocking_make, blocking_prune
from chute.static.survey import Orphan, Source, blocking_survey
from disk import LONG_AGO_NS, write
from trees import descriptors

TEXT = b"".join(b"line %d of a page that repeats itself\n" % number for number in range(400))
NOISE = random.Random(1).randbytes(5000)
MADE = [coding for coding in CODINGS if is_available(coding)]


@dataclass
class Site:
    """A folder and the root that leads to it."""

    folder: Path
    root: Root

    def findings(self) -> list[object]:
        return list(blocking_survey(self.root))

    def source(self, path: str = "page.js") -> Source:
        (found,) = (
            each
            for each in self.findings()
            if isinstance(each, Source) and each.path == path.encode()
        )
        return found

    def orphan(self) -> Orphan:
        (found,) = (each for each in self.findings() if isinstance(each, Orphan))
        return found

    def make(self, coding: Coding = GZIP, **settings: object) -> Outcome:
        return blocking_make(self.root, self.source(), coding, 6, **settings)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    """A folder with one page, and the assertion that nothing opened in a test outlives it."""
    before = descriptors()
    write(folder / "page.js", TEXT)
    with Root(os.fsencode(folder)) as root:
        yield Site(folder, root)
    assert descriptors() == before


@pytest.fixture
def marks(site: Site) -> None:
    """Skip where the file system stores no extended attributes."""
    try:
        os.setxattr(site.folder / "page.js", "user.probe", b"")
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")


def decompress(coding: Coding, content: bytes) -> bytes:
    if coding == GZIP:
        return gzip.decompress(content)
    if coding == BR:
        import brotli

        return bytes(brotli.decompress(content))
    import zstandard

    with zstandard.ZstdDecompressor().stream_reader(content) as reader:
        return bytes(reader.read())


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.name.decode())
def test_sidecar_holds_the_source_and_has_its_time_and_permissions(site: Site, coding: Coding):
    if not is_available(coding):
        pytest.skip("its package is not installed")
    (site.folder / "page.js").chmod(0o640)
    outcome = site.make(coding)
    sidecar = site.folder / f"page.js{coding.suffix.decode()}"
    assert outcome == Outcome(Result.MADE, sidecar.stat().st_size)
    assert decompress(coding, sidecar.read_bytes()) == TEXT
    assert sidecar.stat().st_mtime_ns == LONG_AGO_NS
    assert sidecar.stat().st_mode & 0o777 == 0o640


def test_sidecar_with_the_time_of_its_source_is_left_alone(site: Site):
    site.make()
    before = (site.folder / "page.js.gz").stat()
    assert site.make() == Outcome(Result.UP_TO_DATE, before.st_size)
    assert os.path.samestat((site.folder / "page.js.gz").stat(), before)


def test_forced_sidecar_is_made_again(site: Site):
    site.make()
    before = (site.folder / "page.js.gz").stat()
    assert site.make(is_forced=True) == Outcome(Result.MADE, before.st_size, has_replaced=True)
    assert not os.path.samestat((site.folder / "page.js.gz").stat(), before)


@pytest.mark.parametrize("difference_ns", [-1, 1])
def test_sidecar_of_another_time_is_replaced(site: Site, difference_ns: int):
    """A newer one too: an older release that is put back has an older time than what was made of the newer."""
    write(site.folder / "page.js.gz", b"stale", modified_ns=LONG_AGO_NS + difference_ns)
    outcome = site.make()
    assert (outcome.result, outcome.has_replaced) == (Result.MADE, True)
    assert gzip.decompress((site.folder / "page.js.gz").read_bytes()) == TEXT


@pytest.mark.parametrize(
    ("present", "result"), [(False, Result.DUE), (True, Result.DUE), (None, Result.UP_TO_DATE)]
)
def test_trial_changes_nothing(site: Site, present: bool | None, result: Result):
    if present is None:
        site.make()
    elif present:
        write(site.folder / "page.js.gz", b"stale", modified_ns=LONG_AGO_NS - 1)
    before = {name: (site.folder / name).read_bytes() for name in site.names()}
    outcome = site.make(is_trial=True)
    assert (outcome.result, outcome.has_replaced) == (result, present is True)
    assert {name: (site.folder / name).read_bytes() for name in site.names()} == before


@pytest.mark.parametrize("has_stale", [False, True])
@pytest.mark.parametrize("coding", MADE, ids=lambda coding: coding.name.decode())
def test_what_does_not_shrink_has_no_sidecar(site: Site, coding: Coding, has_stale: bool):
    write(site.folder / "page.js", NOISE)
    name = f"page.js{coding.suffix.decode()}"
    if has_stale:
        write(site.folder / name, b"stale", modified_ns=LONG_AGO_NS - 1)
    assert site.make(coding) == Outcome(Result.NOT_SMALLER, has_replaced=has_stale)
    assert site.names() == ["page.js"]


def test_saving_less_than_a_twentieth_is_not_smaller(site: Site):
    """The noise does not shrink at all, so that the rest decides."""
    for share, result in ((2, Result.NOT_SMALLER), (10, Result.MADE)):
        write(site.folder / "page.js", NOISE + b" " * (len(NOISE) * share // 100))
        assert site.make(is_forced=True).result is result


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link"])
def test_t21_name_of_something_else_is_left_to_it(site: Site, kind: str):
    sidecar, other = site.folder / "page.js.gz", site.folder.parent / "other"
    other.write_bytes(b"other")
    makes: dict[str, Callable[[], object]] = {
        "folder": sidecar.mkdir,
        "link": lambda: sidecar.symlink_to(other),
        "dangling link": lambda: sidecar.symlink_to("nowhere"),
    }
    makes[kind]()
    told = Outcome(Result.FAILED, detail="something that is no file has the name")
    assert site.make(is_forced=True) == told
    assert site.make(is_trial=True) == told
    assert not sidecar.is_file() or sidecar.is_symlink()
    assert other.read_bytes() == b"other"


def exchange_by_rename(page: Path) -> None:
    write(page.with_name("new"), TEXT)
    page.with_name("new").rename(page)


def write_over(page: Path) -> None:
    write(page, TEXT.swapcase(), modified_ns=LONG_AGO_NS + 1)


def write_over_and_set_the_time_back(page: Path) -> None:
    write(page, TEXT.swapcase())


def grow(page: Path) -> None:
    with page.open("ab") as file:
        file.write(b"more")


def exchange_for_link(page: Path) -> None:
    page.rename(page.with_name("aside"))
    page.symlink_to("aside")


CHANGES = {
    "written over": write_over,
    "written over, and the time set back": write_over_and_set_the_time_back,
    "exchanged for another of the same size and time": exchange_by_rename,
    "grown": grow,
    "truncated": lambda page: os.truncate(page, 10),
    "removed": os.unlink,
    "exchanged for a link to itself": exchange_for_link,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("has_stale", [False, True])
def test_source_that_changes_while_it_is_read_gets_no_sidecar(
    site: Site, change: Callable[[Path], None], has_stale: bool
):
    if has_stale:
        write(site.folder / "page.js.gz", b"stale", modified_ns=LONG_AGO_NS - 1)
    changed = []

    def on_read(count: int) -> None:
        if not changed:
            changed.append(count)
            change(site.folder / "page.js")

    assert site.make(on_read=on_read).result is Result.CHANGED
    assert changed
    assert not [name for name in site.names() if name.startswith(".")]
    assert not has_stale or (site.folder / "page.js.gz").read_bytes() == b"stale"
    assert has_stale or "page.js.gz" not in site.names()


@pytest.mark.parametrize(
    "change",
    [each for name, each in CHANGES.items() if "set back" not in name],
    ids=[name for name in CHANGES if "set back" not in name],
)
def test_source_that_changed_since_the_survey_gets_no_sidecar(
    site: Site, change: Callable[[Path], None]
):
    source = site.source()
    change(site.folder / "page.js")
    assert blocking_make(site.root, source, GZIP, 6).result is Result.CHANGED
    assert "page.js.gz" not in site.names()


def test_source_of_this_very_moment_gets_no_sidecar(site: Site, monkeypatch: pytest.MonkeyPatch):
    """Another change within the same tick of the clock would leave its time as it is, and the sidecar wrong forever."""
    monkeypatch.setattr(sidecars, "wall_ns", lambda: LONG_AGO_NS + 1_000_000)
    assert site.make().result is Result.CHANGED
    monkeypatch.setattr(sidecars, "wall_ns", lambda: LONG_AGO_NS + 1_000_000_000)
    assert site.make().result is Result.MADE


def test_t21_folder_exchanged_for_a_link_gets_no_sidecar(site: Site):
    below = site.folder / "below"
    below.mkdir()
    write(below / "page.js", TEXT)
    source = site.source("below/page.js")
    below.rename(site.folder / "moved")
    below.symlink_to("moved")
    assert blocking_make(site.root, source, GZIP, 6).result is Result.CHANGED
    assert os.listdir(site.folder / "moved") == ["page.js"]


def test_work_that_is_given_up_leaves_nothing(site: Site):
    class StopIt(Exception):
        pass

    def on_read(_: int) -> None:
        raise StopIt

    with pytest.raises(StopIt):
        site.make(on_read=on_read)
    assert site.names() == ["page.js"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_failure_of_the_disk_is_told(site: Site, monkeypatch: pytest.MonkeyPatch, number: int):
    def refuse(*_: object) -> int:
        raise failing(number)

    source = site.source()
    monkeypatch.setattr(os, "write", refuse)
    outcome = blocking_make(site.root, source, GZIP, 6)
    monkeypatch.undo()
    assert outcome == Outcome(Result.FAILED, detail=os.strerror(number))
    assert site.names() == ["page.js"]


def test_name_that_the_suffix_makes_too_long_is_told(site: Site):
    name = "n" * 250 + ".js"
    write(site.folder / name, TEXT)
    outcome = blocking_make(site.root, site.source(name), GZIP, 6)
    assert outcome == Outcome(Result.FAILED, detail=os.strerror(errno.ENAMETOOLONG))


@pytest.mark.usefixtures("marks")
@pytest.mark.parametrize("coding", MADE, ids=lambda coding: coding.name.decode())
def test_own_sidecar_without_a_source_is_pruned(site: Site, coding: Coding):
    size = site.make(coding).sidecar_bytes
    (site.folder / "page.js").unlink()
    orphan = site.orphan()
    assert blocking_prune(site.root, orphan, is_trial=True) == Outcome(Result.PRUNED, size)
    assert len(site.names()) == 1
    assert blocking_prune(site.root, orphan) == Outcome(Result.PRUNED, size)
    assert site.names() == []


@pytest.mark.parametrize("name", ["corpus.txt.gz", "dump.txt.zst", "page.js.br"])
def test_file_that_only_looks_like_a_sidecar_is_left(site: Site, name: str):
    """Somebody's only copy: name and first bytes are right, and it is no sidecar of anybody's."""
    starts = {".gz": gzip.compress(TEXT), ".zst": b"\x28\xb5\x2f\xfd" + NOISE, ".br": NOISE}
    (site.folder / "page.js").unlink()
    write(site.folder / name, starts[os.path.splitext(name)[1]])
    assert blocking_prune(site.root, site.orphan()).result is Result.NOT_OURS
    assert site.names() == [name]


def rename(site: Site) -> None:
    (site.folder / "page.js.gz").rename(site.folder / "kept.js.gz")


def fill_with_something_else(site: Site) -> None:
    (site.folder / "page.js.gz").write_bytes(b"something else")


@pytest.mark.usefixtures("marks")
@pytest.mark.parametrize("change", [rename, fill_with_something_else])
def test_own_sidecar_that_somebody_made_theirs_is_left(site: Site, change: Callable[[Site], None]):
    site.make()
    (site.folder / "page.js").unlink()
    change(site)
    assert blocking_prune(site.root, site.orphan()).result is Result.NOT_OURS
    assert len(site.names()) == 1


@pytest.mark.usefixtures("marks")
@pytest.mark.parametrize("what", ["source has come back", "orphan has gone"])
def test_orphan_that_is_none_any_more_is_left(site: Site, what: str):
    site.make()
    (site.folder / "page.js").unlink()
    orphan = site.orphan()
    if what == "orphan has gone":
        (site.folder / "page.js.gz").unlink()
    else:
        write(site.folder / "page.js", TEXT)
    before = site.names()
    assert blocking_prune(site.root, orphan).result is Result.CHANGED
    assert site.names() == before


@pytest.mark.skipif(sys.platform != "linux", reason="no extended attributes from Python")
@pytest.mark.usefixtures("marks")
def test_mark_names_the_source(site: Site):
    site.make()
    assert os.getxattr(site.folder / "page.js.gz", MARK) == b"page.js"


def test_magic_is_known_for_every_coding():
    assert set(sidecars._MAGIC) == {GZIP, BR, ZSTD} == set(CODINGS)
