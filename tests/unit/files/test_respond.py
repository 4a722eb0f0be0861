"""A file and a request head become a response: the order of the questions, and who holds the file afterwards.

Which bytes a Range selects and what a condition means is tested in `unit/semantics`; here it is only asked whether
the right question was put at the right time and the file cut by its answer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.exchange import Rate, Response, Validity
from chute.files.open_files import OpenFile
from chute.files.respond import Representation, respond
from chute.semantics.messages import RequestHead
from chute.semantics.validators import EntityTag
from chute.transfer.source import CLOSED, FileSpan, Piece

CONTENT = bytes(range(256)) * 4
MODIFIED_NS = 1_600_000_000_500_000_000
MODIFIED = b"Sun, 13 Sep 2020 12:26:40 GMT"
EARLIER = b"Sun, 13 Sep 2020 12:26:39 GMT"
TAG = b'"%x-%x"' % (MODIFIED_NS, len(CONTENT))
VALIDATORS = [(b"Last-Modified", MODIFIED), (b"ETag", TAG)]
MEDIA_TYPE = b"text/x-test"

Make = Callable[[bytes], OpenFile]


class Watched:
    """A validity, to be told from another."""

    valid_until_s = 1.0

    def still_holds(self, now_s: float) -> bool:
        return now_s < self.valid_until_s


@pytest.fixture(params=["in memory", "open"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Make a file of some content; all that follows holds for both kinds."""
    made: list[OpenFile] = []

    def make(content: bytes) -> OpenFile:
        path = tmp_path / f"file{len(made)}"
        path.write_bytes(content)
        os.utime(path, ns=(MODIFIED_NS, MODIFIED_NS))
        fd = os.open(path, os.O_RDONLY)
        in_memory = content if request.param == "in memory" else None
        made.append(OpenFile(fd, os.fstat(fd), in_memory))
        return made[-1]

    yield make
    for file in made:
        file.release()
        assert file.fd == CLOSED, "a response was not released, or released a file it did not hold"


@pytest.fixture
def file(make: Make) -> OpenFile:
    return make(CONTENT)


def ask(
    file: OpenFile,
    *lines: tuple[bytes, bytes],
    method: bytes = b"GET",
    validity: Validity | None = None,
) -> Response:
    head = RequestHead(method, b"/", 1, list(lines))
    selected = Representation(file, MEDIA_TYPE, file.entity_tag)
    return respond(selected, head, validity=validity)


def sent(piece: Piece) -> bytes:
    if isinstance(piece, FileSpan):
        return os.pread(piece.file.fd, piece.count, piece.offset)
    return piece


def taken(response: Response) -> bytes:
    """Return the content, and let the response go."""
    content = b"".join(sent(piece) for piece in response.pieces)
    response.release()
    return content


def test_plain_request_gets_the_whole_file(file: OpenFile):
    response = ask(file)
    assert response.status == 200
    assert response.fields == [
        (b"Content-Type", MEDIA_TYPE),
        *VALIDATORS,
        (b"Accept-Ranges", b"bytes"),
    ]
    assert taken(response) == CONTENT


def test_large_file_is_sent_as_a_span_and_never_read(make: Make, monkeypatch: pytest.MonkeyPatch):
    file = make(CONTENT)
    monkeypatch.setattr(os, "pread", lambda *_: pytest.fail("content was read"))
    for lines in ([], [(b"range", b"bytes=1-2")], [(b"range", b"bytes=1-2,5-6")]):
        response = ask(file, *lines)
        spans = [piece for piece in response.pieces if isinstance(piece, FileSpan)]
        assert all(span.file is file for span in spans)
        assert bool(spans) is (file.content is None)
        response.release()


def test_one_range_is_cut_out(file: OpenFile):
    response = ask(file, (b"range", b"bytes=10-19"))
    assert response.status == 206
    assert response.fields == [
        (b"Content-Type", MEDIA_TYPE),
        (b"Content-Range", b"bytes 10-19/1024"),
        *VALIDATORS,
        (b"Accept-Ranges", b"bytes"),
    ]
    assert taken(response) == CONTENT[10:20]


def test_t16_several_ranges_are_parts_that_add_up(file: OpenFile):
    response = ask(file, (b"range", b"bytes=500-509,0-4,-3"))
    assert response.status == 206
    (_, media_type), *others = response.fields
    kind, _, boundary = media_type.partition(b"; boundary=")
    assert kind == b"multipart/byteranges"
    assert others == [*VALIDATORS, (b"Accept-Ranges", b"bytes")], "the parts carry Content-Range"
    expected = b"".join(
        b"%b--%b\r\nContent-Type: text/x-test\r\nContent-Range: bytes %b/1024\r\n\r\n%b"
        % (lead, boundary, where, part)
        for lead, where, part in [
            (b"", b"500-509", CONTENT[500:510]),
            (b"\r\n", b"0-4", CONTENT[:5]),
            (b"\r\n", b"1021-1023", CONTENT[-3:]),
        ]
    )
    assert taken(response) == expected + b"\r\n--%b--\r\n" % boundary


def test_t16_boundary_cannot_be_foreseen(file: OpenFile):
    responses = [ask(file, (b"range", b"bytes=0-0,2-2")) for _ in range(20)]
    boundaries = {dict(response.fields)[b"Content-Type"] for response in responses}
    assert len(boundaries) == 20
    for response in responses:
        response.release()


def test_t15_range_beyond_the_file_is_refused_with_its_length(file: OpenFile):
    response = ask(file, (b"range", b"bytes=1024-"))
    assert response.status == 416
    assert (b"Content-Range", b"bytes */1024") in response.fields
    assert response.pieces == ()
    assert response.explanation is not None
    assert "1024" in response.explanation


@pytest.mark.parametrize("value", [b"bytes=0-", b"bytes=0-0", b"bytes=-1", b"bytes=5-"])
def test_t15_empty_file_is_sent_whole(make: Make, value: bytes):
    response = ask(make(b""), (b"range", value))
    assert (response.status, taken(response)) == (200, b"")


def test_head_has_the_fields_of_get(file: OpenFile):
    get, head = ask(file), ask(file, method=b"HEAD")
    assert (head.status, head.fields) == (get.status, get.fields)
    assert sum(len(sent(piece)) for piece in head.pieces) == len(CONTENT), "for Content-Length"
    get.release()
    head.release()


@pytest.mark.parametrize("value", [b"bytes=0-4", b"bytes=0-4,6-7", b"bytes=5000-"])
def test_range_means_nothing_for_head(file: OpenFile, value: bytes):
    get, head = ask(file), ask(file, (b"range", value), method=b"HEAD")
    assert (head.status, head.fields) == (get.status, get.fields)
    get.release()
    head.release()


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize(
    "line",
    [(b"if-none-match", TAG), (b"if-none-match", b"*"), (b"if-modified-since", MODIFIED)],
    ids=["tag", "any tag", "date"],
)
def test_unmodified_file_is_not_sent_again(
    file: OpenFile, line: tuple[bytes, bytes], method: bytes
):
    response = ask(file, line, method=method)
    assert (response.status, response.fields, response.pieces) == (304, VALIDATORS, ())
    assert response.explanation is None, "a 304 has no page"


@pytest.mark.parametrize(
    "line",
    [(b"if-match", b'"other"'), (b"if-unmodified-since", EARLIER)],
    ids=["tag", "date"],
)
def test_failed_precondition_is_said(file: OpenFile, line: tuple[bytes, bytes]):
    response = ask(file, line)
    assert (response.status, response.pieces) == (412, ())
    assert response.explanation is not None


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        pytest.param([(b"if-none-match", TAG)], 304, id="unmodified comes before part"),
        pytest.param([(b"if-match", b'"other"')], 412, id="failed comes before part"),
        pytest.param(
            [(b"if-none-match", TAG), (b"if-range", b'"other"')], 304, id="unmodified and stale"
        ),
        pytest.param([(b"if-match", TAG), (b"if-range", TAG)], 206, id="both hold"),
        pytest.param([(b"if-range", b'"other"')], 200, id="stale part"),
        pytest.param([(b"if-range", b"W/" + TAG)], 200, id="weak tag"),
        pytest.param([(b"if-range", MODIFIED)], 206, id="date"),
        pytest.param([(b"if-range", EARLIER)], 200, id="another date"),
    ],
)
def test_t18_questions_are_asked_in_their_order(
    file: OpenFile, lines: list[tuple[bytes, bytes]], status: int
):
    response = ask(file, *lines, (b"range", b"bytes=0-4"))
    assert response.status == status
    response.release()


def test_t18_unsatisfiable_range_of_another_version_is_ignored(file: OpenFile):
    response = ask(file, (b"if-range", b'"other"'), (b"range", b"bytes=5000-"))
    assert (response.status, taken(response)) == (200, CONTENT)


def test_t18_date_of_a_racy_file_selects_no_part(file: OpenFile):
    file.is_stable = False
    stale = ask(file, (b"if-range", MODIFIED), (b"range", b"bytes=0-4"))
    assert (stale.status, taken(stale)) == (200, CONTENT)
    tagged = ask(file, (b"if-range", TAG), (b"range", b"bytes=0-4"))
    assert (tagged.status, taken(tagged)) == (206, CONTENT[:5])


@pytest.fixture
def lying_file(tmp_path: Path) -> OpenFile:
    (tmp_path / "lying").write_bytes(bytes(4096))
    fd = os.open(tmp_path / "lying", os.O_RDONLY)
    return OpenFile(fd, os.fstat(fd), b"what came")


@pytest.mark.parametrize(
    "line",
    [
        (b"if-none-match", TAG),
        (b"if-match", b"*"),
        (b"if-modified-since", b"Fri, 31 Dec 9999 23:59:59 GMT"),
        (b"if-unmodified-since", MODIFIED),
        (b"if-range", TAG),
    ],
    ids=lambda line: line[0].decode(),
)
def test_t27_file_without_validators_is_sent_whatever_the_condition(
    lying_file: OpenFile, line: tuple[bytes, bytes]
):
    response = ask(lying_file, line)
    assert response.status == 200
    assert response.fields == [(b"Content-Type", MEDIA_TYPE), (b"Accept-Ranges", b"bytes")]
    assert taken(response) == b"what came"


def test_t27_part_of_a_file_without_validators_is_counted_by_what_came(
    lying_file: OpenFile,
):
    response = ask(lying_file, (b"range", b"bytes=-4"))
    assert dict(response.fields)[b"Content-Range"] == b"bytes 5-8/9"
    assert taken(response) == b"came"


@pytest.mark.parametrize(
    ("lines", "status", "is_reusable"),
    [
        ([], 200, True),
        ([(b"range", b"bytes=0-4")], 206, True),
        ([(b"if-none-match", TAG)], 304, True),
        ([(b"range", b"bytes=0-4,9-9")], 206, False),
        ([(b"range", b"bytes=5000-")], 416, False),
        ([(b"if-match", b'"other"')], 412, False),
    ],
    ids=["whole", "part", "unmodified", "parts with a boundary", "unsatisfiable", "failed"],
)
def test_only_what_comes_out_the_same_again_is_reusable(
    file: OpenFile, lines: list[tuple[bytes, bytes]], status: int, is_reusable: bool
):
    validity = Watched()
    response = ask(file, *lines, validity=validity)
    assert response.status == status
    assert (response.validity is validity) is is_reusable
    assert response.validity in (validity, None)
    response.release()


@pytest.mark.parametrize("value", [None, b"bytes=0-4", b"bytes=0-4,9-9,20-30"])
def test_t10_response_holds_the_file_until_it_is_released(make: Make, value: bytes | None):
    file = make(CONTENT)
    before = file._holders
    response = ask(file, *([] if value is None else [(b"range", value)]))
    spans = sum(isinstance(piece, FileSpan) for piece in response.pieces)
    assert file._holders == before + spans
    response.release()
    response.release()
    assert file._holders == before


@pytest.mark.parametrize(
    "line",
    [(b"if-none-match", TAG), (b"if-match", b'"other"'), (b"range", b"bytes=5000-")],
    ids=["304", "412", "416"],
)
def test_t10_answer_without_the_file_does_not_hold_it(file: OpenFile, line: tuple[bytes, bytes]):
    before = file._holders
    ask(file, line)
    assert file._holders == before


CODING = (b"Content-Encoding", b"br")
VARY = (b"Vary", b"Accept-Encoding")


@pytest.mark.parametrize(
    ("lines", "status", "has_coding", "has_vary"),
    [
        ([], 200, True, True),
        ([(b"range", b"bytes=0-9")], 206, True, True),
        ([(b"range", b"bytes=0-9,20-29")], 206, True, True),
        ([(b"if-none-match", b'"tag-br"')], 304, False, True),
        ([(b"if-none-match", TAG)], 200, True, True),
        ([(b"if-match", TAG)], 412, False, False),
        ([(b"range", b"bytes=99999-")], 416, False, False),
    ],
    ids=["whole", "a range", "ranges", "unchanged", "another form's tag", "failed", "outside"],
)
def test_fields_of_the_form_are_on_the_answers_that_have_it(
    file: OpenFile,
    lines: list[tuple[bytes, bytes]],
    status: int,
    has_coding: bool,
    has_vary: bool,
):
    head = RequestHead(b"GET", b"/", 1, lines)
    selected = Representation(file, MEDIA_TYPE, EntityTag(b"tag-br"), (CODING,), (VARY,))
    response = respond(selected, head, rate=Rate(1000))
    assert response.status == status
    assert (CODING in response.fields) is has_coding
    assert (VARY in response.fields) is has_vary
    if status in (200, 206):
        assert (b"ETag", b'"tag-br"') in response.fields
        assert response.rate == Rate(1000)
    response.release()
