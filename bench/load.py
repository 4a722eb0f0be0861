"""The load: what `wrk` asks for, and the proof that answers are right before any are counted."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import cpu, environment

KIB = 1024
MIB = 1024 * KIB

WRK_MISSING = """\
wrk is not installed; it makes the load.
  Debian, Ubuntu: apt install wrk    Fedora: dnf install wrk
  Arch: pacman -S wrk                Alpine: apk add wrk"""

_SCRIPT = Path(__file__).with_name("heads.lua")
_MARK = "bench-mark"
_TOTALS = re.compile(r"^BENCH (.*)$", re.MULTILINE)
_GRACE_SECONDS = 30
_BY_BYTES_FROM = MIB

# With the process id it makes a serial that no two runs share, so no head is ever sent twice.
_runs = itertools.count()


@dataclass(frozen=True)
class Case:
    """One kind of request.

    Attributes:
        name: what the user types.
        size: bytes of the file that is asked for.
        unique: the head differs in every request, so nothing prepared for a head can be used again.
        connections: as many as the user asked for when None.
    """

    name: str
    size: int
    unique: bool = False
    connections: int | None = None

    @property
    def file_name(self) -> str:
        """The file of the site this case asks for."""
        return f"{self.size}.bin"

    @property
    def by_bytes(self) -> bool:
        """Whether requests are counted by the bytes received.

        A run ends in the middle of as many answers as it has connections: nothing among 100 000
        small ones, but most of the work among a few large ones.
        """
        return self.size >= _BY_BYTES_FROM


CASES = (
    Case("100B", 100),
    Case("1KiB", KIB),
    Case("1KiB-unique", KIB, unique=True),
    Case("16KiB", 16 * KIB),
    Case("64KiB", 64 * KIB),
    Case("1MiB", MIB),
    Case("100MiB", 100 * MIB, connections=4),
)


@dataclass(frozen=True)
class Load:
    """What the load generator saw.

    Attributes:
        requests: answers received; a fraction where they are counted by their bytes.
        received_bytes: heads and bodies.
        seconds: how long it took.
        errors: what went wrong, in words; empty when nothing did.
    """

    requests: float
    received_bytes: int
    seconds: float
    errors: str


def browser_fields(url: str) -> dict[str, str]:
    """The fields a browser sends, the same in every case; unique heads differ in the cookie."""
    return {
        "Host": urlsplit(url).netloc,
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "Accept-Language": "en-US,en;q=0.5",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Connection": "keep-alive",
        "Cookie": f"theme=dark; consent=yes; session={_MARK}",
        "Upgrade-Insecure-Requests": "1",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "none",
        "Priority": "u=0, i",
    }


def request_head(url: str) -> bytes:
    """The request of every case, as the bytes that are sent."""
    lines = [f"{name}: {value}" for name, value in browser_fields(url).items()]
    return "\r\n".join([f"GET {urlsplit(url).path} HTTP/1.1", *lines, "", ""]).encode()


def run_wrk(url: str, case: Case, *, seconds: int, connections: int) -> Load:
    """Load `url` for some seconds, from the core that is kept free for it.

    Raises:
        RuntimeError: wrk failed or did not end; nothing it did can be counted.
    """
    wrk = shutil.which("wrk")
    assert wrk is not None, "the caller has checked that wrk is there"
    options = [f"-d{seconds}s", "-t1", f"-c{case.connections or connections}", "--timeout", "60s"]
    serial = ["--", f"{os.getpid():x}-{next(_runs):x}"] if case.unique else []
    try:
        with cpu.pinned(cpu.LOAD_CORE):
            done = subprocess.run(
                [wrk, *options, "-s", str(_SCRIPT), url, *serial],
                capture_output=True,
                text=True,
                timeout=seconds + _GRACE_SECONDS,
                check=False,
                env={**os.environ, "BENCH_HEAD": request_head(url).decode()},
            )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"wrk did not end within {error.timeout:.0f} s") from error
    totals = _TOTALS.search(done.stdout)
    if done.returncode != 0 or totals is None:
        raise RuntimeError(f"wrk failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return _load_of(totals[1], case)


def count_answers(url: str, fields: dict[str, str], *, seconds: int, connections: int) -> int:
    """Ask for `url` for some seconds, from the core that is kept free for it; return how many answers came.

    Raises:
        RuntimeError: wrk failed, or an answer was no success.
    """
    wrk = shutil.which("wrk")
    assert wrk is not None, "the caller has checked that wrk is there"
    lines = [part for name, value in fields.items() for part in ("-H", f"{name}: {value}")]
    with cpu.pinned(cpu.LOAD_CORE):
        done = subprocess.run(
            [wrk, f"-d{seconds}s", "-t1", f"-c{connections}", "--timeout", "60s", *lines, url],
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_SECONDS,
            check=False,
        )
    counted = re.search(r"(\d+) requests in", done.stdout)
    if done.returncode != 0 or counted is None or "Non-2xx" in done.stdout:
        raise RuntimeError(f"wrk failed: {(done.stderr or done.stdout).strip()[-200:]}")
    return int(counted[1])


def _load_of(totals: str, case: Case) -> Load:
    figures = {
        name: int(value) for name, _, value in (part.partition("=") for part in totals.split())
    }
    problems = [
        f"{figures[name]} {name} errors"
        for name in ("connect", "read", "write", "status", "timeout")
        if figures[name]
    ]
    received, answers = figures["bytes"], figures["requests"]
    if not received:
        problems.append("no answer")
    # wrk counts a redirect as a success, but an answer shorter than the file cannot hide here.
    elif received < answers * case.size:
        problems.append(f"{received / answers:.0f} bytes per answer")
    requests = received / case.size if case.by_bytes else answers
    return Load(requests, received, figures["microseconds"] / 1e6, ", ".join(problems))


def check_answer(url: str, file: Path) -> str:
    """Ask as the load will and compare the body with the file; returns what is wrong, or ''."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    seen = hashlib.sha256()
    try:
        connection.request("GET", parts.path, headers=browser_fields(url))
        answer = connection.getresponse()
        while chunk := answer.read(MIB):
            seen.update(chunk)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error!r}"
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK:
        return f"status {answer.status}"
    return "" if seen.hexdigest() == environment.digest(file) else "wrong bytes"
