"""PUT, and what it shares with forms: every answer, and that nothing stays of what was refused or broken off."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from arrivals import fail_once, in_threads
from chute.errors import FileError
from chute.exchange import Receiving, Response
from chute.static.uploads import refusal_for
from uploading import (
    ANY_MATCH,
    NONE_MATCH,
    Lines,
    Start,
    form_request,
    names,
    part,
    post,
    put,
    request_for,
    tag_of,
)

# ---------------------------------------------------------------------- PUT


@pytest.mark.parametrize("path", [b"/new", b"/sub/new", b"/sub/a%b \xff\n?#\\", b"/new."])
@pytest.mark.parametrize("content", [b"", b"content"])
def test_new_file_is_created(
    start_uploads: Start, upload_folder: Path, path: bytes, content: bytes
):
    response = put(start_uploads(), path, content)
    stored = Path(os.fsdecode(os.fsencode(upload_folder) + path))
    assert response.status == 201
    assert response.fields == [(b"ETag", tag_of(stored))]
    assert stored.read_bytes() == content


def test_asterisk_in_if_none_match_creates_and_never_replaces(
    start_uploads: Start, upload_folder: Path
):
    uploads = start_uploads(overwrite=True)
    assert put(uploads, b"/new", b"content", NONE_MATCH).status == 201
    assert put(uploads, b"/old", b"content", NONE_MATCH).status == 412
    assert (upload_folder / "old").read_bytes() == b"old"


def test_without_conditions_a_file_is_replaced_only_where_that_is_allowed(
    start_uploads: Start, upload_folder: Path
):
    refused = put(start_uploads(), b"/old")
    assert refused.status == 409
    assert "If-Match" in (refused.explanation or "")
    assert (upload_folder / "old").read_bytes() == b"old"
    response = put(start_uploads(overwrite=True), b"/old")
    assert response.status == 204
    assert response.fields == [(b"ETag", tag_of(upload_folder / "old"))]
    assert (upload_folder / "old").read_bytes() == b"content"


@pytest.mark.parametrize("overwrite", [False, True])
def test_if_match_replaces_what_it_names_and_nothing_else(
    start_uploads: Start, upload_folder: Path, overwrite: bool
):
    uploads = start_uploads(overwrite=overwrite)
    current = tag_of(upload_folder / "old")
    for wrong in (b'"other"', b"W/" + current, b"not a tag", b""):
        assert put(uploads, b"/old", b"content", (b"if-match", wrong)).status == 412
    assert (upload_folder / "old").read_bytes() == b"old"
    assert put(uploads, b"/old", b"one", (b"if-match", b'"x", ' + current)).status == 204
    assert put(uploads, b"/old", b"two", (b"if-match", current)).status == 412
    assert put(uploads, b"/old", b"three", ANY_MATCH).status == 204
    assert (upload_folder / "old").read_bytes() == b"three"


@pytest.mark.parametrize("value", [b"*", b'"tag"', b"not a tag"])
def test_if_match_does_not_create(start_uploads: Start, upload_folder: Path, value: bytes):
    assert (
        put(start_uploads(overwrite=True), b"/new", b"content", (b"if-match", value)).status == 412
    )
    assert not (upload_folder / "new").exists()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ((b"if-unmodified-since", b"Thu, 01 Jan 1970 00:00:00 GMT"), 412),
        ((b"if-unmodified-since", b"Fri, 01 Jan 2100 00:00:00 GMT"), 409),
        ((b"if-none-match", b'"other"'), 409),
    ],
)
def test_other_conditions_can_refuse_but_allow_nothing(
    start_uploads: Start, line: tuple[bytes, bytes], status: int
):
    assert put(start_uploads(), b"/old", b"content", line).status == status


def test_file_that_came_meanwhile_is_found_when_all_has_come(
    start_uploads: Start, upload_folder: Path
):
    for lines, status in (((), 409), ((NONE_MATCH,), 412)):
        answer = start_uploads().respond(request_for(b"/new", *lines, length=7))
        assert isinstance(answer, Receiving)
        assert answer.intake.blocking_take(b"content") is None
        (upload_folder / "new").write_bytes(b"theirs")
        assert answer.intake.blocking_finish().status == status
        assert (upload_folder / "new").read_bytes() == b"theirs"
        (upload_folder / "new").unlink()


def test_state_that_changed_meanwhile_is_not_replaced(start_uploads: Start, upload_folder: Path):
    answer = start_uploads().respond(
        request_for(b"/old", (b"if-match", tag_of(upload_folder / "old")))
    )
    assert isinstance(answer, Receiving)
    (upload_folder / "old").write_bytes(b"changed")
    assert answer.intake.blocking_finish().status == 412
    assert (upload_folder / "old").read_bytes() == b"changed"


def plant_file(path: Path) -> None:
    path.write_bytes(b"")


NO_FILES: dict[str, Callable[[Path], object]] = {
    "a folder": Path.mkdir,
    "a link": lambda path: path.symlink_to("old"),
    "a link out of the root": lambda path: path.symlink_to("../outside"),
    "a FIFO": os.mkfifo,
}


@pytest.mark.parametrize("plant", NO_FILES.values(), ids=NO_FILES.keys())
@pytest.mark.parametrize("lines", [(), (ANY_MATCH,), (NONE_MATCH,)])
def test_what_is_no_file_is_neither_replaced_nor_written_through(
    start_uploads: Start, upload_folder: Path, plant: Callable[[Path], object], lines: Lines
):
    uploads = start_uploads(overwrite=True)
    answer = uploads.respond(request_for(b"/new"))
    plant(upload_folder / "new")
    assert put(uploads, b"/new", b"content", *lines).status == 409
    # Planted after the first look, too.
    assert isinstance(answer, Receiving)
    assert answer.intake.blocking_finish().status == 409
    assert (upload_folder / "old").read_bytes() == b"old"
    assert not (upload_folder.parent / "outside").exists()
    assert names(upload_folder) == ["new", "old", "sub"]


@pytest.mark.parametrize("path", [b"/none/new", b"/old/new", b"/out/new", b"/none/deep/new"])
def test_folder_that_is_not_there_is_not_made(
    start_uploads: Start, upload_folder: Path, path: bytes
):
    (upload_folder.parent / "outside").mkdir()
    (upload_folder / "out").symlink_to("../outside")
    assert put(start_uploads(), path).status == 409
    assert names(upload_folder) == ["old", "out", "sub"]
    assert names(upload_folder.parent / "outside") == []


def test_link_to_a_folder_beneath_the_root_leads_there(start_uploads: Start, upload_folder: Path):
    (upload_folder / "in").symlink_to("sub")
    assert put(start_uploads(), b"/in/new").status == 201
    assert (upload_folder / "sub" / "new").read_bytes() == b"content"


def test_folder_exchanged_for_a_link_while_content_comes_is_not_followed(
    start_uploads: Start, upload_folder: Path
):
    (upload_folder.parent / "outside").mkdir()
    answer = start_uploads().respond(request_for(b"/sub/new", length=7))
    assert isinstance(answer, Receiving)
    (upload_folder / "sub").rename(upload_folder / "moved")
    (upload_folder / "sub").symlink_to("../outside")
    response = answer.intake.blocking_take(b"content")
    assert response is not None
    assert response.status == 409
    assert names(upload_folder.parent / "outside") == names(upload_folder / "moved") == []


REFUSALS: dict[str, tuple[int, bytes, Lines]] = {
    "hidden name": (403, b"/.new", ()),
    "name in a hidden folder": (403, b"/.git/new", ()),
    "hidden folder below": (403, b"/sub/.git/new", ()),
    "well-known": (403, b"/.well-known/new", ()),
    "NUL": (400, b"/new\0", ()),
    "NUL in the folder": (400, b"/su\0b/new", ()),
    "dot": (400, b"/sub/.", ()),
    "two dots": (400, b"/sub/..", ()),
    "two dots within": (400, b"/sub/../../new", ()),
    "empty segment": (400, b"//new", ()),
    "folder": (409, b"/sub/", ()),
    "root": (409, b"/", ()),
    "too long a name": (400, b"/" + b"n" * 256, ()),
    "part of a file": (400, b"/new", ((b"content-range", b"bytes 0-6/7"),)),
    "compressed": (415, b"/new", ((b"content-encoding", b"gzip"),)),
    "compressed twice": (415, b"/new", ((b"content-encoding", b"identity, br"),)),
    "another site": (403, b"/new", ((b"origin", b"http://evil.example"),)),
}


@pytest.mark.parametrize(("status", "path", "lines"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_before_any_content(
    start_uploads: Start, upload_folder: Path, status: int, path: bytes, lines: Lines
):
    response = start_uploads().respond(request_for(path, *lines))
    assert isinstance(response, Response)
    assert response.status == status
    assert names(upload_folder) == ["old", "sub"]


def test_compressed_content_is_told_what_would_be_taken(start_uploads: Start):
    response = put(start_uploads(), b"/new", b"", (b"content-encoding", b"gzip"))
    assert response.fields == [(b"Accept-Encoding", b"identity")]
    assert put(start_uploads(), b"/new", b"", (b"content-encoding", b"Identity")).status == 201


def test_hidden_names_are_taken_where_that_is_set(start_uploads: Start, upload_folder: Path):
    uploads = start_uploads(hidden=True)
    assert put(uploads, b"/.new").status == 201
    assert put(uploads, b"/..").status == 400
    assert post(uploads, b"/", part(b".other", b"x")).status == 303
    assert names(upload_folder) == [".new", ".other", "old", "sub"]


def test_content_that_is_known_to_be_too_long_is_refused_at_once(start_uploads: Start):
    uploads = start_uploads(content_bytes_max=100)
    response = uploads.respond(request_for(b"/new", length=101))
    assert isinstance(response, Response)
    assert response.status == 413
    answer = uploads.respond(request_for(b"/new", length=100))
    assert isinstance(answer, Receiving)
    assert answer.content_bytes_max == 100


@pytest.mark.parametrize("method", [b"DELETE", b"MKCOL", b"PATCH", b"put", b"MOVE"])
def test_other_methods_are_not_allowed(start_uploads: Start, method: bytes):
    for path, allowed in ((b"/new", b"PUT"), (b"/sub/", b"POST")):
        response = put(start_uploads(), path, method=method)
        assert (response.status, response.fields) == (
            405,
            [(b"Allow", b"GET, HEAD, OPTIONS, " + allowed)],
        )
    assert put(start_uploads(), b"/new", method=b"POST").status == 405


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_client_that_breaks_off_leaves_nothing(
    start_uploads: Start, upload_folder: Path, taken: int
):
    for lines in ((), (ANY_MATCH,)):
        path = b"/old" if lines else b"/new"
        answer = start_uploads().respond(request_for(path, *lines, length=100))
        assert isinstance(answer, Receiving)
        for _ in range(taken):
            assert answer.intake.blocking_take(b"x" * 10) is None
        answer.intake.blocking_give_up()
    assert names(upload_folder) == ["old", "sub"]
    assert (upload_folder / "old").read_bytes() == b"old"


FAULTS = {
    "full": ("write", errno.ENOSPC, 507),
    "quota of the disk": ("write", errno.EDQUOT, 507),
    "too large": ("write", errno.EFBIG, 413),
    "no room for the name": ("fsync", errno.ENOSPC, 507),
    "read-only": ("open", errno.EROFS, 403),
    "forbidden": ("open", errno.EACCES, 403),
    "no descriptors": ("open", errno.EMFILE, 503),
}


@pytest.mark.parametrize(("call", "number", "status"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("is_form", [False, True])
def test_failure_of_the_disk_has_its_answer_and_leaves_nothing(
    start_uploads: Start,
    upload_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    status: int,
    is_form: bool,
):
    uploads = start_uploads()
    content = part(b"new", b"x") + part(b"other", b"y") + b"--limit--"
    request = form_request() if is_form else request_for(b"/new", length=7)
    answer = uploads.respond(request)
    assert isinstance(answer, Receiving)
    real = os.open if call == "open" else None
    fail_once(monkeypatch, call, number)
    response = answer.intake.blocking_take(content if is_form else b"content")
    if response is None:
        response = answer.intake.blocking_finish()
    if real is not None:
        monkeypatch.setattr(os, "open", real)
    assert response.status == status
    assert names(upload_folder) == ["old", "sub"]


def test_failure_without_a_name_is_raised_and_leaves_nothing(
    start_uploads: Start, upload_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    for call in ("write", "fsync"):
        answer = start_uploads().respond(request_for(b"/new", length=7))
        assert isinstance(answer, Receiving)
        fail_once(monkeypatch, call, errno.EIO)
        with pytest.raises(OSError, match="Input/output"):  # noqa: PT012 - one of the two
            answer.intake.blocking_take(b"content")
            answer.intake.blocking_finish()
        answer.intake.blocking_give_up()
    assert names(upload_folder) == ["old", "sub"]


def test_every_failure_has_an_answer():
    pending = [FileError]
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        if kind is not FileError:
            assert 400 <= refusal_for(kind("why")).status < 600
    with pytest.raises(FileError):
        refusal_for(FileError("none of these"))


# ---------------------------------------------------------------------- quota, and several at once


def test_quota_is_for_all_of_the_folder(start_uploads: Start, upload_folder: Path):
    uploads = start_uploads(quota_bytes=10)
    assert put(uploads, b"/new", b"x" * 8).status == 507
    assert names(upload_folder) == ["old", "sub"]
    assert put(uploads, b"/new", b"x" * 7).status == 201
    assert put(uploads, b"/other", b"").status == 201
    assert put(uploads, b"/other", b"x", ANY_MATCH).status == 507
    assert post(uploads, b"/", part(b"form", b"x")).status == 507


def test_quota_refuses_what_announces_too_much_with_the_first_block(
    start_uploads: Start, upload_folder: Path
):
    answer = start_uploads(quota_bytes=10).respond(request_for(b"/new", length=8))
    assert isinstance(answer, Receiving)
    response = answer.intake.blocking_take(b"x")
    assert response is not None
    assert response.status == 507


def test_quota_bounds_content_of_unknown_length(start_uploads: Start, upload_folder: Path):
    answer = start_uploads(quota_bytes=10).respond(request_for(b"/new"))
    assert isinstance(answer, Receiving)
    assert answer.intake.blocking_take(b"x" * 7) is None
    response = answer.intake.blocking_take(b"x")
    assert response is not None
    assert response.status == 507
    assert names(upload_folder) == ["old", "sub"]


def test_several_at_once_share_the_quota(start_uploads: Start, upload_folder: Path):
    uploads = start_uploads(quota_bytes=3 + 40)
    works = [lambda n=n: put(uploads, b"/%d" % n, b"x" * 10).status for n in range(8)]
    statuses = in_threads(*works)
    assert sorted(statuses) == [201] * 4 + [507] * 4  # type: ignore[type-var]
    assert sum(path.stat().st_size for path in upload_folder.rglob("*") if path.is_file()) == 43


@pytest.mark.parametrize("lines", [(), (NONE_MATCH,)])
def test_of_several_for_one_new_name_one_wins(
    start_uploads: Start, upload_folder: Path, lines: Lines
):
    uploads = start_uploads()
    all_passed = threading.Barrier(8)

    def upload(number: int) -> int:
        answer = uploads.respond(request_for(b"/new", *lines))
        assert isinstance(answer, Receiving)
        all_passed.wait(10)
        assert answer.intake.blocking_take(b"%d" % number * 1000) is None
        return answer.intake.blocking_finish().status

    statuses = in_threads(*[lambda n=n: upload(n) for n in range(8)])
    assert sorted(statuses) == [201] + [412 if lines else 409] * 7  # type: ignore[type-var]
    assert (upload_folder / "new").read_bytes() == b"%d" % statuses.index(201) * 1000


def test_of_several_that_replace_each_is_whole(start_uploads: Start, upload_folder: Path):
    uploads = start_uploads(overwrite=True)
    contents = [b"%d" % n * 5000 for n in range(8)]
    statuses = in_threads(
        *[lambda c=c: put(uploads, b"/new", c, block_bytes=1000).status for c in contents]
    )
    assert sorted(statuses) == [201] + [204] * 7 or statuses.count(201) == 1
    assert (upload_folder / "new").read_bytes() in contents


def test_of_several_that_saw_the_same_state_one_replaces_it(
    start_uploads: Start, upload_folder: Path
):
    uploads = start_uploads()
    line = (b"if-match", tag_of(upload_folder / "old"))
    statuses = in_threads(
        *[lambda n=n: put(uploads, b"/old", b"%d" % n, line).status for n in range(8)]
    )
    assert sorted(statuses) == [204] + [412] * 7  # type: ignore[type-var]


# ---------------------------------------------------------------------- other sites


@pytest.mark.parametrize(
    ("lines", "is_refused"),
    [
        ((), False),
        (((b"sec-fetch-site", b"same-origin"),), False),
        (((b"sec-fetch-site", b"none"),), False),
        (((b"sec-fetch-site", b"cross-site"),), True),
        (((b"sec-fetch-site", b"same-site"),), True),
        (((b"sec-fetch-site", b"same-origin, cross-site"),), True),
        # A proxy may have changed Host; a browser that sends the field knows better.
        (((b"sec-fetch-site", b"same-origin"), (b"origin", b"https://proxy.example")), False),
        (((b"sec-fetch-site", b"cross-site"), (b"origin", b"http://host:8000")), True),
        (((b"origin", b"http://host:8000"),), False),
        (((b"origin", b"HTTPS://Host:8000"),), False),
        (((b"origin", b"http://host"),), True),
        (((b"origin", b"http://host:8001"),), True),
        (((b"origin", b"http://host:8000.evil.example"),), True),
        (((b"origin", b"http://evil.example, http://host:8000"),), True),
        (((b"origin", b"null"),), True),
        (((b"origin", b""),), True),
        (((b"origin", b"file://"),), True),
    ],
)
@pytest.mark.parametrize("is_form", [False, True])
def test_page_of_another_site_cannot_upload(
    start_uploads: Start, lines: Lines, is_refused: bool, is_form: bool
):
    request = form_request(*lines) if is_form else request_for(b"/new", *lines)
    answer = start_uploads().respond(request)
    assert isinstance(answer, Response) is is_refused


@pytest.mark.parametrize(
    ("origin", "authority", "is_refused"),
    [
        (b"http://host", b"host:80", False),
        (b"http://host:80", b"host", False),
        (b"https://host", b"host:443", False),
        (b"https://host", b"host:80", True),
        (b"http://[::1]:8000", b"[::1]:8000", False),
        (b"http://[::1]", b"[::1]", False),
        (b"http://host", b"", True),
    ],
)
def test_port_that_goes_without_saying_may_be_said(
    start_uploads: Start, origin: bytes, authority: bytes, is_refused: bool
):
    request = request_for(b"/new", (b"origin", origin))
    request.authority = authority
    assert isinstance(start_uploads().respond(request), Response) is is_refused
