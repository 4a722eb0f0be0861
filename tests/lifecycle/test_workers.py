"""Several processes: they share the work, replace each other, and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


def all_are_served(chute: RunningChute) -> bool:
    return all(chute.get("/a.txt").body == b"abc" for _ in range(40))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_both_workers_serve_and_end_with_the_parent(serve: Serve, folder: Path):
    """The kernel spreads connections by a hash; that 60 fall on one worker does not happen."""
    chute = serving(serve, folder)
    pids = children(chute.pid)
    wires = [chute.connect() for _ in range(60)]
    assert all(wire.get("/a.txt").body == b"abc" for wire in wires)
    busy = [descriptors(pid) for pid in pids]
    for wire in wires:
        wire.close()
    wait_until(lambda: sum(busy) - sum(map(descriptors, pids)) == 60, what="every close")
    assert all(before > descriptors(pid) for before, pid in zip(busy, pids, strict=True))
    assert chute.stop() == 0
    assert not any(is_running(pid) for pid in pids)
    assert len(chute.log_lines(60)) == 60


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("poller", ["auto"])
def test_stop_in_the_middle_of_downloads_leaves_no_orphan(
    serve: Serve, folder: Path, number: signal.Signals
):
    """A terminal sends SIGINT to all of them at once; the parent's own signal must do as well."""
    chute = serving(serve, folder)
    (folder / "big.bin").write_bytes(bytes(16 << 20))
    pids = children(chute.pid)
    for _ in range(4):
        wire = chute.connect(receive_buffer=4096)
        wire.send(b"GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert wire.read_head().status == 200
    chute.process.send_signal(number)
    assert chute.process.wait(5) == 0
    assert not any(is_running(pid) for pid in pids)
    assert [line.rpartition(" ")[2] for line in chute.log_lines(4)] == ["aborted"] * 4
    assert "did not stop in time" not in chute.errors()


@pytest.mark.parametrize("poller", ["auto"])
def test_signal_to_the_whole_group_ends_quietly(serve: Serve, folder: Path):
    """What Ctrl-C in a terminal does: parent and workers hear it at the same time."""
    chute = serving(serve, folder)
    pids = children(chute.pid)
    for pid in (*pids, chute.pid):
        os.kill(pid, signal.SIGINT)
    assert chute.process.wait(5) == 0
    assert not any(is_running(pid) for pid in pids)
    assert "Traceback" not in chute.errors()


@pytest.mark.parametrize("poller", ["auto"])
def test_port_of_a_running_server_is_not_shared_with_another(serve: Serve, folder: Path):
    """SO_REUSEPORT would let a second server of this user take half of the connections, silently."""
    chute = serving(serve, folder)
    bind = f"127.0.0.1:{chute.address[1]}"
    for workers in ("1", "2"):
        second = subprocess.run(
            [sys.executable, "-m", "chute", "serve", ".", "--bind", bind, "--workers", workers],
            capture_output=True,
            text=True,
            timeout=10,
        )
        assert second.returncode == 2
        assert second.stderr.count("\n") == 1, second.stderr
        assert f"cannot listen at {bind}: the address is in use" in second.stderr


@pytest.mark.parametrize("poller", ["auto"])
def test_killed_worker_is_replaced(serve: Serve, folder: Path):
    chute = serving(serve, folder)
    first, second = children(chute.pid)
    os.kill(first, signal.SIGKILL)
    wait_until(
        lambda: len(children(chute.pid)) == 2 and first not in children(chute.pid),
        what="another worker",
    )
    assert second in children(chute.pid)
    assert all_are_served(chute)
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
    """Both workers wait on one queue: it goes on when either is gone, and its name goes with the parent."""
    path = tmp_path / "shared.sock"
    chute = serving(serve, folder, bind=f"unix:{path}")
    assert all_are_served(chute)
    for pid in children(chute.pid):
        os.kill(pid, signal.SIGKILL)
        assert all_are_served(chute)
    assert chute.stop() == 0
    assert not path.exists()


@pytest.mark.parametrize("poller", ["auto"])
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


def test_parent_survives_a_child_that_it_does_not_know(folder: Path, tmp_path: Path):
    """As the first process of a container it is given the orphans of others."""
    (folder / "a.txt").write_bytes(b"abc")
    errors = tmp_path / "errors"
    command = f"sleep 0.2 & exec {sys.executable} -m chute serve {folder} --bind 127.0.0.1:0"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            ["bash", "-c", f"{command} --workers 2 --access-log off"], stderr=stderr
        )
    wait_until(lambda: b" at http://" in errors.read_bytes(), what="the address")
    wait_until(lambda: len(children(process.pid)) == 2, what="the end of the stranger")
    time.sleep(0.3)
    assert process.poll() is None, errors.read_text()
    process.terminate()
    assert process.wait(10) == 0
    assert "Traceback" not in errors.read_text()
