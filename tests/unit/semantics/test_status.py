"""The twin of chute.semantics.status."""

from __future__ import annotations

import pytest

from chute.semantics.status import reason_phrase, status_line


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(200, b"OK", id="the common one"),
        pytest.param(206, b"Partial Content", id="partial content"),
        pytest.param(413, b"Content Too Large", id="renamed by RFC 9110"),
        pytest.param(416, b"Range Not Satisfiable", id="renamed by RFC 7233"),
        pytest.param(428, b"Precondition Required", id="RFC 6585"),
        pytest.param(451, b"Unavailable For Legal Reasons", id="RFC 7725"),
        pytest.param(507, b"Insufficient Storage", id="RFC 4918"),
        pytest.param(299, b"", id="not registered"),
        pytest.param(418, b"", id="reserved and therefore unused"),
    ],
)
def test_reason_phrase_is_the_registered_one(status: int, expected: bytes) -> None:
    assert reason_phrase(status) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(200, b"HTTP/1.1 200 OK\r\n", id="registered"),
        pytest.param(299, b"HTTP/1.1 299 \r\n", id="without a phrase the space stays"),
    ],
)
def test_status_line_is_complete(status: int, expected: bytes) -> None:
    assert status_line(status) == expected
