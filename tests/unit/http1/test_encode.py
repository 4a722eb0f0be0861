"""Rendering of response heads, and the gate against split responses."""

from __future__ import annotations

import pytest

from chute.errors import MisuseError
from chute.http1.encode import render_head, render_head_parts


def test_head_is_status_line_fields_and_blank_line():
    rendered = render_head(200, [(b"Content-Type", b"text/plain"), (b"x-a", b"")])
    assert rendered == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nx-a: \r\n\r\n"


def test_head_without_fields_is_an_interim_response():
    assert render_head(100, ()) == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_head_keeps_order_and_repeats():
    rendered = render_head(200, iter([(b"B", b"1"), (b"A", b"2"), (b"B", b"3")]))
    assert rendered.endswith(b"\r\nB: 1\r\nA: 2\r\nB: 3\r\n\r\n")


def test_parts_leave_a_gap_for_the_date():
    assert render_head_parts(200, [(b"Content-Type", b"text/plain")]) == (
        b"HTTP/1.1 200 OK\r\nServer: chute\r\nDate: ",
        b"\r\nContent-Type: text/plain\r\n\r\n",
    )


def test_parts_take_any_server_token():
    before, _ = render_head_parts(404, [], server=b"x/1.0")
    assert before == b"HTTP/1.1 404 Not Found\r\nServer: x/1.0\r\nDate: "


def test_parts_send_no_server_when_it_is_empty():
    before, after = render_head_parts(200, [], server=b"")
    assert before + after == b"HTTP/1.1 200 OK\r\nDate: \r\n\r\n"


def test_tab_and_obs_text_may_stand_in_a_value():
    assert b"X: a\tb\xff\r\n" in render_head(200, [(b"X", b"a\tb\xff")])


CONTROLS = [octet for octet in (*range(0x20), 0x7F) if octet != ord("\t")]


@pytest.mark.parametrize("octet", CONTROLS)
def test_control_character_in_a_value_is_misuse(octet: int):
    with pytest.raises(MisuseError):
        render_head(200, [(b"X", b"a" + bytes([octet]) + b"b")])


@pytest.mark.parametrize("octet", [*CONTROLS, ord(" "), ord("\t"), ord(":"), 0x80])
def test_octet_outside_token_in_a_name_is_misuse(octet: int):
    with pytest.raises(MisuseError):
        render_head(200, [(b"X" + bytes([octet]), b"a")])


def test_empty_name_is_misuse():
    with pytest.raises(MisuseError):
        render_head(200, [(b"", b"a")])


@pytest.mark.parametrize(
    "fields",
    [
        [(b"Location", b"/\r\nSet-Cookie: a=b")],
        [(b"X\r\nSet-Cookie: a=b\r\nY", b"1")],
        [(b"X", b"\r\n\r\nHTTP/1.1 200 OK")],
    ],
    ids=["a line in a value", "a line in a name", "a response in a value"],
)
def test_response_cannot_be_split(fields: list[tuple[bytes, bytes]]):
    with pytest.raises(MisuseError):
        render_head_parts(302, fields)


def test_server_token_cannot_split_the_response():
    with pytest.raises(MisuseError):
        render_head_parts(200, [], server=b"a\r\nX: b")
