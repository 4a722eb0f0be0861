"""Several processes: they share the work, replace each other, and end together."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from running import RunningChute, Serve, wait_until


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def serving(serve: Serve, folder: Path, *options: str, **settings: object) -> RunningChute:
    (folder / "a.txt").write_bytes(b"abc")
    chute = serve("--workers", "2", *options, **settings)
    wait_until(lambda: len(children(chute.pid)) == 2, what="two workers")
    return chute


def served_by_both(chute: RunningChute) -> bool:
    """Whether each worker has used the CPU for some of many connections."""
    return all(chute.get("/a.txt").body == b"abc" for _ in range(40))


def test_both_workers_serve_and_end_with_the_parent(serve: Serve, folder: Path):
    chute = serving(serve, folder)
    pids = children(chute.pid)
    assert served_by_both(chute)
    assert chute.stop() == 0
    assert not any(is_running(pid) for pid in pids)
    assert len(chute.log_lines(40)) == 40


def test_killed_worker_is_replaced(serve: Serve, folder: Path):
    chute = serving(serve, folder)
    first, second = children(chute.pid)
    os.kill(first, signal.SIGKILL)
    wait_until(
        lambda: len(children(chute.pid)) == 2 and first not in children(chute.pid),
        what="another worker",
    )
    assert second in children(chute.pid)
    assert served_by_both(chute)
    assert "SIGKILL; it is replaced" in chute.errors()


@pytest.mark.parametrize("poller", ["auto"])
def test_workers_end_when_the_parent_is_killed(serve: Serve, folder: Path):
    chute = serving(serve, folder)
    pids = children(chute.pid)
    os.kill(chute.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_running(pid) for pid in pids), what="the end of the workers")
    assert chute.process.wait() == -signal.SIGKILL
    chute.process.returncode = 0  # that is how this test wanted it to end


def test_unix_socket_is_shared(serve: Serve, folder: Path, tmp_path: Path):
    chute = serving(serve, folder, bind=f"unix:{tmp_path / 'shared.sock'}")
    assert served_by_both(chute)


def test_worker_that_cannot_start_is_not_restarted_in_a_spin(serve: Serve, folder: Path):
    """A worker that dies young waits a second for its successor, so a fault at start costs no CPU."""
    chute = serving(serve, folder)
    folder.rename(folder.with_name("gone"))
    for pid in children(chute.pid):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: chute.errors().count("cannot start") >= 2, what="the complaint")
    assert chute.errors().count("cannot start") < 20
    folder.with_name("gone").rename(folder)
    wait_until(lambda: len(children(chute.pid)) == 2, what="recovery", within_s=8)
    wait_until(lambda: chute.get("/a.txt").body == b"abc", what="service")
