"""The static handler: which name a path means, and what is answered when it leads nowhere."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from chute.clock import Clock
from chute.errors import ConfigError, DescriptorsExhausted, FileForbidden
from chute.exchange import Request, Response
from chute.files.resolve import Root
from chute.semantics.messages import RequestHead
from chute.static.answers import DEPENDS_ON
from chute.static.handler import StaticHandler
from chute.static.options import StaticOptions
from chute.transfer.source import CLOSED, FileSpan
from trees import descriptors

LARGE = b"l" * 20_000
LONG_AGO_NS = 1_600_000_000_000_000_000

Start = Callable[..., StaticHandler]


def write(path: Path, content: bytes) -> None:
    """Write a file that is too old to be taken for racy."""
    path.write_bytes(content)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "bare").mkdir()
    write(folder / "page.html", b"page")
    write(folder / "large.bin", LARGE)
    write(folder / "sub" / "index.html", b"index of sub")
    return folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(folder: Path, clock: Clock) -> Iterator[Start]:
    """Start handlers that are closed, and must then have closed everything, when the test is over."""
    before = descriptors()
    handlers: list[StaticHandler] = []

    def start(**options: object) -> StaticHandler:
        handlers.append(StaticHandler(StaticOptions(root=str(folder), **options), clock))
        return handlers[-1]

    yield start
    for handler in handlers:
        handler.close()
    assert descriptors() == before


def ask(
    handler: StaticHandler,
    path: bytes,
    *lines: tuple[bytes, bytes],
    method: bytes = b"GET",
    query: bytes | None = None,
) -> Response:
    return handler.handle(Request(RequestHead(method, path, 1, list(lines)), path, query, b"host"))


def content(response: Response) -> bytes:
    pieces = [
        os.pread(piece.file.fd, piece.count, piece.offset) if isinstance(piece, FileSpan) else piece
        for piece in response.pieces
    ]
    response.release()
    return b"".join(pieces)


def test_path_is_a_name_beneath_the_root(start: Start):
    response = ask(start(), b"/page.html")
    assert response.status == 200
    assert dict(response.fields)[b"Content-Type"] == b"text/html; charset=utf-8"
    assert content(response) == b"page"


def test_root_that_does_not_exist_is_a_configuration_error(tmp_path: Path, clock: Clock):
    with pytest.raises(ConfigError):
        StaticHandler(StaticOptions(root=str(tmp_path / "none")), clock)


@pytest.mark.parametrize(
    ("minimum", "is_span"),
    [(20_000, True), (20_001, False), (0, True)],
    ids=["exactly the minimum", "one byte less", "no minimum"],
)
def test_minimum_for_sendfile_is_the_smallest_size_that_is_sent_by_it(
    start: Start, minimum: int, is_span: bool
):
    response = ask(start(sendfile_min_bytes=minimum), b"/large.bin")
    assert isinstance(response.pieces[0], FileSpan) is is_span
    assert content(response) == LARGE


def test_no_minimum_serves_an_empty_file_too(start: Start, folder: Path):
    write(folder / "empty", b"")
    response = ask(start(sendfile_min_bytes=0), b"/empty")
    assert (response.status, content(response)) == (200, b"")


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"get", b"TRACE", b"PROPFIND"])
@pytest.mark.parametrize("path", [b"/page.html", b"/none", b"/sub/"])
def test_other_methods_are_not_allowed(start: Start, method: bytes, path: bytes):
    response = ask(start(), path, method=method)
    assert response.status == 405
    assert response.fields == [(b"Allow", b"GET, HEAD, OPTIONS")]


def test_options_says_what_is_allowed(start: Start):
    response = ask(start(), b"/page.html", method=b"OPTIONS")
    assert (response.status, response.fields) == (204, [(b"Allow", b"GET, HEAD, OPTIONS")])


@pytest.mark.parametrize(
    "path", [b"/page.html", b"/large.bin", b"/sub/", b"/sub", b"/bare/", b"/none", b"/"]
)
def test_head_has_the_status_and_the_fields_of_get(start: Start, path: bytes):
    handler = start()
    get, head = ask(handler, path), ask(handler, path, method=b"HEAD")
    assert (head.status, head.fields, head.explanation) == (
        get.status,
        get.fields,
        get.explanation,
    )
    get.release()
    head.release()


# Folders.


def test_folder_answers_with_its_index(start: Start):
    response = ask(start(), b"/sub/")
    assert dict(response.fields)[b"Content-Type"] == b"text/html; charset=utf-8"
    assert content(response) == b"index of sub"


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (("first.txt", "index.html"), b"first"),
        (("index.html", "first.txt"), b"index of sub"),
        (("none", "index.html"), b"index of sub"),
        (("folder", "first.txt"), b"first"),
    ],
    ids=["first wins", "other order", "the first is missing", "the first is a folder"],
)
def test_first_index_that_is_a_file_wins(
    start: Start, folder: Path, index: tuple[str, ...], expected: bytes
):
    write(folder / "sub" / "first.txt", b"first")
    (folder / "sub" / "folder").mkdir()
    assert content(ask(start(index=index), b"/sub/")) == expected


def test_t21_index_that_leaves_the_root_is_none(start: Start, folder: Path):
    write(folder.parent / "secret", b"secret")
    (folder / "bare" / "index.html").symlink_to("../../secret")
    assert ask(start(), b"/bare/").status == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (b"/bare/", 403),
        (b"/", 403),
        (b"/none/", 404),
        (b"/page.html/", 404),
        (b"/sub/none/", 404),
        (b"/none", 404),
        (b"/page.html/index.html", 404),
    ],
)
def test_what_leads_nowhere_is_said(start: Start, path: bytes, status: int):
    response = ask(start(), path)
    assert response.status == status
    assert response.explanation
    assert response.pieces == ()
    assert response.validity is None


def test_t28_forbidden_index_is_not_passed_over(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Answering with the second index would show a page that was meant to be hidden behind the first."""
    write(folder / "sub" / "second.html", b"second")
    failing(monkeypatch, b"sub/index.html", FileForbidden("no"))
    assert ask(start(index=("index.html", "second.html")), b"/sub/").status == 403


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        (b"/sub", None, b"/sub/"),
        (b"/sub", b"", b"/sub/?"),
        (b"/sub", b"a=1&b=%20/?", b"/sub/?a=1&b=%20/?"),
        (b"/a b", None, b"/a%20b/"),
        (b"/a%3Fb#c?d", None, b"/a%253Fb%23c%3Fd/"),
        (b"/\\evil.com", None, b"/%5Cevil.com/"),
        (b"/line\r\nSet-Cookie: x", None, b"/line%0D%0ASet-Cookie:%20x/"),
        (b"/\xff\xc3\xa9", None, b"/%FF%C3%A9/"),
        (b"/\t/evil.com", None, b"/%09/evil.com/"),
    ],
)
def test_t24_folder_without_slash_leads_to_itself_and_nowhere_else(
    start: Start, folder: Path, path: bytes, query: bytes | None, location: bytes
):
    os.makedirs(os.fsencode(folder) + path, exist_ok=True)
    response = ask(start(), path, query=query)
    assert (response.status, response.fields) == (301, [(b"Location", location)])


def test_t24_second_slash_that_the_parser_would_have_merged_leads_nowhere(
    start: Start, folder: Path
):
    (folder / "evil.com").mkdir()
    response = ask(start(), b"//evil.com")
    assert (response.status, response.fields) == (404, [])


# One shared file.


def test_shared_file_is_the_only_one(start: Start):
    handler = start(only="large.bin")
    assert content(ask(handler, b"/large.bin")) == LARGE
    for path in (b"/page.html", b"/sub/", b"/sub", b"/large.bin/", b"/sub/../large.bin", b"//"):
        assert ask(handler, path).status == 404, path


def test_root_of_a_shared_file_leads_to_it(start: Start, folder: Path):
    write(folder / "a b?.bin", b"x")
    response = ask(start(only="a b?.bin"), b"/")
    assert (response.status, response.fields) == (302, [(b"Location", b"/a%20b%3F.bin")])


def test_shared_file_that_became_a_folder_is_missing(start: Start, folder: Path):
    handler = start(only="page.html")
    (folder / "page.html").unlink()
    (folder / "page.html").mkdir()
    assert ask(handler, b"/page.html").status == 404


def test_shared_name_of_odd_bytes_is_found(start: Start, folder: Path):
    name = b"\xff\nodd"
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"odd")
    assert content(ask(start(only=os.fsdecode(name)), b"/" + name)) == b"odd"


# Failures of the system.


def failing(monkeypatch: pytest.MonkeyPatch, name: bytes, error: Exception) -> None:
    """Make opening `name` fail, and nothing else."""
    real = Root.open

    def open_(self: Root, asked: bytes, flags: int = os.O_RDONLY) -> int:
        if asked == name:
            raise error
        return real(self, asked, flags)

    monkeypatch.setattr(Root, "open", open_)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FileForbidden("no"), 403),
        (DescriptorsExhausted("no"), 503),
        (OSError(5, "EIO"), 500),
    ],
    ids=["forbidden", "out of descriptors", "disk error"],
)
@pytest.mark.parametrize("path", [b"/page.html", b"/sub/"])
def test_t28_failure_of_the_system_has_its_status(
    start: Start, monkeypatch: pytest.MonkeyPatch, path: bytes, error: Exception, status: int
):
    failing(monkeypatch, b"page.html" if path == b"/page.html" else b"sub/index.html", error)
    response = ask(start(), path)
    assert response.status == status
    assert ((b"Retry-After", b"1") in response.fields) is (status == 503)
    assert response.validity is None


@pytest.mark.parametrize("only", [None, "page.html"], ids=["folder", "one file"])
def test_explanations_tell_nothing_of_the_disk(start: Start, folder: Path, only: str | None):
    handler = start(only=only)
    for path in (b"/none", b"/none/", b"/<script>", b"/bare/"):
        explanation = ask(handler, path).explanation or ""
        assert str(folder) not in explanation
        assert path.decode() not in explanation


# Validity: when a prepared answer may be used again.


def test_answer_with_a_file_is_reusable_for_as_long_as_the_file_stays(start: Start, clock: Clock):
    response = ask(start(), b"/page.html")
    validity = response.validity
    assert validity is not None
    assert validity.valid_until_s == clock.now_s + 1.0
    for _ in range(3):
        clock.now_s += 1
        assert validity.still_holds(clock.now_s)
        assert validity.valid_until_s == clock.now_s + 1.0


@pytest.mark.parametrize(
    "path", [b"/none", b"/sub", b"/bare/", b"/page.html/"], ids=["404", "301", "403", "404 folder"]
)
def test_answer_without_a_file_is_never_reusable(start: Start, path: bytes):
    assert ask(start(), path).validity is None


def vanish(folder: Path) -> None:
    (folder / "sub" / "index.html").unlink()


def change(folder: Path) -> None:
    write(folder / "sub" / "index.html", b"changed")


def become_a_folder(folder: Path) -> None:
    (folder / "sub" / "index.html").unlink()
    (folder / "sub" / "index.html").mkdir()


def put_another_before_it(folder: Path) -> None:
    write(folder / "sub" / "first.html", b"first")


def move_the_folder(folder: Path) -> None:
    (folder / "sub").rename(folder / "moved")


@pytest.mark.parametrize(
    ("happens", "status", "expected"),
    [
        (vanish, 403, b""),
        (change, 200, b"changed"),
        (become_a_folder, 403, b""),
        (put_another_before_it, 200, b"first"),
        (move_the_folder, 404, b""),
    ],
    ids=lambda value: value.__name__.replace("_", " ") if callable(value) else "",
)
def test_answer_for_a_folder_depends_on_every_name_that_was_looked_at(
    start: Start,
    clock: Clock,
    folder: Path,
    happens: Callable[[Path], None],
    status: int,
    expected: bytes,
):
    handler = start(index=("first.html", "index.html", "last.html"))
    response = ask(handler, b"/sub/")
    validity = response.validity
    assert validity is not None
    assert content(response) == b"index of sub"
    happens(folder)
    assert validity.still_holds(clock.now_s), "within its time"
    clock.now_s += 1
    assert not validity.still_holds(clock.now_s)
    assert not validity.still_holds(clock.now_s + 1), "what no longer holds never holds again"
    new = ask(handler, b"/sub/")
    assert (new.status, content(new)) == (status, expected)


def test_name_behind_the_index_does_not_matter(start: Start, clock: Clock, folder: Path):
    handler = start(index=("index.html", "last.html"))
    validity = ask(handler, b"/sub/").validity
    assert validity is not None
    write(folder / "sub" / "last.html", b"last")
    clock.now_s += 1
    assert validity.still_holds(clock.now_s)


def test_racy_file_is_taken_for_granted_once_and_never_confirmed(
    start: Start, clock: Clock, folder: Path
):
    (folder / "page.html").write_bytes(b"just now")
    validity = ask(start(), b"/page.html").validity
    assert validity is not None
    assert validity.still_holds(clock.now_s)
    clock.now_s += 1
    assert not validity.still_holds(clock.now_s)


@pytest.mark.parametrize("give_back", ["give_back_descriptors", "sweep twice"])
def test_t29_prepared_answer_whose_file_was_closed_no_longer_holds(
    start: Start, clock: Clock, give_back: str
):
    handler = start(valid_s=100.0)
    response = ask(handler, b"/large.bin")
    (span,) = response.pieces
    validity = response.validity
    assert validity is not None
    assert isinstance(span, FileSpan)
    response.release()
    if give_back == "sweep twice":
        handler.sweep()
        handler.sweep()
    else:
        handler.give_back_descriptors()
    assert span.file.fd == CLOSED
    assert not validity.still_holds(clock.now_s)
    assert content(ask(handler, b"/large.bin")) == LARGE


def test_t10_file_given_back_stays_open_for_the_response_that_is_sent(start: Start):
    handler = start()
    response = ask(handler, b"/large.bin")
    handler.give_back_descriptors()
    assert content(response) == LARGE


def test_t10_every_kind_of_answer_a_hundred_times_leaves_nothing_open(
    start: Start, clock: Clock, folder: Path
):
    os.mkfifo(folder / "fifo")
    handler = start(valid_s=0.0)
    paths = [b"/page.html", b"/large.bin", b"/sub/", b"/sub", b"/bare/", b"/fifo", b"/none", b"/"]
    before = descriptors()
    for number in range(100):
        for path in paths:
            ranges = [(b"range", b"bytes=0-3,5-6")] if number % 3 else []
            ask(handler, path, *ranges).release()
            clock.now_s += 0.1
    handler.give_back_descriptors()
    assert descriptors() == before


def test_answers_depend_on_no_field_that_is_not_named(start: Start):
    """What the plan key leaves out must not matter."""
    handler = start()
    plain = ask(handler, b"/page.html")
    for name in (b"cookie", b"accept-language", b"user-agent", b"origin", b"authorization"):
        assert name not in DEPENDS_ON
        other = ask(handler, b"/page.html", (name, b"x"))
        assert (other.status, other.fields) == (plain.status, plain.fields)


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        (b"/cached", None, b"cached for the host"),
        (b"/nothing", b"file=../../secret", None),
        (b"/nothing", b"file=../secret", None),
        (b"/nothing", b"file=.hidden", None),
        (b"/nothing", b"file=shown", b"shown"),
    ],
)
def test_path_that_is_computed_is_tried_and_stays_beneath_the_root(
    folder: Path, start: Start, path: bytes, query: bytes | None, expected: bytes | None
):
    for name in ("cache/host/cached.html", "by/.hidden", "by/shown", "../secret"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    write(folder / "cache/host/cached.html", b"cached for the host")
    write(folder / "by/.hidden", b"hidden")
    write(folder / "by/shown", b"shown")
    write(folder.parent / "secret", b"secret")
    handler = start(try_files=("/cache/$host$uri.html", "/by/$arg_file", "$uri", "=404"))
    response = ask(handler, path, query=query)
    assert response.status == (404 if expected is None else 200)
    assert content(response) == (expected or b"")
