"""Both public functions behind one name, pairs of connected sockets, and readers in threads."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import chute
from chute.transfer.read_ahead import _null_fd

WAYS = ("blocking", "timeout", "asyncio", "uvloop")
"""`chute.sendfile` over a blocking socket and one with a time-out, `chute.sock_sendfile` under either loop."""

Send = Callable[..., chute.Carried]
"""The `send` fixture: like `chute.sendfile`, whichever function is behind it."""


def run_in_loop(way: str, main: Callable[[], object]) -> object:
    """Run the coroutine function `main` in a new loop."""
    factory = None
    if way == "uvloop":
        factory = pytest.importorskip("uvloop").new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main())


def send_by(way: str, sock: socket.socket, file: object, *arguments: object, **settings: object):
    """Send in the given way, and leave the socket's mode as that needs it."""
    if way in ("blocking", "timeout"):
        sock.settimeout(None if way == "blocking" else 10)
        return chute.sendfile(sock, file, *arguments, **settings)
    sock.setblocking(False)

    async def main() -> chute.Carried:
        return await chute.sock_sendfile(sock, file, *arguments, **settings)

    return run_in_loop(way, main)


def connected(
    kind: str, *, send_buffer: int = 0, receive_buffer: int = 0
) -> tuple[socket.socket, socket.socket]:
    """Return two ends of a connection: `tcp` or `unix`; ours first."""
    if kind == "unix":
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.socket()
            if send_buffer:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            if receive_buffer:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            ours.connect(listener.getsockname())
            theirs, _ = listener.accept()
    if send_buffer and kind == "unix":
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    ours.settimeout(10)
    theirs.settimeout(10)
    return ours, theirs


class Reader:
    """Reads everything from a socket in a thread.

    Attributes:
        received: the bytes, once `result` has returned; with `keeps=False` they are only counted.
        count: how many they are.
        digest: SHA-256 of them.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        pause_s: float = 0,
        first_pause_s: float = 0,
        keeps: bool = True,
        at_once: int = 1 << 18,
    ) -> None:
        self._sock = sock
        self._pause_s = pause_s
        self._first_pause_s = first_pause_s
        self._keeps = keeps
        self._at_once = at_once
        self.received = bytearray()
        self.count = 0
        self._hash = hashlib.sha256()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        time.sleep(self._first_pause_s)
        with contextlib.suppress(OSError):
            while data := self._sock.recv(self._at_once):
                self.count += len(data)
                if self._keeps:
                    self._hash.update(data)
                    self.received += data
                if self._pause_s:
                    time.sleep(self._pause_s)

    def result(self) -> bytes:
        """Wait until the other side has closed, and return what came."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "the sender did not close"
        return bytes(self.received)

    @property
    def digest(self) -> bytes:
        self._thread.join(30)
        return self._hash.digest()


@functools.cache
def _open_what_stays_open() -> None:
    """Chute's /dev/null, and the pipe for signals that uvloop keeps for the whole process."""
    _null_fd()
    with contextlib.suppress(ImportError):
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.sleep(0))


@contextlib.contextmanager
def descriptors_stay() -> Iterator[None]:
    """Assert that the block leaves as many descriptors open as there were."""
    _open_what_stays_open()
    before = sorted(os.listdir("/proc/self/fd"))
    yield
    after = sorted(os.listdir("/proc/self/fd"))
    assert len(after) <= len(before), [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in after
        if fd not in before and os.path.exists(f"/proc/self/fd/{fd}")
    ]


class TlsPair:
    """TLS contexts for both sides, with a certificate made for the test."""

    def __init__(self) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl, which makes the certificate, is not installed")
        with tempfile.TemporaryDirectory() as place:
            key, certificate = Path(place) / "key.pem", Path(place) / "certificate.pem"
            subprocess.run(
                [
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                    "-keyout",
                    str(key),
                    "-out",
                    str(certificate),
                    "-days",
                    "2",
                    "-subj",
                    "/CN=localhost",
                ],
                check=True,
                capture_output=True,
            )
            self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.server.load_cert_chain(certificate, key)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname = False
        self.client.verify_mode = ssl.CERT_NONE

    def connected(self, **settings: int) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
        """Return both ends of a TLS connection; ours, the server's side, first."""
        ours, theirs = connected("tcp", **settings)
        wrapped: list[ssl.SSLSocket] = []
        client = threading.Thread(target=lambda: wrapped.append(self.client.wrap_socket(theirs)))
        client.start()
        server = self.server.wrap_socket(ours, server_side=True)
        client.join()
        return server, wrapped[0]
