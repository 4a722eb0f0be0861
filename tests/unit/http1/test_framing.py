"""Bounds and contracts of the body decoders; the chunked grammar is in tests/wire."""

from __future__ import annotations

import pytest

from chute.errors import MisuseError, PeerError
from chute.http1.framing import ChunkedDecoder, LengthDecoder, decoder_for
from chute.semantics.messages import RequestHead


def head(*, content_length: int = 0, is_chunked: bool = False) -> RequestHead:
    return RequestHead(b"POST", b"/", 1, [], content_length=content_length, is_chunked=is_chunked)


def test_head_without_content_needs_no_decoder():
    assert decoder_for(head(), 10) is None


def test_content_length_at_the_limit_is_decoded_by_length():
    decoder = decoder_for(head(content_length=10), 10)
    assert isinstance(decoder, LengthDecoder)
    assert decoder.remaining == 10


def test_content_length_above_the_limit_is_413():
    with pytest.raises(PeerError) as caught:
        decoder_for(head(content_length=11), 10)
    assert caught.value.status_hint == 413


def test_chunked_head_is_decoded_by_chunks():
    assert isinstance(decoder_for(head(is_chunked=True), 10), ChunkedDecoder)


@pytest.mark.parametrize("at", range(8))
def test_length_decoder_takes_exactly_its_length(at: int):
    data = b"helloGET"
    decoder = LengthDecoder(5)
    first, used = decoder.feed(data[:at])
    second, _ = decoder.feed(data[used:])
    assert b"".join(first + second) == b"hello"
    assert decoder.is_complete
    assert decoder.content_bytes == 5


def test_length_decoder_is_incomplete_until_the_last_byte():
    decoder = LengthDecoder(2)
    decoder.feed(b"x")
    assert not decoder.is_complete


@pytest.mark.parametrize(
    "decoder", [LengthDecoder(0), ChunkedDecoder(9)], ids=["length", "chunked"]
)
def test_complete_decoder_uses_nothing(decoder: LengthDecoder | ChunkedDecoder):
    decoder.feed(b"0\r\n\r\n")
    assert decoder.is_complete
    assert decoder.feed(b"GET /") == ([], 0)


@pytest.mark.parametrize(
    "decoder", [LengthDecoder(5), ChunkedDecoder(9)], ids=["length", "chunked"]
)
def test_content_is_not_copied(decoder: LengthDecoder | ChunkedDecoder):
    data = bytearray(b"5\r\nhello" if isinstance(decoder, ChunkedDecoder) else b"hello")
    pieces, _ = decoder.feed(memoryview(data))
    assert [piece.obj for piece in pieces] == [data]


def test_content_arrives_before_its_chunk_is_complete():
    decoder = ChunkedDecoder(100)
    pieces, used = decoder.feed(b"a\r\nhello")
    assert b"".join(pieces) == b"hello"
    assert used == 8


def test_content_above_the_limit_is_refused_before_it_arrives():
    with pytest.raises(PeerError) as caught:
        ChunkedDecoder(9).feed(b"a\r\n")
    assert caught.value.status_hint == 413


def test_decoder_that_refused_may_not_be_fed_again():
    """Going on behind an error would be a second opinion on where the body ends."""
    decoder = ChunkedDecoder(9)
    with pytest.raises(PeerError):
        decoder.feed(b"x\r\n")
    with pytest.raises(MisuseError):
        decoder.feed(b"0\r\n\r\n")
    assert not decoder.is_complete


def refusal_of(data: bytes, *, step: int) -> tuple[int, int]:
    """Feed `data` in pieces; return the status it earned and how many bytes it took to see that."""
    decoder = ChunkedDecoder(1_000_000)
    for at in range(0, len(data), step):
        try:
            decoder.feed(data[at : at + step])
        except PeerError as error:
            return error.status_hint, min(at + step, len(data))
    pytest.fail("was not refused")


@pytest.mark.parametrize("step", [1, 1000, 10**6], ids=["byte by byte", "pieces", "whole"])
@pytest.mark.parametrize(
    ("data", "seen_max"),
    [
        (b"1;" + b"a" * 100_000, 4200),
        (b"1;aaaaaaaa\r\nx\r\n" * 1000, 8000),
        (b"0" * 100_000, 4200),
        (b"0\r\nX: " + b"a" * 100_000, 8300),
        (b"0\r\n" + b"X: 1\r\n" * 10_000, 8300),
        (b"1\r\nx" + b"a" * 100_000, 8),
    ],
    ids=[
        "one endless extension",
        "many short extensions",
        "endless digits",
        "one endless trailer line",
        "endless trailer section",
        "endless line behind the content",
    ],
)
def test_every_line_is_bounded(data: bytes, seen_max: int, step: int):
    status, seen = refusal_of(data, step=step)
    assert status == 400
    assert seen <= seen_max + step


def test_extensions_up_to_the_bound_pass():
    decoder = ChunkedDecoder(10)
    decoder.feed(b"0;" + b"a" * 4095 + b"\r\n\r\n")
    assert decoder.is_complete


def test_trailer_section_up_to_the_bound_passes():
    decoder = ChunkedDecoder(10)
    line = b"X: " + b"a" * (8192 - 2 - 5) + b"\r\n"
    decoder.feed(b"0\r\n" + line + b"\r\n")
    assert decoder.is_complete
