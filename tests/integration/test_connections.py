"""When a connection goes on, when it ends, and how it ends well."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from running import RunningChute, Serve, Wire, start_chute
from shared import shared_server

LARGE = os.urandom(200_000)
CONTENT_BYTES_MAX = 1024 * 1024


def fill(folder: Path) -> None:
    (folder / "a.txt").write_bytes(b"abc")
    (folder / "large.bin").write_bytes(LARGE)


server = shared_server(fill)


@pytest.mark.parametrize(
    ("version", "lines", "goes_on"),
    [
        ("1.1", [], True),
        ("1.1", ["Connection: keep-alive"], True),
        ("1.1", ["Connection: close"], False),
        ("1.1", ["Connection: Close"], False),
        ("1.1", ["Connection: foo, close"], False),
        ("1.1", ["Connection: keep-alive, close"], False),
        ("1.0", [], False),
        ("1.0", ["Connection: keep-alive"], True),
        ("1.0", ["Connection: Keep-Alive"], True),
        ("1.0", ["Connection: close"], False),
    ],
)
def test_persistence_follows_version_and_options(
    server: RunningChute, version: str, lines: list[str], goes_on: bool
):
    request = "\r\n".join([f"GET /a.txt HTTP/{version}", "Host: a", *lines, "", ""]).encode()
    for _ in range(3):  # from the handler, then from a plan
        with server.connect() as wire:
            reply = wire.request(request)
            assert reply.body == b"abc"
            if goes_on:
                assert reply.get("connection") == ("keep-alive" if version == "1.0" else None)
                assert wire.get("/a.txt").status == 200
            else:
                assert reply["connection"] == "close"
                assert wire.is_closed()


@pytest.mark.parametrize(
    "content",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
    ],
)
def test_content_that_nobody_wants_is_read_away(server: RunningChute, content: bytes):
    request = b"PUT /a.txt HTTP/1.1\r\nHost: a\r\n" + content
    for cut in (None, 30, len(request) - 3):
        with server.connect() as wire:
            wire.send(request[:cut])
            if cut is not None:
                time.sleep(0.02)
                wire.send(request[cut:])
            assert wire.read_reply().status == 405
            assert wire.get("/a.txt").body == b"abc"


@pytest.mark.parametrize("is_chunked", [False, True], ids=["by length", "chunked"])
def test_content_up_to_the_limit_keeps_the_connection(server: RunningChute, is_chunked: bool):
    content = bytes(CONTENT_BYTES_MAX)
    framing = b"Content-Length: %d\r\n\r\n" % len(content)
    if is_chunked:
        framing = b"Transfer-Encoding: chunked\r\n\r\n"
        parts = (content[at : at + 50_000] for at in range(0, len(content), 50_000))
        content = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    with server.connect() as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + content)
        assert wire.read_reply().status == 405
        assert wire.get("/a.txt").body == b"abc"


def test_content_beyond_the_limit_is_refused(server: RunningChute):
    for count in (CONTENT_BYTES_MAX + 1, 10**15):
        for method, status in ((b"GET", 413), (b"POST", 405)):
            with server.connect() as wire:
                wire.send(
                    b"%b / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (method, count)
                )
                reply = wire.read_reply()
                assert (reply.status, reply["connection"]) == (status, "close")


def test_endless_chunked_content_ends_the_connection(server: RunningChute):
    with server.connect() as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert wire.read_reply().status == 405
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            wire.send((b"8000\r\n" + bytes(0x8000) + b"\r\n") * 1000)


def test_broken_chunk_after_the_answer_is_not_a_request(server: RunningChute):
    """The answer has left before the framing broke; what follows has no beginning that could be trusted."""
    with server.connect() as wire:
        wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert wire.read_reply().status == 405
        wire.send(b"zz\r\nGET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.is_closed()


def test_expectation_is_answered_with_the_final_status(server: RunningChute):
    """No handler wants content, so no 100 asks for it; and as it may or may not follow, the connection ends."""
    with server.connect() as wire:
        wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        reply = wire.read_reply()
        assert (reply.status, reply["connection"]) == (405, "close")
        assert wire.is_closed()


def test_expectation_of_http_1_0_is_ignored(server: RunningChute):
    """RFC 9110, 10.1.1: a server MUST ignore a 100-continue expectation in an HTTP/1.0 request."""
    with server.connect() as wire:
        lines = b"Connection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
        wire.send(b"POST /a.txt HTTP/1.0\r\n" + lines)
        assert wire.read_reply().status == 405
        assert wire.get("/a.txt").body == b"abc"


def test_unknown_expectation_is_refused(server: RunningChute):
    assert server.get("/a.txt", "Expect: magic").status == 417


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (b"BAD REQUEST\r\n\r\n", 400),
        (b"GET /a.txt HTTP/1.1\r\n\r\n", 400),
        (b"GET /a.txt HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /a.txt HTTP/2.7\r\nHost: a\r\n\r\n", 505),
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 9000), 414),
        (b"GET /a.txt HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 101 + b"\r\n", 431),
        (b"GET /a.txt HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 40_000), 431),
        (b"GET /a.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    ],
    ids=["nonsense", "no host", "length", "version", "long target", "many fields", "long", "close"],
)
def test_nothing_after_the_last_answer_is_answered(server: RunningChute, bad: bytes, status: int):
    with server.connect() as wire:
        wire.send(bad + b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.read_reply().status == status
        assert wire.is_closed()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n", 413),
        (b"NONSENSE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (
            b"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n",
            405,
        ),
        (b"PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1048576\r\n\r\n", 405),
    ],
    ids=["too much content", "nonsense", "TLS on a plain port", "expectation", "close"],
)
def test_client_that_is_still_sending_gets_its_answer(
    server: RunningChute, head: bytes, status: int
):
    """Closing at once would reset the connection and take the answer with it (RFC 9112, 9.6)."""
    for _ in range(5):
        with server.connect() as wire:
            wire.send(head)
            for _ in range(32):
                wire.send(bytes(32_768))
            assert wire.read_reply().status == status
            wire.sock.shutdown(socket.SHUT_WR)
            assert wire.sock.recv(1) == b"", "the end of the answer is no reset"


@pytest.mark.parametrize("target", ["/a.txt", "/large.bin", "/none"])
def test_half_closed_client_gets_its_answer(server: RunningChute, target: str):
    for lines in ([], ["Connection: close"]):
        with server.connect() as wire:
            request = "\r\n".join([f"GET {target} HTTP/1.1", "Host: a", *lines, "", ""])
            wire.send(request.encode())
            wire.sock.shutdown(socket.SHUT_WR)
            reply = wire.read_reply()
            assert reply.status == (404 if target == "/none" else 200)
            assert wire.is_closed()


def test_half_closed_client_gets_all_of_its_answers(server: RunningChute):
    with server.connect() as wire:
        wire.send(
            b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 40
        )
        wire.sock.shutdown(socket.SHUT_WR)
        for _ in range(40):
            assert wire.read_reply().body == LARGE
            assert wire.read_reply().body == b"abc"
        assert wire.is_closed()


def test_half_a_request_and_goodbye_is_just_closed(server: RunningChute):
    with server.connect() as wire:
        wire.send(b"GET / HTTP/1.1\r\nHo")
        wire.sock.shutdown(socket.SHUT_WR)
        assert wire.is_closed()


@pytest.mark.parametrize("accept", ["text/html", "application/json", "text/plain"])
def test_error_page_is_of_the_accepted_kind(server: RunningChute, accept: str):
    reply = server.get("/none", f"Accept: {accept}")
    assert reply["content-type"].partition(";")[0] == accept
    assert b"404" in reply.body


def test_read_of_exactly_one_buffer_is_not_the_last(server: RunningChute):
    """A read that fills its buffer says nothing about what is left; stalling here was a real risk."""
    pad = b"GET /a.txt HTTP/1.1\r\nHost: a\r\nX-Pad: %s\r\n\r\n"
    exact = pad % (b"x" * (16384 - len(pad) + 2))
    assert len(exact) == 16384
    for _ in range(4):
        with server.connect() as wire:
            wire.send(exact + b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            assert wire.read_reply().body == b"abc"
            assert wire.read_reply().body == LARGE


def test_unix_socket_is_served_and_its_name_removed(serve: Serve, folder: Path, tmp_path: Path):
    fill(folder)
    path = tmp_path / "chute.sock"
    chute = serve(bind=f"unix:{path}")
    assert chute.get("/large.bin").body == LARGE
    assert chute.log_lines(1)[0].startswith("unix: ")
    assert chute.stop() == 0
    assert not path.exists()


def test_unix_socket_left_behind_is_replaced(serve: Serve, folder: Path, tmp_path: Path):
    fill(folder)
    path = tmp_path / "chute.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert serve(bind=f"unix:{path}").get("/a.txt").body == b"abc"


def test_ipv6_is_served(folder: Path, tmp_path: Path):
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    fill(folder)
    try:
        chute = start_chute(folder, tmp_path, bind="[::1]:0")
    except AssertionError as error:
        if "cannot listen" in str(error):
            pytest.skip("no IPv6 loopback here")
        raise
    with socket.create_connection(("::1", int(chute.address[1])), timeout=5) as sock:
        sock.sendall(b"GET /a.txt HTTP/1.0\r\n\r\n")
        assert b"abc" in sock.makefile("rb").read()
    assert chute.stop() == 0


def test_inherited_descriptor_is_served(folder: Path, tmp_path: Path):
    """As systemd and other supervisors hand over a socket: it listens already, and `fd:N` names it."""
    fill(folder)
    errors = tmp_path / "errors"
    with socket.create_server(("127.0.0.1", 0)) as sock, errors.open("wb") as log:
        fd = sock.fileno()
        process = subprocess.Popen(
            [sys.executable, "-m", "chute", "serve", str(folder), "--bind", f"fd:{fd}"],
            pass_fds=[fd],
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            address = sock.getsockname()
            with Wire(socket.create_connection(address, timeout=10)) as wire:
                assert wire.get("/large.bin").body == LARGE
            assert f" at fd:{fd} " in errors.read_text()
        finally:
            process.terminate()
            assert process.wait(10) == 0, errors.read_text()


def test_several_addresses_are_served_at_once(serve: Serve, folder: Path, tmp_path: Path):
    fill(folder)
    path = tmp_path / "second.sock"
    chute = serve("--bind", f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        assert Wire(sock).get("/a.txt").body == b"abc"
    assert chute.get("/a.txt").body == b"abc"
