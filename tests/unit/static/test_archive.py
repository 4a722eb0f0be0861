"""The answer that is an archive: its fields, what is refused, and what it leaves behind."""

from __future__ import annotations

import gc
import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from archiving import take_all
from chute.errors import DescriptorsExhausted, FileForbidden
from chute.exchange import Production, Request, Response
from chute.files.resolve import Root
from chute.semantics.content_disposition import attachment
from chute.semantics.messages import RequestHead
from chute.static.archive import ARCHIVES_LANE, Archives
from trees import descriptors

Archived = Callable[..., Response]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site"
    (path / "photos" / "2024").mkdir(parents=True)
    (path / "photos" / "2024" / "a.jpg").write_bytes(b"a" * 100_000)
    (path / "photos" / ".hidden").write_bytes(b"")
    (path / "index.txt").write_bytes(b"index")
    return path


@pytest.fixture
def root(site: Path) -> Iterator[Root]:
    """A root; when the test is over, it was the last thing open."""
    before = descriptors()
    with Root(os.fsencode(site)) as root:
        yield root
    assert descriptors() == before


def ask(
    archives: Archives, path: bytes, kind: str = "tar", *, name: bytes | None = None
) -> Response:
    head = RequestHead(b"GET", path, 1, [])
    request = Request(head, path, b"archive=" + kind.encode(), b"example.org")
    return archives.blocking_respond(request, path[1:] if name is None else name, kind)


def content_of(response: Response) -> bytes:
    """Take all of a response, which must be as long as it says, and release it."""
    assert response.status == 200
    assert isinstance(response.production, Production)
    assert response.production.lane == ARCHIVES_LANE
    content, _ = take_all(iter(response.production.blocking_next, None))
    assert len(content) == response.production.count
    response.release()
    return content


def tar_names(response: Response) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(content_of(response))) as archive:
        return archive.getnames()


def zip_names(response: Response) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content_of(response))) as archive:
        return archive.namelist()


def test_archive_is_of_the_folder_and_has_its_name(root: Root):
    archives = Archives(root, shows_hidden=False)
    assert tar_names(ask(archives, b"/photos/")) == ["photos", "photos/2024", "photos/2024/a.jpg"]
    assert zip_names(ask(archives, b"/photos/", "zip")) == [
        "photos/",
        "photos/2024/",
        "photos/2024/a.jpg",
    ]


def test_fields_are_those_of_a_download_that_nobody_keeps(root: Root):
    response = ask(Archives(root, shows_hidden=False), b"/photos/")
    assert dict(response.fields) == {
        b"Content-Type": b"application/x-tar",
        b"Content-Disposition": attachment(b"photos.tar"),
        b"Cache-Control": b"no-store",
        b"Accept-Ranges": b"none",
        b"X-Content-Type-Options": b"nosniff",
    }
    assert response.validity is None
    response.release()
    response = ask(Archives(root, shows_hidden=False), b"/photos/", "zip")
    assert dict(response.fields)[b"Content-Type"] == b"application/zip"
    assert dict(response.fields)[b"Content-Disposition"] == attachment(b"photos.zip")
    response.release()


def test_root_is_called_by_a_name_that_tells_nothing_of_the_server(root: Root):
    names = tar_names(ask(Archives(root, shows_hidden=False), b"/"))
    assert names[:2] == ["files", "files/index.txt"]
    named = Archives(root, shows_hidden=False, root_name=b"example.org")
    assert tar_names(ask(named, b"/"))[0] == "example.org"


def test_folder_beneath_a_prefix_is_called_as_the_path_says(root: Root):
    archives = Archives(root, shows_hidden=False)
    assert tar_names(ask(archives, b"/shared/", name=b""))[:2] == ["shared", "shared/index.txt"]
    assert tar_names(ask(archives, b"/shared/photos/", name=b"photos/"))[0] == "photos"


def test_hidden_names_go_in_where_they_are_served(root: Root):
    assert "photos/.hidden" not in tar_names(ask(Archives(root, shows_hidden=False), b"/photos/"))
    assert "photos/.hidden" in tar_names(ask(Archives(root, shows_hidden=True), b"/photos/"))


def test_t10_answer_whose_content_nobody_takes_opens_no_file(
    root: Root, monkeypatch: pytest.MonkeyPatch
):
    """HEAD, or a client that has gone: the length is known, and nothing was read for it."""
    before = descriptors()
    monkeypatch.setattr(os, "pread", lambda *_: pytest.fail("a file was read"))
    for kind in ("tar", "zip"):
        response = ask(Archives(root, shows_hidden=False), b"/photos/", kind)
        assert response.production is not None
        assert response.production.count
        assert descriptors() == before
        response.release()


def test_what_is_no_folder_is_404(root: Root):
    archives = Archives(root, shows_hidden=False)
    assert ask(archives, b"/missing/").status == 404
    assert ask(archives, b"/index.txt").status == 404


FAILURES = {
    "forbidden": (FileForbidden("no"), 403),
    "no descriptor left": (DescriptorsExhausted("none"), 503),
    "failing disk": (OSError(5, "EIO"), 500),
}


@pytest.mark.parametrize(("error", "status"), FAILURES.values(), ids=FAILURES.keys())
def test_t28_survey_that_fails_is_told_before_anything_is_sent(
    root: Root, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
):
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(Root, "open", fail)
    assert ask(Archives(root, shows_hidden=False), b"/photos/").status == status


def test_folder_with_too_many_entries_is_refused_with_the_bound(root: Root):
    response = ask(Archives(root, shows_hidden=False, entries_max=2), b"/photos/")
    assert response.status == 403
    assert response.explanation is not None
    assert "2 files and folders at most" in response.explanation
    content_of(ask(Archives(root, shows_hidden=False, entries_max=3), b"/photos/"))


def test_archives_under_way_have_a_bound_that_ends_with_them(root: Root):
    archives = Archives(root, shows_hidden=False, entries_held_max=4)
    first = ask(archives, b"/photos/")
    second = ask(archives, b"/photos/")
    assert (first.status, second.status) == (200, 200)
    refused = ask(archives, b"/photos/")
    assert (refused.status, refused.fields) == (503, [(b"Retry-After", b"60")])
    content_of(first)
    first = refused
    gc.collect()
    content_of(ask(archives, b"/photos/"))
    second.release()


def test_refused_survey_does_not_count(root: Root):
    archives = Archives(root, shows_hidden=False, entries_max=2, entries_held_max=1)
    for _ in range(3):
        assert ask(archives, b"/photos/").status == 403
        gc.collect()
