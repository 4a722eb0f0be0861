"""Uploads as the engine would do them: a request, its content block by block, and the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chute.exchange import Request, Response
from chute.semantics.messages import RequestHead
from chute.semantics.validators import entity_tag_for_file
from chute.static.uploads import LANE, Uploads

Lines = tuple[tuple[bytes, bytes], ...]
Start = Callable[..., Uploads]

ANY_MATCH = (b"if-match", b"*")
NONE_MATCH = (b"if-none-match", b"*")
FORM_TYPE = (b"content-type", b"multipart/form-data; boundary=limit")


def request_for(
    path: bytes, *lines: tuple[bytes, bytes], method: bytes = b"PUT", length: int = 0
) -> Request:
    head = RequestHead(method, path, 1, list(lines), content_length=length)
    return Request(head, path, None, b"host:8000")


def form_request(*lines: tuple[bytes, bytes]) -> Request:
    return request_for(b"/", FORM_TYPE, *lines, method=b"POST")


def put(
    uploads: Uploads,
    path: bytes,
    content: bytes = b"content",
    *lines: tuple[bytes, bytes],
    method: bytes = b"PUT",
    block_bytes: int = 3,
) -> Response:
    """Do what the engine does, and return the answer."""
    answer = uploads.respond(request_for(path, *lines, method=method, length=len(content)))
    if isinstance(answer, Response):
        return answer
    assert answer.lane == LANE
    for offset in range(0, len(content), block_bytes):
        response = answer.intake.blocking_take(content[offset : offset + block_bytes])
        if response is not None:
            return response
    return answer.intake.blocking_finish()


def part(filename: bytes, content: bytes) -> bytes:
    head = b'--limit\r\nContent-Disposition: form-data; name="f"; filename="%b"\r\n\r\n' % filename
    return head + content + b"\r\n"


def post(
    uploads: Uploads, path: bytes, parts: bytes, *lines: tuple[bytes, bytes], block_bytes: int = 7
) -> Response:
    content = parts + b"--limit--\r\n"
    return put(uploads, path, content, FORM_TYPE, *lines, method=b"POST", block_bytes=block_bytes)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def tag_of(path: Path) -> bytes:
    status = path.stat()
    return entity_tag_for_file(status.st_mtime_ns, status.st_size).encoded
