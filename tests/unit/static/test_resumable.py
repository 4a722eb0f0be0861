"""Resumable uploads: every answer of the protocol, with content taken block by block as the engine would do it."""

from __future__ import annotations

import base64
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

from arrivals import fail_once
from chute.exchange import Deferred, Receiving, Request, Response
from chute.files.ledger import Ledger
from chute.files.resolve import Root
from chute.semantics.dates import parse_http_date
from chute.semantics.messages import RequestHead
from chute.static.resumable import Resumable
from chute.static.uploads import LANE
from trees import descriptors

SPEAKS = (b"tus-resumable", b"1.0.0")
OFFSET_STREAM = (b"content-type", b"application/offset+octet-stream")
LENGTH = (b"upload-length", b"7")

Line = tuple[bytes, bytes]
Outcome = tuple[int, dict[bytes, bytes]]


def metadata(**values: bytes) -> Line:
    pairs = (b"%b %b" % (k.encode(), base64.b64encode(v)) for k, v in values.items())
    return (b"upload-metadata", b",".join(pairs))


def offset(count: int) -> Line:
    return (b"upload-offset", b"%d" % count)


class Client:
    """Speaks to a folder as a client of tus would, without a network."""

    def __init__(self, resumable: Resumable, folder: Path) -> None:
        self.resumable = resumable
        self.folder = folder

    def request(
        self, method: bytes, target: bytes, *lines: Line, length: int = 0, chunked: bool = False
    ) -> Request:
        path, _, query = target.partition(b"?")
        head = RequestHead(
            method, target, 1, list(lines), content_length=length, is_chunked=chunked
        )
        return Request(head, path, query or None, b"host:8000")

    def answer(self, method: bytes, target: bytes, *lines: Line, content: bytes = b""):
        lines = (SPEAKS, *lines)
        return self.resumable.respond(self.request(method, target, *lines, length=len(content)))

    def do(
        self, method: bytes, target: bytes, *lines: Line, content: bytes = b"", block_bytes: int = 3
    ) -> Outcome:
        answer = self.answer(method, target, *lines, content=content)
        return self.finish(answer, content, block_bytes)

    def finish(self, answer: object, content: bytes = b"", block_bytes: int = 3) -> Outcome:
        if isinstance(answer, Deferred):
            assert answer.lane == LANE
            answer = answer.blocking_respond()
        if isinstance(answer, Receiving):
            assert answer.lane == LANE
            answer = self.feed(answer, content, block_bytes) or answer.intake.blocking_finish()
        assert isinstance(answer, Response)
        fields = dict(answer.fields)
        assert fields[b"Tus-Resumable"] == b"1.0.0"
        assert len(fields) == len(answer.fields)
        return answer.status, fields

    def feed(self, receiving: Receiving, content: bytes, block_bytes: int = 3) -> Response | None:
        for begin in range(0, len(content), block_bytes):
            response = receiving.intake.blocking_take(content[begin : begin + block_bytes])
            if response is not None:
                return response
        return None

    def create(
        self, *lines: Line, name: bytes = b"new", path: bytes = b"/", content: bytes = b""
    ) -> bytes:
        """Begin an upload of 7 bytes, and return its target, resolved as tuspy does."""
        lines = (*lines, LENGTH, metadata(filename=name))
        status, fields = self.do(b"POST", path, *lines, content=content)
        assert status == 201
        base = "http://host:8000" + os.fsdecode(path)
        url = urljoin(base, fields[b"Location"].decode())
        return url.removeprefix("http://host:8000").encode()

    def patch(self, target: bytes, at: int, content: bytes, *lines: Line) -> Outcome:
        return self.do(b"PATCH", target, OFFSET_STREAM, offset(at), *lines, content=content)

    def standing(self, target: bytes) -> bytes | None:
        return self.do(b"HEAD", target)[1].get(b"Upload-Offset")

    def names(self) -> list[str]:
        return sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*"))


Start = Callable[..., Client]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a client of a folder; when the test is over, no descriptor is left."""
    before = descriptors()
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "old").write_bytes(b"old")
    ledgers: list[Ledger] = []
    with Root(os.fsencode(folder)) as root:

        def start(*, quota_bytes: int | None = None, **options: int) -> Client:
            ledgers.append(Ledger(quota_bytes=quota_bytes))
            options = {"content_bytes_max": 10_000, **options}
            return Client(Resumable(root, ledgers[-1], **options), folder)

        yield start
    for ledger in ledgers:
        ledger.close()
    assert descriptors() == before


@pytest.fixture
def client(start: Start) -> Client:
    return start()


@pytest.mark.parametrize("path", [b"/", b"/sub/"])
def test_upload_arrives_in_parts(client: Client, path: bytes):
    target = client.create(path=path)
    assert client.standing(target) == b"0"
    status, fields = client.patch(target, 0, b"one ")
    assert (status, fields[b"Upload-Offset"]) == (204, b"4")
    assert client.standing(target) == b"4"
    status, fields = client.patch(target, 4, b"two")
    assert (status, fields[b"Upload-Offset"]) == (204, b"7")
    assert b"Upload-Expires" not in fields
    assert (client.folder / os.fsdecode(path[1:]) / "new").read_bytes() == b"one two"
    assert client.names() == sorted(["old", "sub", os.fsdecode(path[1:]) + "new"])
    assert client.do(b"HEAD", target)[0] == 404


def test_creation_answers_where_and_until_when(client: Client):
    status, fields = client.do(b"POST", b"/sub/", LENGTH, metadata(filename=b"new"))
    assert status == 201
    assert fields[b"Location"].startswith(b"?upload=")
    assert fields[b"Upload-Offset"] == b"0"
    expires_s = parse_http_date(fields[b"Upload-Expires"])
    touched_s = int(next((client.folder / "sub").glob(".chute-upload-*")).stat().st_mtime)
    assert expires_s is not None
    assert abs(expires_s - touched_s - 24 * 60 * 60) <= 5


def test_head_tells_what_was_announced(client: Client):
    note = metadata(filename=b"new", filetype=b"text/plain")
    _, fields = client.do(b"POST", b"/", LENGTH, note)
    status, fields = client.do(b"HEAD", b"/" + fields[b"Location"])
    assert status == 200
    assert fields.pop(b"Upload-Expires")
    assert fields == {
        b"Tus-Resumable": b"1.0.0",
        b"Cache-Control": b"no-store",
        b"Upload-Offset": b"0",
        b"Upload-Length": b"7",
        b"Upload-Metadata": note[1],
    }


def test_bytes_before_a_broken_connection_are_kept(client: Client):
    target = client.create()
    answer = client.answer(b"PATCH", target, OFFSET_STREAM, offset(0), content=b"one two")
    assert isinstance(answer, Receiving)
    assert client.feed(answer, b"one t") is None
    answer.intake.blocking_give_up()
    assert client.standing(target) == b"5"
    assert client.patch(target, 5, b"wo")[0] == 204
    assert (client.folder / "new").read_bytes() == b"one two"


def test_broken_connection_before_any_content_changes_nothing(client: Client):
    target = client.create()
    answer = client.answer(b"PATCH", target, OFFSET_STREAM, offset(0), content=b"one two")
    assert isinstance(answer, Receiving)
    answer.intake.blocking_give_up()
    assert client.standing(target) == b"0"


@pytest.mark.parametrize("content", [b"", b"one", b"one two"])
def test_creation_can_bring_content(client: Client, content: bytes):
    lines = (LENGTH, metadata(filename=b"new"), OFFSET_STREAM)
    status, fields = client.do(b"POST", b"/", *lines, content=content)
    assert (status, fields[b"Upload-Offset"]) == (201, b"%d" % len(content))
    target = b"/" + fields[b"Location"]
    if len(content) < 7:
        assert client.patch(target, len(content), b"one two"[len(content) :])[0] == 204
    assert (client.folder / "new").read_bytes() == b"one two"
    assert client.names() == ["new", "old", "sub"]


def test_creation_that_breaks_off_leaves_nothing(client: Client):
    """For nobody was told where to find it."""
    lines = (LENGTH, metadata(filename=b"new"), OFFSET_STREAM)
    answer = client.answer(b"POST", b"/", *lines, content=b"one two")
    assert isinstance(answer, Receiving)
    client.feed(answer, b"one")
    assert len(client.names()) == 4
    answer.intake.blocking_give_up()
    assert client.names() == ["old", "sub"]


def test_empty_file_is_there_when_it_is_created(client: Client):
    lines = ((b"upload-length", b"0"), metadata(filename=b"new"))
    status, fields = client.do(b"POST", b"/", *lines)
    assert (status, fields[b"Upload-Offset"]) == (201, b"0")
    assert (client.folder / "new").read_bytes() == b""
    assert client.names() == ["new", "old", "sub"]


def test_content_of_unknown_length_is_taken(client: Client):
    target = client.create()
    lines = (SPEAKS, OFFSET_STREAM, offset(0))
    request = client.request(b"PATCH", target, *lines, chunked=True)
    assert client.finish(client.resumable.respond(request), b"one two")[0] == 204
    assert (client.folder / "new").read_bytes() == b"one two"


def test_deleted_upload_is_gone(client: Client):
    target = client.create()
    assert client.do(b"DELETE", target)[0] == 204
    assert client.names() == ["old", "sub"]
    for method in (b"DELETE", b"HEAD"):
        assert client.do(method, target)[0] == 404


@pytest.mark.parametrize("method", [b"PATCH", b"DELETE"])
def test_method_can_be_named_by_a_field(client: Client, method: bytes):
    target = client.create(content=b"")
    lines = ((b"x-http-method-override", method), OFFSET_STREAM, offset(0))
    assert client.do(b"POST", target, *lines, content=b"")[0] == 204
    assert client.do(b"HEAD", target)[0] == (200 if method == b"PATCH" else 404)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        (b"GET", b"/?upload=1"),
        (b"HEAD", b"/"),
        (b"HEAD", b"/old?upload=1"),
        (b"POST", b"/old"),
        (b"PUT", b"/new"),
        (b"PATCH", b"/"),
        (b"DELETE", b"/old"),
        (b"OPTIONS", b"/"),
    ],
)
def test_other_requests_pass_by(client: Client, method: bytes, target: bytes):
    assert client.answer(method, target) is None


@pytest.mark.parametrize("method", [b"HEAD", b"POST", b"PATCH", b"DELETE"])
def test_request_that_does_not_name_the_protocol_passes_by(client: Client, method: bytes):
    request = client.request(method, b"/?upload=" + b"0" * 32, LENGTH, metadata(filename=b"new"))
    assert client.resumable.respond(request) is None


def test_options_name_version_extensions_and_bound(client: Client):
    assert dict(client.resumable.options()) == {
        b"Tus-Resumable": b"1.0.0",
        b"Tus-Version": b"1.0.0",
        b"Tus-Max-Size": b"10000",
        b"Tus-Extension": b"creation,creation-with-upload,expiration,termination",
    }


@pytest.mark.parametrize("method", [b"HEAD", b"POST", b"PATCH", b"DELETE"])
def test_other_version_is_refused(client: Client, method: bytes):
    lines = ((b"tus-resumable", b"0.2.2"), LENGTH, metadata(filename=b"new"))
    answer = client.resumable.respond(client.request(method, b"/?upload=1", *lines))
    status, fields = client.finish(answer)
    assert (status, fields[b"Tus-Version"]) == (412, b"1.0.0")
    assert client.names() == ["old", "sub"]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((metadata(filename=b"new"),), 400),
        (((b"upload-length", b""), metadata(filename=b"new")), 400),
        (((b"upload-length", b"-1"), metadata(filename=b"new")), 400),
        (((b"upload-length", b"9" * 20), metadata(filename=b"new")), 400),
        (((b"upload-length", b"10001"), metadata(filename=b"new")), 413),
        (((b"upload-defer-length", b"1"), metadata(filename=b"new")), 400),
        ((LENGTH, metadata(filename=b"new"), (b"upload-concat", b"partial")), 400),
        ((LENGTH,), 400),
        ((LENGTH, (b"upload-metadata", b"")), 400),
        ((LENGTH, (b"upload-metadata", b"filename")), 400),
        ((LENGTH, (b"upload-metadata", b"filename ???")), 400),
        ((LENGTH, (b"upload-metadata", b"filename bmV3,filename bmV3")), 400),
        ((LENGTH, metadata(name=b"new")), 400),
        ((LENGTH, metadata(filename=b"../new")), 400),
        ((LENGTH, metadata(filename=b"..")), 400),
        ((LENGTH, metadata(filename=b"a\0b")), 400),
        ((LENGTH, metadata(filename=b"x" * 256)), 400),
        ((LENGTH, metadata(filename=b".hidden")), 403),
        ((LENGTH, metadata(filename=b"old")), 409),
        ((LENGTH, metadata(filename=b"sub")), 409),
        ((LENGTH, metadata(filename=b"new"), (b"origin", b"http://evil.example")), 403),
        ((LENGTH, metadata(filename=b"new"), (b"sec-fetch-site", b"cross-site")), 403),
        ((LENGTH, metadata(filename=b"new"), (b"content-encoding", b"gzip")), 415),
    ],
)
def test_creation_is_refused(client: Client, lines: tuple[Line, ...], status: int):
    assert client.do(b"POST", b"/", *lines)[0] == status
    assert client.names() == ["old", "sub"]


@pytest.mark.parametrize(
    ("path", "status"),
    [(b"/none/", 404), (b"/old/", 404), (b"/.git/", 403), (b"/a/../", 400), (b"/a//b/", 400)],
)
def test_folder_that_takes_nothing_is_refused(client: Client, path: bytes, status: int):
    assert client.do(b"POST", path, LENGTH, metadata(filename=b"new"))[0] == status


def test_hidden_names_are_taken_where_that_is_allowed_but_not_ours(start: Start):
    client = start(hidden=True)
    client.create(name=b".hidden")
    name = metadata(filename=b".chute-upload-" + b"0" * 32)
    assert client.do(b"POST", b"/", LENGTH, name)[0] == 400


def test_content_of_another_type_is_refused(client: Client):
    target = client.create()
    other = (b"content-type", b"application/octet-stream")
    for line in (other, (b"x-nothing", b"")):
        assert client.do(b"PATCH", target, line, offset(0), content=b"one")[0] == 415
        lines = (LENGTH, metadata(filename=b"other"), line)
        assert client.do(b"POST", b"/", *lines, content=b"one")[0] == 415
    assert client.standing(target) == b"0"


@pytest.mark.parametrize("value", [None, b"", b"x", b"-1", b"0, 0", b"9" * 20])
def test_offset_that_is_none_is_refused(client: Client, value: bytes | None):
    target = client.create()
    line = (b"x-nothing", b"") if value is None else (b"upload-offset", value)
    assert client.do(b"PATCH", target, OFFSET_STREAM, line, content=b"one")[0] == 400


@pytest.mark.parametrize("at", [0, 2, 4, 7])
def test_wrong_offset_is_refused_and_nothing_written(client: Client, at: int):
    target = client.create()
    client.patch(target, 0, b"one")
    for content in (b"x", b""):
        assert client.patch(target, at, content)[0] == 409
    assert client.standing(target) == b"3"


@pytest.mark.parametrize("upload_id", [b"", b"1", b"0" * 32, b"../old", b"0" * 32 + b".json"])
@pytest.mark.parametrize("method", [b"HEAD", b"PATCH", b"DELETE"])
def test_unknown_upload_is_not_found(client: Client, method: bytes, upload_id: bytes):
    lines = (OFFSET_STREAM, offset(0))
    status, fields = client.do(method, b"/?upload=" + upload_id, *lines, content=b"one")
    assert status == 404
    assert (fields.get(b"Cache-Control") == b"no-store") is (method == b"HEAD")


@pytest.mark.parametrize("method", [b"HEAD", b"PATCH", b"DELETE"])
def test_expired_upload_is_gone(client: Client, method: bytes):
    target = client.create()
    for path in client.folder.glob(".chute-*"):
        os.utime(path, (0, 0))
    assert client.do(method, target, OFFSET_STREAM, offset(0))[0] == 410
    client.create(name=b"other")
    assert client.do(method, target, OFFSET_STREAM, offset(0))[0] == 404


def test_page_of_another_site_changes_nothing(client: Client):
    target = client.create()
    evil = (b"origin", b"http://evil.example")
    assert client.patch(target, 0, b"one", evil)[0] == 403
    assert client.do(b"DELETE", target, evil)[0] == 403
    assert client.standing(target) == b"0"


def test_second_request_for_an_upload_is_refused_while_the_first_is_at_it(client: Client):
    target = client.create()
    first = client.answer(b"PATCH", target, OFFSET_STREAM, offset(0), content=b"one")
    assert isinstance(first, Receiving)
    assert client.feed(first, b"one") is None
    assert client.patch(target, 3, b" two")[0] == 423
    assert client.do(b"DELETE", target)[0] == 423
    assert client.standing(target) == b"3"
    assert first.intake.blocking_finish().status == 204
    assert client.patch(target, 3, b" two")[0] == 204


@pytest.mark.parametrize("chunked", [False, True])
def test_more_than_was_announced_is_refused(client: Client, chunked: bool):
    target = client.create()
    content = b"one two three"
    lines = (SPEAKS, OFFSET_STREAM, offset(0))
    length = 0 if chunked else len(content)
    request = client.request(b"PATCH", target, *lines, length=length, chunked=chunked)
    assert client.finish(client.resumable.respond(request), content)[0] == 413
    assert client.standing(target) == (b"6" if chunked else b"0")
    lines = (LENGTH, metadata(filename=b"other"), OFFSET_STREAM)
    answer = client.answer(b"POST", b"/", *lines, content=content)
    assert (isinstance(answer, Response), client.finish(answer)[0]) == (True, 413)


def test_name_that_is_taken_meanwhile_stays_and_so_does_the_upload(client: Client):
    target = client.create()
    (client.folder / "new").write_bytes(b"theirs")
    assert client.patch(target, 0, b"one two")[0] == 409
    assert (client.folder / "new").read_bytes() == b"theirs"
    assert client.standing(target) == b"7"
    (client.folder / "new").unlink()
    assert client.patch(target, 7, b"")[0] == 204
    assert (client.folder / "new").read_bytes() == b"one two"


def test_existing_file_is_replaced_only_where_that_is_allowed(start: Start):
    client = start(overwrite=True)
    target = client.create(name=b"old")
    assert client.patch(target, 0, b"one ")[0] == 204
    assert (client.folder / "old").read_bytes() == b"old"
    assert client.patch(target, 4, b"two")[0] == 204
    assert (client.folder / "old").read_bytes() == b"one two"
    assert client.names() == ["old", "sub"]


def test_unfinished_uploads_are_bounded(start: Start):
    client = start(unfinished_max=1)
    client.create()
    status, fields = client.do(b"POST", b"/", LENGTH, metadata(filename=b"other"))
    assert (status, b"Retry-After" in fields) == (503, True)
    client.create(path=b"/sub/")


def test_quota_is_kept(start: Start):
    client = start(quota_bytes=300)
    long = ((b"upload-length", b"400"), metadata(filename=b"new"))
    assert client.do(b"POST", b"/", *long)[0] == 507
    target = client.create()
    there = sum(path.stat().st_size for path in client.folder.glob("[!s]*"))
    client = start(quota_bytes=there + 5)
    assert client.patch(target, 0, b"one two")[0] == 507
    assert client.standing(target) == b"0"


def test_full_disk_keeps_what_was_written(client: Client, monkeypatch: pytest.MonkeyPatch):
    target = client.create()
    client.patch(target, 0, b"one")
    fail_once(monkeypatch, "pwrite", errno.ENOSPC)
    assert client.patch(target, 3, b" two")[0] == 507
    assert client.patch(target, 3, b" two")[0] == 204


def test_disk_that_fails_is_raised_and_nothing_stays_locked(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    target = client.create()
    client.patch(target, 0, b"one ")
    fail_once(monkeypatch, "fsync", errno.EIO)
    answer = client.answer(b"PATCH", target, OFFSET_STREAM, offset(4), content=b"two")
    assert isinstance(answer, Receiving)
    client.feed(answer, b"two")
    with pytest.raises(OSError, match="Input/output"):
        answer.intake.blocking_finish()
    answer.intake.blocking_give_up()
    assert client.standing(target) == b"4"
    assert client.patch(target, 4, b"two")[0] == 204


def test_failure_without_content_is_raised_and_nothing_stays(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    lines = ((b"upload-length", b"0"), metadata(filename=b"new"))
    fail_once(monkeypatch, "fsync", errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        client.do(b"POST", b"/", *lines)
    assert client.names() == ["old", "sub"]


def test_metadata_that_could_not_have_come_by_a_field_is_not_sent(client: Client):
    target = client.create()
    record = next(client.folder.glob(".chute-upload-*.json"))
    record.write_text(record.read_text().replace("filename bmV3", "a\\r\\nSet-Cookie: b"))
    status, fields = client.do(b"HEAD", target)
    assert status == 200
    assert b"Upload-Metadata" not in fields
