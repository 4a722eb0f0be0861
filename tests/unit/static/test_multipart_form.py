"""Files in a form: what comes out is what went in, however the content is cut into blocks."""

from __future__ import annotations

import sys

import pytest

from chute.errors import PeerError
from chute.static import multipart_form
from chute.static.multipart_form import END, FileBegins, MultipartForm

TYPE = b"multipart/form-data; boundary=limit"

Files = list[tuple[bytes, bytes]]


def part(disposition: bytes, content: bytes, *lines: bytes) -> bytes:
    head = b"\r\n".join([b"Content-Disposition: form-data; " + disposition, *lines])
    return b"--limit\r\n" + head + b"\r\n\r\n" + content + b"\r\n"


def read(content: bytes, *, block_bytes: int = 1 << 20, content_type: bytes = TYPE) -> Files:
    """Feed `content` and return the names and contents of the files that came out."""
    form = MultipartForm(content_type)
    files: Files = []
    is_open = False
    for offset in range(0, len(content), block_bytes):
        for event in form.feed(content[offset : offset + block_bytes]):
            if isinstance(event, FileBegins):
                assert not is_open
                is_open = True
                files.append((event.name, b""))
            elif event is END:
                assert is_open
                is_open = False
            else:
                assert is_open
                files[-1] = (files[-1][0], files[-1][1] + event)
    form.finish()
    assert not is_open
    return files


TRICKY = b"\r\n--limi\r\n--\r\r\n--limi\xff\0\n--limit" * 20
FORM = (
    part(b'name="comment"', b"no file")
    + part(b'name="file"; filename="a.txt"', b"content of a", b"Content-Type: text/plain")
    + part(b'name="file"; filename=""', b"", b"Content-Type: application/octet-stream")
    + part(b'name="other"; filename="b"', TRICKY)
    + part(b'name="empty"; filename="c"', b"")
    + b"--limit--"
)
EXPECTED = [(b"a.txt", b"content of a"), (b"b", TRICKY), (b"c", b"")]


@pytest.mark.parametrize("block_bytes", [*range(1, 40), 1000, 1 << 20])
@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\nepilogue"])
def test_any_cut_into_blocks_gives_the_same_files(block_bytes: int, end: bytes):
    assert read(FORM + end, block_bytes=block_bytes) == EXPECTED


def test_empty_block_is_not_the_end():
    form = MultipartForm(TYPE)
    assert list(form.feed(b"")) == []
    assert len(list(form.feed(FORM))) > 0


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        (b"plain.txt", b"plain.txt"),
        (b"/etc/passwd", b"passwd"),
        (b"../../up", b"up"),
        (b"folder/in/it.txt", b"it.txt"),
        (b"C:\\\\Users\\\\me\\\\old.txt", b"old.txt"),
        (b"back\\slash", b"back\\slash"),
        ("größe 日本 🚀.txt".encode(), "größe 日本 🚀.txt".encode()),
        (b"\xff\xfe\x80\x85\xa0", b"\xff\xfe\x80\x85\xa0"),
        (b" spaces ", b" spaces "),
        (b"quote%22d", b'quote"d'),
        (b'quote\\"d', b'quote"d'),
        (b"two%0Alines", b"two\nlines"),
        (b"100%25", b"100%25"),
        (b"semi;colon=1", b"semi;colon=1"),
        (b".hidden", b".hidden"),
        (b"...", b"..."),
    ],
)
def test_name_is_the_bytes_that_came_without_a_path(filename: bytes, name: bytes):
    form = part(b'name="file"; filename="' + filename + b'"', b"x") + b"--limit--"
    assert read(form) == [(name, b"x")]


@pytest.mark.parametrize("filename", [b".", b"..", b"/", b"folder/", b"a/..", b"nul\0byte"])
def test_name_that_no_file_can_have_is_refused(filename: bytes):
    with pytest.raises(PeerError) as raised:
        read(part(b'name="file"; filename="' + filename + b'"', b"x") + b"--limit--")
    assert raised.value.status_hint == 400


def test_content_without_a_name_is_refused():
    with pytest.raises(PeerError, match="has no name"):
        read(part(b'name="file"; filename=""', b"x") + b"--limit--")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 415),
        (b"", 415),
        (b"application/x-www-form-urlencoded", 415),
        (b"multipart/mixed; boundary=limit", 415),
        (b"text/plain; boundary=limit", 415),
        (b"multipart/form-data", 400),
        (b"multipart/form-data; boundary=", 400),
        (b'multipart/form-data; boundary=""', 400),
        (b'multipart/form-data; boundary="a\nb"', 400),
        (b"multipart/form-data; boundary=" + b"b" * 71, 400),
        (b"multipart/form-data; boundary=" + b"\xff" * 9, 400),
    ],
)
def test_type_that_is_no_form_is_refused_before_any_content(
    content_type: bytes | None, status: int
):
    with pytest.raises(PeerError) as raised:
        MultipartForm(content_type)
    assert raised.value.status_hint == status


@pytest.mark.parametrize(
    "content_type",
    [
        b'Multipart/Form-Data; charset=utf-8; boundary="limit"',
        b"multipart/form-data;boundary=limit",
        b"multipart/form-data; BOUNDARY=limit",
    ],
)
def test_type_may_be_spelled_in_many_ways(content_type: bytes):
    assert read(FORM, content_type=content_type) == EXPECTED


def test_longest_boundary_is_taken():
    boundary = b"b" * multipart_form.BOUNDARY_BYTES_MAX
    form = FORM.replace(TRICKY, b"").replace(b"--limit", b"--" + boundary)
    files = read(form, content_type=b"multipart/form-data; boundary=" + boundary)
    assert [name for name, _ in files] == [b"a.txt", b"b", b"c"]


@pytest.mark.parametrize(
    "content",
    [
        b"no form at all",
        FORM[:-1],
        FORM[:-9],
        FORM[:60],
        b"--limit\r\n",
        b"--limit\r\nno colon\r\n\r\nx\r\n--limit--",
        b"--limit\r\n\r\nwithout a head\r\n--limit--",
        b"--limit\r\nContent-Disposition: attachment; filename=a\r\n\r\nx\r\n--limit--",
        b"--limitContent-Disposition: form-data",
        part(b'name="file"; filename="a"', b"x" * 9, b"Content-Length: 3") + b"--limit--",
    ],
)
def test_what_is_no_complete_form_is_refused(content: bytes):
    for block_bytes in (1, 1 << 20):
        with pytest.raises(PeerError) as raised:
            read(content, block_bytes=block_bytes)
        assert raised.value.status_hint == 400


BOUNDS = {
    "parts": part(b'name="x"', b"") * (multipart_form.PARTS_MAX + 1),
    "lines of a head": part(b'name="x"', b"", *[b"X: y"] * multipart_form.PART_HEAD_LINES_MAX),
    "a line of a head": part(b'name="' + b"x" * multipart_form.PART_HEAD_LINE_BYTES_MAX, b""),
    "a line that never ends": b"--limit\r\nX: "
    + b"x" * 3 * multipart_form.PART_HEAD_LINE_BYTES_MAX,
}


@pytest.mark.parametrize("content", BOUNDS.values(), ids=BOUNDS.keys())
def test_bound_is_kept(content: bytes):
    with pytest.raises(PeerError) as raised:
        read(content + b"--limit--", block_bytes=1000)
    assert raised.value.status_hint == 413


def test_as_many_parts_as_are_allowed_are_taken():
    content = part(b'name="x"; filename="f"', b"y") * multipart_form.PARTS_MAX + b"--limit--"
    assert len(read(content)) == multipart_form.PARTS_MAX


def test_no_more_is_kept_back_than_could_begin_a_boundary():
    """A large file passes through in blocks; nothing of it gathers."""
    form = MultipartForm(TYPE)
    list(form.feed(part(b'name="x"; filename="f"', b"").removesuffix(b"\r\n")))
    for _ in range(50):
        passed = sum(
            len(event) for event in form.feed(b"\r\n--limi" * 1000) if isinstance(event, bytes)
        )
        assert passed >= 7990


def test_without_the_library_forms_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "multipart", None)
    with pytest.raises(PeerError) as raised:
        MultipartForm(TYPE)
    assert raised.value.status_hint == 415
