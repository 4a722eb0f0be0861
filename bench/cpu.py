"""What a server costs: CPU time, memory and descriptors of a process and its descendants.

CPU time is the first figure of every table here, because it stays put where requests per second do
not, and the load generator cannot cap it.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CORES = sorted(os.sched_getaffinity(0))

SERVER_CORE = _CORES[0]
"""The core that every server is pinned to."""

LOAD_CORE = _CORES[-1]
"""The core of the load generator; the same as the server's where only one is to be had."""

_PROC = Path("/proc")
_NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_KIB = 1024

_FIRST_FIELD_AFTER_NAME = 3
"""proc(5) numbers the fields of `stat` from 1; field 2, the name, may hold spaces."""

_COARSE_SLACK_NS = 50_000_000
"""A few processes counted in ticks of 10 ms may be this far off without any time being lost."""


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Pin this thread, and thereby every process started inside, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True)
class CpuReading:
    """CPU time consumed so far.

    Attributes:
        fine_ns: nanoseconds per living thread (`schedstat`); empty where the kernel keeps none.
        coarse_ns: the sum from `stat`, in ticks; includes threads and children that have ended.
    """

    fine_ns: dict[tuple[int, int], int]
    coarse_ns: int


def read_cpu(root_pid: int) -> CpuReading:
    """Read the CPU time of a process and of its descendants."""
    fine_ns: dict[tuple[int, int], int] = {}
    coarse_ns = 0
    for pid in family(root_pid):
        # A process may end after it was listed; the coarse figure of its parent then has its time.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            coarse_ns += _coarse_ns(pid)
            fine_ns |= _fine_ns(pid)
    return CpuReading(fine_ns, coarse_ns)


def cpu_between(before: CpuReading, after: CpuReading) -> int:
    """Nanoseconds spent between two readings.

    The fine figure is used as long as it can be complete: a thread that ended takes its nanoseconds
    along, and only the coarse figure still knows of it.
    """
    coarse = after.coarse_ns - before.coarse_ns
    if not after.fine_ns or not before.fine_ns.keys() <= after.fine_ns.keys():
        return coarse
    fine = sum(ns - before.fine_ns.get(thread, 0) for thread, ns in after.fine_ns.items())
    return fine if coarse - fine < _COARSE_SLACK_NS else coarse


def family(root_pid: int) -> list[int]:
    """List a process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children.setdefault(int(_stat_field(int(entry.name), 4)), []).append(
                    int(entry.name)
                )
    found, pending = [], [root_pid]
    while pending:
        pid = pending.pop()
        found.append(pid)
        pending.extend(children.get(pid, ()))
    return found


def resident_bytes(root_pid: int) -> int:
    """Sum the resident memory of a process and its descendants; shared pages count for each."""
    total = 0
    for pid in family(root_pid):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * _KIB
    return total


def open_descriptors(root_pid: int) -> int:
    """Count the open descriptors of a process and its descendants."""
    return sum(len(list((_PROC / str(pid) / "fd").iterdir())) for pid in family(root_pid))


def _fine_ns(pid: int) -> dict[tuple[int, int], int]:
    figures: dict[tuple[int, int], int] = {}
    for task in (_PROC / str(pid) / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            figures[pid, int(task.name)] = int((task / "schedstat").read_text().split()[0])
    return figures


def _coarse_ns(pid: int) -> int:
    user, system, ended_user, ended_system = (int(_stat_field(pid, n)) for n in (14, 15, 16, 17))
    return (user + system + ended_user + ended_system) * _NS_PER_TICK


def _stat_field(pid: int, number: int) -> str:
    after_name = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return after_name[number - _FIRST_FIELD_AFTER_NAME]
