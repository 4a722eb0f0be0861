"""The system calls of a running server, as strace(1) saw them."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from running import RunningChute, wait_until

_WATCHED = (
    "sendfile splice sendto sendmsg write writev recvfrom recvmsg read readv pread64 preadv preadv2 mmap "
    "openat openat2 stat fstat lstat newfstatat statx epoll_ctl accept accept4"
)
CALLS = ",".join(f"?{name}" for name in _WATCHED.split())
"""Watched calls; the question mark lets strace pass over what a machine does not have."""

_LINE = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")


@dataclass
class Call:
    """One finished system call.

    Attributes:
        line: as strace wrote it; descriptors carry the path behind them in angle brackets.
    """

    name: str
    arguments: str
    result: int
    line: str

    @property
    def on(self) -> str:
        """The first argument: the descriptor that was acted upon, and what it stands for."""
        return self.arguments.split(", ", 1)[0]


@dataclass
class Trace:
    """What was seen; complete once `traced` is left."""

    calls: list[Call] = field(default_factory=list)

    def named(self, *names: str) -> list[Call]:
        return [call for call in self.calls if call.name in names]


def why_not() -> str | None:
    """Return why nothing can be traced here, or None when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    # Attaching is what may be forbidden (Yama, seccomp, a container), so attaching is what is tried.
    sleeper = subprocess.Popen(["sleep", "10"])
    try:
        tracer = _attach(sleeper.pid, Path("/dev/null"))
        if tracer is None:
            return "strace may not attach to a process here (ptrace is not permitted)"
        _detach(tracer)
    finally:
        sleeper.kill()
        sleeper.wait()
    return None


@contextlib.contextmanager
def traced(chute: RunningChute) -> Iterator[Trace]:
    """Trace all threads of the server for as long as the block runs."""
    trace = Trace()
    with tempfile.TemporaryDirectory() as place:
        output = Path(place) / "calls"
        tracer = _attach(chute.pid, output)
        assert tracer is not None, "strace could attach before, and cannot now"
        try:
            yield trace
        finally:
            _detach(tracer)
        trace.calls += _parsed(output.read_text("utf-8", "replace"))


def _attach(pid: int, output: Path) -> subprocess.Popen[bytes] | None:
    complaints = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the tracer
    tracer = subprocess.Popen(
        ["strace", "-f", "-y", "-s", "16", f"--trace={CALLS}", "-o", str(output), "-p", str(pid)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=complaints,
    )

    def said() -> bytes:
        complaints.seek(0)
        return complaints.read()

    wait_until(lambda: b"attached" in said() or tracer.poll() is not None, what="strace")
    is_attached = b"attached" in said() and tracer.poll() is None
    complaints.close()
    return tracer if is_attached else None


def _detach(tracer: subprocess.Popen[bytes]) -> None:
    tracer.send_signal(signal.SIGINT)
    tracer.wait(10)


def _parsed(text: str) -> Iterator[Call]:
    """Read whole lines, and put together calls that another thread interrupted."""
    begun: dict[str, str] = {}
    for line in text.splitlines():
        thread, _, rest = line.partition(" ")
        if rest.endswith("<unfinished ...>"):
            begun[thread] = line.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r" *<\.\.\. \w+ resumed>(?P<rest>.*)", rest)
        whole = begun.pop(thread, "") + resumed["rest"] if resumed else line
        match = _LINE.match(whole)
        if match is not None:
            yield Call(match["name"], match["arguments"], int(match["result"]), whole)
