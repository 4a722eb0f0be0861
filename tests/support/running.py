"""A real `chute` process for tests, and raw sockets to talk to it.

Nothing here interprets HTTP more than a test needs: requests are bytes that the test wrote, and a reply is what was
on the wire, cut by its Content-Length.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

TIMEOUT_S = 10.0
_ADDRESS = re.compile(
    r" at (?:http://(?P<host>\[[^]]+\]|[^/:]+):(?P<port>\d+)/|unix:(?P<path>\S+))"
)


Serve = Callable[..., "RunningChute"]
"""The `serve` fixture: options of `chute serve` in, a running server out."""


@dataclass
class Reply:
    """One response as it was on the wire."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes
    head: bytes = b""

    def __getitem__(self, name: str) -> str:
        values = [value for line_name, value in self.fields if line_name == name.lower()]
        assert len(values) == 1, f"{name}: {values}"
        return values[0]

    def __contains__(self, name: str) -> bool:
        return any(line_name == name.lower() for line_name, _ in self.fields)

    def get(self, name: str) -> str | None:
        if name not in self:
            return None
        return self[name]


class Wire:
    """A client connection; keeps what it has read beyond a reply."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pending = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read_head(self) -> Reply:
        """Read up to the blank line; the body stays on the wire."""
        while b"\r\n\r\n" not in self.pending:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(f"closed after {self.pending!r}")
            self.pending += data
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").split("\r\n")
        version, status, _ = status_line.split(" ", 2)
        assert version == "HTTP/1.1", status_line
        fields = []
        for line in lines:
            name, separator, value = line.partition(":")
            assert separator == ":", line
            fields.append((name.lower(), value.strip()))
        return Reply(int(status), fields, b"", head + b"\r\n\r\n")

    def read_body(self, count: int) -> bytes:
        while len(self.pending) < count:
            data = self.sock.recv(1 << 20)
            if not data:
                raise EOFError(f"closed at {len(self.pending)} of {count}")
            self.pending += data
        body, self.pending = self.pending[:count], self.pending[count:]
        return body

    def read_reply(self, method: str = "GET") -> Reply:
        reply = self.read_head()
        if method != "HEAD" and reply.status not in (204, 304) and reply.status >= 200:
            reply.body = self.read_body(int(reply["content-length"]))
        return reply

    def request(self, head: bytes, method: str | None = None) -> Reply:
        self.send(head)
        return self.read_reply(method or head.split(b" ", 1)[0].decode())

    def get(self, target: str, *lines: str, method: str = "GET") -> Reply:
        """Send a plain request for `target` with extra field lines, keep-alive."""
        text = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: test", *lines, "", ""])
        return self.request(text.encode("latin-1"), method)

    def is_closed(self) -> bool:
        """Whether the server ends the connection without another byte, within the socket's time-out."""
        if self.pending:
            return False
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class RunningChute:
    """A server process, started with `chute serve`, and what can be seen of it from outside."""

    process: subprocess.Popen[bytes]
    address: tuple[str, int] | str
    access_log: Path
    error_log: Path
    folder: Path
    _wires: list[Wire] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        assert isinstance(self.address, tuple)
        return f"http://{self.address[0]}:{self.address[1]}"

    def connect(self, *, timeout_s: float = TIMEOUT_S, receive_buffer: int | None = None) -> Wire:
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout_s)
        sock.connect(self.address)
        wire = Wire(sock)
        self._wires.append(wire)
        return wire

    def get(self, target: str, *lines: str, method: str = "GET") -> Reply:
        """One request on a connection of its own."""
        with self.connect() as wire:
            return wire.get(target, *lines, method=method)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_s(self) -> float:
        """CPU seconds used so far, user and system."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def log_lines(self, count: int, *, within_s: float = 5.0) -> list[str]:
        """Wait until the access log has at least `count` lines, and return all of them."""
        give_up = time.monotonic() + within_s
        while True:
            lines = self.access_log.read_text().splitlines() if self.access_log.exists() else []
            if len(lines) >= count:
                return lines
            assert time.monotonic() < give_up, f"{len(lines)} of {count} log lines: {lines[-3:]}"
            time.sleep(0.05)

    def errors(self) -> str:
        return self.error_log.read_text()

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> int:
        """Stop the server with SIGTERM and return its exit code."""
        for wire in self._wires:
            wire.close()
        if self.is_alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def wait_until(condition, *, within_s: float = 5.0, what: str = "the condition") -> None:  # noqa: ANN001
    """Poll `condition` until it is true; fail with `what` when it takes too long."""
    give_up = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up, f"{what} did not come within {within_s} s"
        time.sleep(0.02)


def let_age(folder: Path) -> None:
    """Date every young file of a tree a minute back: what is younger than two seconds gets a weak tag."""
    young_ns = time.time_ns() - 10 * 10**9
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(path, name))
                if stat.S_ISREG(status.st_mode) and status.st_mtime_ns > young_ns:
                    dated_ns = status.st_mtime_ns - 60 * 10**9
                    os.utime(os.path.join(path, name), ns=(dated_ns, dated_ns))


def start_chute(
    folder: Path,
    place: Path,
    *options: str,
    bind: str = "127.0.0.1:0",
    limits: dict[int, int] | None = None,
    program: tuple[str, ...] = ("-m", "chute"),
    ages: bool = True,
) -> RunningChute:
    """Start `chute serve folder` with its logs in `place`, and wait until it listens.

    Args:
        folder: what to serve.
        place: a folder for logs, not the served one.
        options: further options of the command.
        bind: where to listen.
        limits: resource limits of the process, as for `resource.setrlimit`.
        program: what Python runs: chute, or a file that changes something about it first.
        ages: whether files that were written just now are made older, so that their tags are strong.
    """
    access_log, error_log = place / "access.log", place / "error.log"
    if ages:
        let_age(folder)

    def apply_limits() -> None:
        import resource

        for kind, value in (limits or {}).items():
            resource.setrlimit(kind, (value, value))

    command = [sys.executable, *program, "serve", str(folder), "--bind", bind]
    command += ["--access-log", str(access_log), *options]
    with error_log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            preexec_fn=apply_limits if limits else None,  # noqa: PLW1509 - no thread of ours holds a lock here
        )
    give_up = time.monotonic() + TIMEOUT_S
    while (match := _ADDRESS.search(error_log.read_text())) is None:
        assert process.poll() is None, error_log.read_text()
        assert time.monotonic() < give_up, "the server did not say where it listens"
        time.sleep(0.01)
    address = match["path"] or (match["host"], int(match["port"]))
    return RunningChute(process, address, access_log, error_log, folder)
