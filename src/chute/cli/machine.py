"""What bounds a server on this machine: the limits that others have set, each with its value and whether it will hurt.

Read from getrlimit(2), from /proc/sys (proc(5)), and from the control groups of version 2 (Linux,
Documentation/admin-guide/cgroup-v2.rst). Nothing is changed. What cannot be read is "unknown", and never an error.

A limit of a control group holds for everything below it, so the own group and all above it are asked, and the
tightest counts. Inside a container the uppermost one that can be seen is as a rule the container's.
"""

from __future__ import annotations

import os
import resource
from typing import NamedTuple

from chute.engine.limits import KNOWN_HEADS_BYTES_MAX, LISTEN_BACKLOG, PLANS_BYTES_MAX
from chute.files.open_files import CONTENT_BYTES_MAX
from chute.static.options import StaticOptions

OPEN_FILES_LEAST = 4096
"""Descriptors below which a busy server runs out."""

SEND_BUFFER_BYTES_LEAST = 1024 * 1024
"""A smaller send buffer slows down single downloads over long ways."""

WORKER_BYTES = 32 * 1024 * 1024 + KNOWN_HEADS_BYTES_MAX + PLANS_BYTES_MAX + CONTENT_BYTES_MAX
"""What a worker takes when all its caches are full. The first part is the process: 22 to 30 MB after its start were
seen (Linux 6.18, Python 3.11)."""

OWN_DESCRIPTORS = 16
"""What a worker holds before its first connection: 12 with one address; its streams, logs, listeners and pollers."""

_ROUND_TRIP_S = 0.1
_UNLIMITED = 1 << 62
"""Numbers from here on mean "no limit", which systems write in several ways."""

_OPEN_FILES_KEPT = StaticOptions(root=".").open_files_max


class Limit(NamedTuple):
    """One bound.

    Attributes:
        name: what it is called; does not change, so that programs can look for it.
        value: the number (bytes, cores or a count), or None where it is unknown or there is no limit.
        text: the same for a person, or `unknown`, or `none`.
        detail: what it means for chute, and how to change it.
        is_low: whether it will hurt.
    """

    name: str
    value: float | None
    text: str
    detail: str
    is_low: bool = False


def usable_cores() -> int:
    """Return how many cores this process may run on (sched_getaffinity(2))."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_limits(system_root: str = "/") -> list[Limit]:
    """Return every bound that matters here.

    Args:
        system_root: where `proc` and `sys` are mounted; another folder in tests.
    """
    settings = os.path.join(system_root, "proc/sys")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    cores = usable_cores()
    groups = _ControlGroups(system_root)
    return [
        open_files(soft, hard),
        _all_open_files(_number_in(settings, "fs/file-max"), soft),
        _accept_queue(_number_in(settings, "net/core/somaxconn")),
        _send_buffer(_number_in(settings, "net/ipv4/tcp_wmem", field=2)),
        _pipe_size(_number_in(settings, "fs/pipe-max-size")),
        _pipe_pages(_number_in(settings, "fs/pipe-user-pages-soft")),
        _cores(cores),
        _processor_time(groups, cores),
        _memory(groups, cores),
    ]


def open_files(soft: int, hard: int) -> Limit:
    """Judge RLIMIT_NOFILE, which each worker has for itself."""
    name = "open files"
    value, text = _shown(soft)
    highest = _shown(hard)[1]
    if value is None:
        return Limit(name, value, text, "each connection and each open file takes one")
    fit = max(0, soft - OWN_DESCRIPTORS)
    detail = (
        f"room for {fit:,} connections per worker, less one for each open file "
        f"(up to {_OPEN_FILES_KEPT:,} are kept)"
    )
    if soft >= OPEN_FILES_LEAST:
        return Limit(name, value, text, detail)
    # RLIM_INFINITY is -1 here, and some systems take their largest number for it.
    can_raise = hard < 0 or hard >= OPEN_FILES_LEAST
    how = f"raise it with ulimit -n (the hard limit is {highest})"
    if not can_raise:
        how = f"the hard limit is {highest}: have it raised (systemd: LimitNOFILE=)"
    return Limit(name, value, text, f"{detail}; {how}", is_low=True)


def _all_open_files(value: int | None, soft: int) -> Limit:
    name = "open files, system"
    if value is None:
        return _unknown(name, "fs.file-max cannot be read")
    is_low = value < soft < _UNLIMITED
    detail = "fs.file-max, for all processes together"
    return Limit(
        name,
        *_shown(value),
        f"{detail}; less than one worker may have" if is_low else detail,
        is_low,
    )


def _accept_queue(value: int | None) -> Limit:
    name = "accept queue"
    if value is None:
        return _unknown(name, "net.core.somaxconn cannot be read")
    if value < LISTEN_BACKLOG:
        detail = (
            f"a burst of connections is cut to it; raise net.core.somaxconn to {LISTEN_BACKLOG}"
        )
        return Limit(name, value, f"{value:,}", detail, is_low=True)
    return Limit(
        name, value, f"{value:,}", f"net.core.somaxconn; chute asks for {LISTEN_BACKLOG:,}"
    )


def _send_buffer(value: int | None) -> Limit:
    name = "send buffer"
    if value is None:
        return _unknown(name, "net.ipv4.tcp_wmem cannot be read")
    rate = int(value * 8 / _ROUND_TRIP_S / 1e6)
    detail = (
        f"one download gets {rate:,} Mbit/s at most over 100 ms (third field of net.ipv4.tcp_wmem"
    )
    is_low = value < SEND_BUFFER_BYTES_LEAST
    detail += "; raise it to 4194304)" if is_low else ")"
    return Limit(name, value, _bytes(value), detail, is_low)


def _pipe_size(value: int | None) -> Limit:
    if value is None:
        return _unknown("pipe size", "fs.pipe-max-size cannot be read")
    return Limit("pipe size", value, _bytes(value), "fs.pipe-max-size, for splice")


def _pipe_pages(value: int | None) -> Limit:
    name = "pipe memory"
    if value is None:
        return _unknown(name, "fs.pipe-user-pages-soft cannot be read")
    if value == 0:
        return Limit(name, None, "none", "fs.pipe-user-pages-soft, for splice")
    in_bytes = value * resource.getpagesize()
    return Limit(
        name,
        in_bytes,
        _bytes(in_bytes),
        "all pipes of one user (fs.pipe-user-pages-soft), for splice",
    )


def _cores(usable: int) -> Limit:
    present = os.cpu_count() or usable
    detail = f"usable, of {present:,}; --workers auto starts one worker on each"
    return Limit("cores", usable, f"{usable:,}", detail)


def _processor_time(groups: _ControlGroups, cores: int) -> Limit:
    name = "cpu.max"
    if not groups.controls("cpu"):
        return _unknown(name, "no control group of version 2 counts processor time here")
    shares = [share for line in groups.lines("cpu.max") if (share := _share(line)) is not None]
    if not shares:
        return Limit(name, None, "none", "processor time is not limited")
    share = min(shares)
    text = f"{share:.2f}".rstrip("0").rstrip(".")
    if share >= cores:
        return Limit(name, share, text, "cores' worth of time: enough for every usable core")
    workers = max(1, int(share))
    detail = f"cores' worth of time, and --workers auto counts {cores}; give --workers {workers}"
    return Limit(name, share, text, detail, is_low=cores > workers)


def _memory(groups: _ControlGroups, cores: int) -> Limit:
    name = "memory.max"
    if not groups.controls("memory"):
        return _unknown(name, "no control group of version 2 counts memory here")
    sizes = [int(line) for line in groups.lines("memory.max") if line.isdecimal()]
    if not sizes:
        return Limit(name, None, "none", "memory is not limited")
    size = min(sizes)
    workers = size // WORKER_BYTES
    if workers == 0:
        detail = f"a worker may need {_bytes(WORKER_BYTES)} when its caches are full"
    else:
        detail = f"room for {_workers(workers)} with full caches; what is left caches files"
    if 0 < workers < cores:
        detail += f"; --workers auto would start {cores}"
    return Limit(name, size, _bytes(size), detail, is_low=workers < cores)


def _workers(count: int) -> str:
    return f"{count:,} worker{'' if count == 1 else 's'}"


class _ControlGroups:
    """The control group of this process and those above it, as far as they can be seen.

    Attributes:
        _folders: theirs, the own one first; empty where there is no version 2.
    """

    def __init__(self, system_root: str) -> None:
        self._folders: list[str] = []
        try:
            own = _own_group(system_root)
            top, point = _group_mount(system_root)
        except (OSError, ValueError, IndexError, StopIteration):
            return
        # A group above what the mount shows is written with dots (cgroup_namespaces(7)); then all that shows is ours.
        inside = own.removeprefix(top).strip("/")
        parts = [] if ".." in inside.split("/") else [part for part in inside.split("/") if part]
        base = os.path.join(system_root, point.lstrip("/"))
        self._folders = [os.path.join(base, *parts[:depth]) for depth in range(len(parts), -1, -1)]

    def controls(self, controller: str) -> bool:
        """Whether version 2 is in charge of this; on many systems version 1 still is."""
        return any(controller in line.split() for line in self.lines("cgroup.controllers"))

    def lines(self, name: str) -> list[str]:
        """Return the first line of the file `name` in each group that has it."""
        found = (_first_line(os.path.join(folder, name)) for folder in self._folders)
        return [line for line in found if line is not None]


def _own_group(system_root: str) -> str:
    with open(os.path.join(system_root, "proc/self/cgroup"), encoding="utf-8") as lines:
        return next(line.rstrip("\n")[3:] for line in lines if line.startswith("0::"))


def _group_mount(system_root: str) -> tuple[str, str]:
    """Return which group is mounted, and where (proc_pid_mountinfo(5))."""
    with open(os.path.join(system_root, "proc/self/mountinfo"), encoding="utf-8") as lines:
        fields = next(line.split() for line in lines if " - cgroup2 " in line)
    return fields[3], fields[4]


def _share(line: str) -> float | None:
    """Return the cores that a line of cpu.max stands for (`quota period`, in microseconds), or None for no limit."""
    quota, _, period = line.partition(" ")
    if not quota.isdecimal() or not period.isdecimal() or int(period) == 0:
        return None
    return int(quota) / int(period)


def _number_in(settings: str, name: str, field: int = 0) -> int | None:
    line = _first_line(os.path.join(settings, name))
    fields = (line or "").split()
    if len(fields) <= field or not fields[field].isdecimal():
        return None
    return int(fields[field])


def _first_line(path: str) -> str | None:
    try:
        with open(path, encoding="ascii") as lines:
            return lines.readline().strip()
    except (OSError, ValueError):
        return None


def _unknown(name: str, detail: str) -> Limit:
    return Limit(name, None, "unknown", detail)


def _shown(value: int) -> tuple[int | None, str]:
    return (value, f"{value:,}") if 0 <= value < _UNLIMITED else (None, "none")


def _bytes(count: int) -> str:
    """Return `count` in the largest unit that leaves a number of at least one."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count} B"
