"""POST of a form: all of its files, or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chute.exchange import Receiving, Response
from uploading import (
    FORM_TYPE,
    Lines,
    Start,
    form_request,
    names,
    part,
    post,
    request_for,
    tag_of,
)

# ---------------------------------------------------------------------- forms


@pytest.mark.parametrize("block_bytes", [1, 50, 10_000])
def test_files_of_a_form_are_stored_and_the_browser_sees_the_folder(
    start_uploads: Start, upload_folder: Path, block_bytes: int
):
    parts = part(b"a", b"one") + part(b"", b"") + part(b"up/../b%22", b"") + part(b"c d", b"three")
    response = post(start_uploads(), b"/sub/", parts, block_bytes=block_bytes)
    assert response.status == 303
    assert dict(response.fields)[b"Location"] == b"/sub/"
    assert names(upload_folder / "sub") == ["a", 'b"', "c d"]
    assert (upload_folder / "sub" / "c d").read_bytes() == b"three"


def test_summary_for_who_prefers_json(start_uploads: Start, upload_folder: Path):
    accept = (b"accept", b"application/json")
    parts = part("größe".encode(), b"12") + part(b"\xff", b"")
    response = post(start_uploads(), b"/sub/", parts, accept)
    assert response.status == 201
    assert dict(response.fields)[b"Content-Type"] == b"application/json"
    assert json.loads(b"".join(response.pieces)) == {  # type: ignore[arg-type]
        "files": [
            {
                "name": "größe",
                "href": "/sub/gr%C3%B6%C3%9Fe",
                "size": 2,
                "etag": tag_of(upload_folder / "sub" / "größe").decode(),
                "replaced": False,
            },
            {
                "name": "\ufffd",
                "href": "/sub/%FF",
                "size": 0,
                "etag": tag_of(upload_folder / "sub" / "\udcff").decode(),
                "replaced": False,
            },
        ]
    }
    response = post(start_uploads(overwrite=True), b"/", part(b"old", b"new"), accept)
    assert response.status == 200
    assert json.loads(b"".join(response.pieces))["files"][0]["replaced"]  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [(b"new", b"old"), (b"old", b"new"), (b"new", b"sub")])
def test_name_that_is_taken_keeps_the_whole_form_out(
    start_uploads: Start, upload_folder: Path, order: tuple[bytes, bytes]
):
    assert post(start_uploads(), b"/", b"".join(part(name, b"x") for name in order)).status == 409
    assert names(upload_folder) == ["old", "sub"]
    assert (upload_folder / "old").read_bytes() == b"old"


def test_name_taken_meanwhile_takes_back_what_has_been_stored(
    start_uploads: Start, upload_folder: Path
):
    answer = start_uploads().respond(form_request())
    assert isinstance(answer, Receiving)
    parts = part(b"a", b"1") + part(b"b", b"2") + part(b"c", b"3")
    assert answer.intake.blocking_take(parts + b"--limit--") is None
    (upload_folder / "b").write_bytes(b"theirs")
    assert answer.intake.blocking_finish().status == 409
    assert names(upload_folder) == ["b", "old", "sub"]
    assert (upload_folder / "b").read_bytes() == b"theirs"


def test_form_that_fails_gives_its_quota_back(start_uploads: Start, upload_folder: Path):
    uploads = start_uploads(quota_bytes=9)
    for _ in range(3):
        assert post(uploads, b"/", part(b"a", b"xxxx") + part(b"a", b"yy")).status == 400
    assert post(uploads, b"/", part(b"a", b"xxxx") + part(b"b", b"yy")).status == 303


BAD_FORMS: dict[str, tuple[int, bytes]] = {
    "no file": (400, b""),
    "none chosen": (400, part(b"", b"")),
    "hidden": (403, part(b"a", b"x") + part(b"sub/.hidden", b"x")),
    "no name": (400, part(b"a", b"x") + part(b"sub/", b"x")),
    "same name twice": (400, part(b"a", b"x") + part(b"folder/a", b"x")),
    "too many": (413, b"".join(part(b"%d" % n, b"") for n in range(100))),
    "malformed": (400, part(b"a", b"x") + b"--limit\r\nnonsense\r\n\r\n"),
}


@pytest.mark.parametrize(("status", "parts"), BAD_FORMS.values(), ids=BAD_FORMS.keys())
def test_bad_form_leaves_nothing(
    start_uploads: Start, upload_folder: Path, status: int, parts: bytes
):
    assert post(start_uploads(), b"/", parts).status == status
    assert names(upload_folder) == ["old", "sub"]


@pytest.mark.parametrize("is_ended", [False, True])
def test_form_that_breaks_off_leaves_nothing(
    start_uploads: Start, upload_folder: Path, is_ended: bool
):
    """Its framing may be complete all the same: the content then ends without the last boundary."""
    answer = start_uploads().respond(form_request())
    assert isinstance(answer, Receiving)
    assert answer.intake.blocking_take(part(b"a", b"x") + part(b"b", b"half")[:-4]) is None
    if is_ended:
        assert answer.intake.blocking_finish().status == 400
    else:
        answer.intake.blocking_give_up()
    assert names(upload_folder) == ["old", "sub"]


@pytest.mark.parametrize(
    ("path", "lines", "status"),
    [
        (b"/none/", (FORM_TYPE,), 404),
        (b"/old/", (FORM_TYPE,), 404),
        (b"/.git/", (FORM_TYPE,), 403),
        (b"/", (), 415),
        (b"/", ((b"content-type", b"text/plain"),), 415),
        (b"/", ((b"content-type", b"multipart/form-data"),), 400),
        (b"/", (FORM_TYPE, (b"content-encoding", b"gzip")), 415),
        (b"/", (FORM_TYPE, (b"sec-fetch-site", b"cross-site")), 403),
    ],
)
def test_form_is_refused_before_any_content(
    start_uploads: Start, path: bytes, lines: Lines, status: int
):
    response = start_uploads().respond(request_for(path, *lines, method=b"POST"))
    assert isinstance(response, Response)
    assert response.status == status
