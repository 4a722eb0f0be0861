"""Bytes that no client should send, cut where no client would cut them, to a real server.

Invariant: whatever arrives, in whatever pieces, the server answers with well-formed responses or with nothing, never
with a fault of its own (5xx other than 501 and 505), closes when the peer has finished, keeps no descriptor, logs no
failure, and answers the next good request.

Documented exceptions: none.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from running import RunningChute, wait_until
from shared import shared_server

CONTENT = b"content of the one file\n"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3}) [ -~]*\r\n")
OUR_FAULTS = frozenset(range(500, 600)) - {501, 505}


def fill(folder: Path) -> None:
    (folder / "a.txt").write_bytes(CONTENT)
    (folder / "large.bin").write_bytes(bytes(100_000))
    (folder / "sub").mkdir()


server = shared_server(fill)

GOOD_REQUESTS = (
    b"GET /a.txt HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html;q=0.9, */*\r\n\r\n",
    b"HEAD /large.bin HTTP/1.1\r\nHost: a:80\r\nRange: bytes=0-5, 7-9\r\n\r\n",
    b'GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=-5\r\nIf-Range: "x"\r\nIf-None-Match: *\r\n\r\n',
    b"GET http://a.example/sub?q=%20 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
    b"POST /a.txt HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nbody\r\n0\r\nT: x\r\n\r\n",
    b"PUT /sub/../a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
    b"OPTIONS * HTTP/1.1\r\nHost: [::1]:8000\r\nConnection: keep-alive, foo\r\n\r\n",
    b"GET /%61.txt HTTP/1.0\r\nConnection: keep-alive\r\nIf-Modified-Since: Mon, 23 Nov 2026 05:45:28 GMT\r\n\r\n",
)

TOKENS = (
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b"\xff",
        b"%00",
        b"%2e%2e/",
    ),
    *(
        b"//",
        b"/../",
        b"\\",
        b"?",
        b"#",
        b"*",
        b"chunked",
        b"Transfer-Encoding: chunked\r\n",
        b"0x4",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Host: b\r\n",
        b" HTTP/1.1",
        b"HTTP/9.9",
    ),
    *(
        b"X: " + b"x" * 20_000,
        b"/" + b"y" * 9000,
        b"Z: z\r\n" * 120,
        b"99999999999999999999",
        b"ffffffffffffffff",
    ),
)

PIECES = st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6))


@st.composite
def mutated_requests(draw: st.DrawFn) -> bytes:
    """Some good requests in a row, damaged in a few places."""
    requests = draw(st.lists(st.sampled_from(GOOD_REQUESTS), min_size=1, max_size=4))
    stream = bytearray(b"".join(requests))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(stream)))
        removed = draw(st.sampled_from((0, 0, 1, 2, 10)))
        stream[at : at + removed] = draw(PIECES)
    return bytes(stream)


STREAMS = st.one_of(mutated_requests(), mutated_requests(), st.binary(max_size=200))
CUTS = st.lists(st.floats(0, 1), max_size=6)

BOUNDED = settings(
    max_examples=800,
    deadline=None,
    database=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def converse(chute: RunningChute, stream: bytes, cuts: list[float]) -> bytes:
    """Send `stream` in pieces, finish, and return everything that came back."""
    with socket.create_connection(chute.address, timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = bytearray()
        at = 0
        try:
            for end in sorted({int(cut * len(stream)) for cut in cuts} | {len(stream)}):
                sock.sendall(stream[at:end])
                at = end
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has been refused already
        try:
            while data := sock.recv(1 << 16):
                received += data
        except ConnectionResetError:
            pass
        return bytes(received)


@BOUNDED
@given(stream=STREAMS, cuts=CUTS)
def test_server_survives_every_stream_of_bytes(
    server: RunningChute, stream: bytes, cuts: list[float]
):
    answers = converse(server, stream, cuts)
    if answers:
        assert STATUS_LINE.match(answers), "it begins with a status line"
    statuses = {int(match[1]) for match in STATUS_LINE.finditer(answers)}
    assert not statuses & OUR_FAULTS, sorted(statuses)


def test_server_is_unharmed_afterwards(server: RunningChute):
    """Runs as many streams again without looking at the answers, then asks what became of the server."""
    server.get("/a.txt")
    before = server.descriptors()

    @settings(BOUNDED, max_examples=400)
    @given(stream=STREAMS, cuts=CUTS)
    def attack(stream: bytes, cuts: list[float]) -> None:
        converse(server, stream, cuts)

    attack()
    assert server.is_alive()
    assert server.get("/a.txt").body == CONTENT
    # A file that was asked for may stay open for a while, one descriptor per name.
    wait_until(lambda: server.descriptors() <= before + 2, what="descriptors given back")
    assert "ERROR" not in server.errors(), server.errors()


@settings(BOUNDED, max_examples=400)
@given(request=st.sampled_from(GOOD_REQUESTS), cuts=CUTS)
def test_cuts_do_not_change_the_answer(server: RunningChute, request: bytes, cuts: list[float]):
    """Date, boundary and what is not asked for aside, a request is answered alike however it arrives."""
    whole, in_pieces = converse(server, request, []), converse(server, request, cuts)
    changing = re.compile(rb"Date: [^\r]*\r\n|[0-9a-f]{32}")
    assert changing.sub(b"", in_pieces) == changing.sub(b"", whole)
