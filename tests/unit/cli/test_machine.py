"""Limits of the machine: read where they are, judged by what they do to a server, unknown where they are not."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from chute.cli import machine
from chute.cli.machine import WORKER_BYTES, Limit, find_limits, open_files, usable_cores

SETTINGS = {
    "fs/file-max": "9223372036854775807",
    "net/core/somaxconn": "4096",
    "net/ipv4/tcp_wmem": "4096\t16384\t4194304",
    "fs/pipe-max-size": "1048576",
    "fs/pipe-user-pages-soft": "16384",
}
CGROUP_MOUNT = "35 24 0:30 {top} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")


def limits(root: Path) -> dict[str, Limit]:
    return {limit.name: limit for limit in find_limits(str(root))}


def settings(root: Path, **changed: str) -> dict[str, Limit]:
    """Write the usual settings, with some changed (by the last part of their name), and read them."""
    for name, value in SETTINGS.items():
        write(
            root / "proc/sys", {name: changed.get(name.rpartition("/")[2].replace("-", "_"), value)}
        )
    return limits(root)


def group(
    root: Path,
    own: str,
    files: dict[str, str],
    top: str = "/",
    controllers: str = "cpu memory pids",
) -> dict[str, Limit]:
    """Put this process into the control group `own`, with `files` in the groups, and read the limits."""
    write(
        root,
        {
            "proc/self/cgroup": f"1:name=systemd:/elsewhere\n0::{own}",
            "proc/self/mountinfo": "22 27 0:21 / /proc rw - proc proc rw\n"
            + CGROUP_MOUNT.format(top=top),
            "sys/fs/cgroup/cgroup.controllers": controllers,
            **{f"sys/fs/cgroup/{name}": content for name, content in files.items()},
        },
    )
    return limits(root)


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)


def test_this_machine_has_every_limit_and_no_error():
    names = [limit.name for limit in find_limits()]
    assert names == [limit.name for limit in find_limits("/no/such/root")]
    assert len(set(names)) == len(names)


def test_what_cannot_be_read_is_unknown(tmp_path: Path):
    found = limits(tmp_path)
    unknown = {name for name, limit in found.items() if limit.text == "unknown"}
    assert unknown == set(found) - {"open files", "cores"}
    assert not any(found[name].is_low or found[name].value is not None for name in unknown)


@pytest.mark.parametrize("content", ["", "many", "-1", "\xff"])
def test_nonsense_is_unknown(tmp_path: Path, content: str):
    assert settings(tmp_path, somaxconn=content)["accept queue"].text == "unknown"


def test_short_line_is_unknown(tmp_path: Path):
    assert settings(tmp_path, tcp_wmem="4096 16384")["send buffer"].text == "unknown"


def test_usual_settings_are_fine(tmp_path: Path):
    found = settings(tmp_path)
    assert found["accept queue"][:3] == ("accept queue", 4096, "4,096")
    assert found["send buffer"][:3] == ("send buffer", 4194304, "4 MiB")
    assert found["pipe size"].text == "1 MiB"
    assert found["open files, system"][1:3] == (None, "none")
    assert found["pipe memory"].value == 16384 * resource.getpagesize()
    assert not any(found[name].is_low for name in ("accept queue", "send buffer"))


def test_short_accept_queue_says_what_to_raise(tmp_path: Path):
    limit = settings(tmp_path, somaxconn="128")["accept queue"]
    assert limit.is_low
    assert "net.core.somaxconn to 4096" in limit.detail


def test_small_send_buffer_says_what_it_costs(tmp_path: Path):
    limit = settings(tmp_path, tcp_wmem="4096 16384 212992")["send buffer"]
    assert limit.is_low
    assert "17 Mbit/s" in limit.detail


def test_pipes_without_an_allowance_have_no_limit(tmp_path: Path):
    assert settings(tmp_path, pipe_user_pages_soft="0")["pipe memory"][1:3] == (None, "none")


def test_system_with_fewer_descriptors_than_a_process_may_have_is_low(tmp_path: Path):
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert settings(tmp_path, file_max=str(soft - 1))["open files, system"].is_low
    assert not settings(tmp_path, file_max=str(soft))["open files, system"].is_low


@pytest.mark.parametrize(
    ("soft", "hard", "is_low", "words"),
    [
        pytest.param(65536, 65536, False, "room for 65,520 connections", id="enough"),
        pytest.param(4096, 4096, False, "room for 4,080", id="just enough"),
        pytest.param(4095, 1048576, True, "ulimit -n (the hard limit is 1,048,576)", id="low"),
        pytest.param(1024, resource.RLIM_INFINITY, True, "the hard limit is none", id="no hard"),
        pytest.param(1024, 2048, True, "LimitNOFILE", id="hard as well"),
        pytest.param(8, 8, True, "room for 0 connections", id="hopeless"),
        pytest.param(-1, -1, False, "takes one", id="unlimited"),
        pytest.param(2**63 - 1, 2**63 - 1, False, "takes one", id="the largest number"),
    ],
)
def test_open_files_are_counted_in_connections(soft: int, hard: int, is_low: bool, words: str):
    limit = open_files(soft, hard)
    assert limit.is_low is is_low
    assert words in limit.detail


def test_cores_are_those_that_may_be_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 7}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("line", "value", "is_low", "words"),
    [
        ("max 100000", None, False, "not limited"),
        ("150000 100000", 1.5, True, "give --workers 1"),
        ("50000 100000", 0.5, True, "give --workers 1"),
        ("250000 100000", 2.5, True, "auto counts 4; give --workers 2"),
        ("400000 100000", 4.0, False, "every usable core"),
        ("100000 0", None, False, "not limited"),
        ("", None, False, "not limited"),
    ],
)
def test_processor_time_is_counted_in_workers(
    tmp_path: Path, line: str, value: float | None, is_low: bool, words: str
):
    limit = group(tmp_path, "/", {"cpu.max": line})["cpu.max"]
    assert (limit.value, limit.is_low) == (value, is_low)
    assert words in limit.detail


@pytest.mark.usefixtures("four_cores")
@pytest.mark.parametrize(
    ("size", "is_low", "words"),
    [
        pytest.param("max", False, "not limited", id="none"),
        pytest.param(str(WORKER_BYTES - 1), True, "a worker may need", id="not one worker"),
        pytest.param(str(WORKER_BYTES), True, "1 worker with full caches", id="one worker"),
        pytest.param(str(WORKER_BYTES * 3), True, "auto would start 4", id="three workers"),
        pytest.param(str(WORKER_BYTES * 4), False, "4 workers", id="one for each core"),
    ],
)
def test_memory_is_counted_in_workers(tmp_path: Path, size: str, is_low: bool, words: str):
    limit = group(tmp_path, "/", {"memory.max": size})["memory.max"]
    assert limit.is_low is is_low
    assert words in limit.detail


@pytest.mark.usefixtures("four_cores")
def test_tightest_of_the_groups_above_counts(tmp_path: Path):
    files = {
        "cpu.max": "300000 100000",
        "app/cpu.max": "200000 100000",
        "app/web/cpu.max": "max 100000",
        "app/other/cpu.max": "100000 100000",
    }
    assert group(tmp_path, "/app/web", files)["cpu.max"].value == 2.0


@pytest.mark.parametrize(
    ("own", "top"),
    [
        pytest.param("/box/web", "/box", id="only a part is mounted"),
        pytest.param("/web", "/", id="a name space of its own"),
    ],
)
def test_group_is_found_beneath_what_is_mounted(tmp_path: Path, own: str, top: str):
    found = group(tmp_path, own, {"web/memory.max": "1000000"}, top)
    assert found["memory.max"].value == 1_000_000


def test_group_above_what_can_be_seen_is_the_uppermost(tmp_path: Path):
    write(tmp_path, {"sys/other/memory.max": "17"})
    found = group(tmp_path, "/../../other", {"memory.max": "1000000"})
    assert found["memory.max"].value == 1_000_000


def test_version_1_leaves_it_unknown(tmp_path: Path):
    """In a mixed system version 2 is mounted, and controls nothing that matters here."""
    found = group(tmp_path, "/", {"memory.max": "1000000"}, controllers="hugetlb")
    assert (found["cpu.max"].text, found["memory.max"].text) == ("unknown", "unknown")


def test_sizes_are_written_for_people():
    sizes = [17, 1024, 212992, 4194304, 1610612736]
    assert [machine._bytes(size) for size in sizes] == [
        "17 B", "1 KiB", "208 KiB", "4 MiB", "1.5 GiB"
    ]  # fmt: skip
