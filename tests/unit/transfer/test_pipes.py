"""The pool of pipes: bounded, exact in its descriptors, and never a byte from one user to the next."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import sys
import types
from collections.abc import Iterator

import pytest

from carrying import failing
from chute.errors import MisuseError
from chute.transfer import pipes
from chute.transfer.pipes import CLOSED, PIPE_BYTES, PIPE_BYTES_MIN, Pipe, PipePool
from splicing import open_fds

if sys.platform != "linux":
    pytest.skip("pipes are lent on Linux only", allow_module_level=True)

_real_fcntl = fcntl.fcntl


@pytest.fixture(autouse=True)
def _no_descriptor_is_left() -> Iterator[None]:
    before = open_fds()
    yield
    assert open_fds() == before


@pytest.fixture
def pool() -> Iterator[PipePool]:
    made = PipePool(3, idle_max=2)
    yield made
    made.close()


def taken_from(pool: PipePool) -> Pipe:
    pipe = pool.take()
    assert pipe is not None
    return pipe


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def refusing(kept_bytes: int) -> object:
    """A fcntl(2) that enlarges no pipe, and says that pipes are of `kept_bytes`."""

    def refuse(fd: int, command: int, *arguments: int) -> int:
        if command == fcntl.F_SETPIPE_SZ:
            raise failing(errno.EPERM)
        return kept_bytes if command == fcntl.F_GETPIPE_SZ else _real_fcntl(fd, command, *arguments)

    return refuse


def test_pipe_never_blocks_and_is_closed_on_exec(pool: PipePool):
    pipe = taken_from(pool)
    for fd in (pipe.read_fd, pipe.write_fd):
        assert not os.get_blocking(fd)
        assert not os.get_inheritable(fd)
    pool.give_back(pipe)


@pytest.mark.parametrize("pipe_bytes", [4096, 64 * 1024, PIPE_BYTES, 1024 * 1024])
def test_pipe_is_of_the_size_that_was_asked_for(pipe_bytes: int):
    pool = PipePool(1, pipe_bytes)
    pipe = taken_from(pool)
    assert pipe.bytes_max == pipe_bytes == fcntl.fcntl(pipe.read_fd, fcntl.F_GETPIPE_SZ)
    assert os.write(pipe.write_fd, bytes(2 * pipe_bytes)) == pipe_bytes
    pool.give_back(pipe)
    pool.close()


def test_size_is_what_the_kernel_made_of_it():
    pool = PipePool(1, 100_000)
    pipe = taken_from(pool)
    assert pipe.bytes_max == 128 * 1024
    pool.give_back(pipe)
    pool.close()


def test_pipe_that_may_not_be_enlarged_is_taken_as_it_is(
    pool: PipePool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fcntl, "fcntl", refusing(64 * 1024))
    pipe = taken_from(pool)
    assert pipe.bytes_max == 64 * 1024
    pool.give_back(pipe)


def test_pipe_of_two_slots_is_not_worth_lending(pool: PipePool, monkeypatch: pytest.MonkeyPatch):
    """What the kernel makes for a user whose allowance is used up; copying costs half of it."""
    monkeypatch.setattr(fcntl, "fcntl", refusing(2 * 4096))
    before = open_fds()
    assert pool.take() is None
    assert open_fds() == before
    assert pool.in_use == 0


def test_small_pipe_is_lent_to_whom_it_is_enough(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fcntl, "fcntl", refusing(PIPE_BYTES_MIN // 4))
    pool = PipePool(1, PIPE_BYTES_MIN // 4)
    pool.give_back(taken_from(pool))
    pool.close()


def test_no_more_pipes_are_lent_than_the_cap(pool: PipePool):
    lent = [taken_from(pool) for _ in range(3)]
    before = open_fds()
    assert pool.take() is None
    assert open_fds() == before
    pool.give_back(lent.pop())
    lent.append(taken_from(pool))
    assert pool.take() is None
    for pipe in lent:
        pool.give_back(pipe)


def test_pool_without_pipes_lends_none():
    assert PipePool(0).take() is None


def test_empty_pipe_is_used_again(pool: PipePool):
    pipe = taken_from(pool)
    os.write(pipe.write_fd, b"carried")
    os.read(pipe.read_fd, 100)
    before = open_fds()
    pool.give_back(pipe)
    assert (pool.in_use, pool.idle) == (0, 1)
    assert taken_from(pool) is pipe
    assert (pool.in_use, pool.idle) == (1, 0)
    assert open_fds() == before
    pool.give_back(pipe)


@pytest.mark.parametrize("read", [0, 6], ids=["all of it", "its last byte"])
def test_pipe_that_holds_bytes_is_closed_and_never_lent_again(pool: PipePool, read: int):
    """They are one client's bytes, and the next user is another client."""
    pipe = taken_from(pool)
    read_fd, write_fd = pipe.read_fd, pipe.write_fd
    os.write(write_fd, b"private")
    assert len(os.read(read_fd, read)) == read
    pool.give_back(pipe)
    assert (pool.in_use, pool.idle) == (0, 0)
    assert not is_open(read_fd)
    assert not is_open(write_fd)
    assert (pipe.read_fd, pipe.write_fd) == (CLOSED, CLOSED)
    successor = taken_from(pool)
    assert successor is not pipe
    with pytest.raises(BlockingIOError):
        os.read(successor.read_fd, 100)
    pool.give_back(successor)


def test_held_bytes_are_the_kernels_count(pool: PipePool):
    pipe = taken_from(pool)
    assert pipe.held_bytes() == 0
    os.write(pipe.write_fd, b"12345")
    assert pipe.held_bytes() == 5
    os.read(pipe.read_fd, 2)
    assert pipe.held_bytes() == 3
    pool.give_back(pipe)


def test_idle_pipes_are_bounded(pool: PipePool):
    before = open_fds()
    lent = [taken_from(pool) for _ in range(3)]
    assert open_fds() == before + 6
    for pipe in lent:
        pool.give_back(pipe)
    assert (pool.in_use, pool.idle) == (0, 2)
    assert open_fds() == before + 4


def test_descriptors_are_what_the_pool_says_through_any_history(pool: PipePool):
    before = open_fds()
    lent: list[Pipe] = []
    for turn in range(1000):
        pipe = pool.take() if turn % 3 else None
        if pipe is not None:
            lent.append(pipe)
        if lent and turn % 7 in (0, 2, 5):
            if turn % 11 == 0:
                os.write(lent[0].write_fd, b"left behind")
            pool.give_back(lent.pop(0))
        assert pool.in_use == len(lent)
        assert open_fds() == before + 2 * (pool.in_use + pool.idle)
    for pipe in lent:
        pool.give_back(pipe)


@pytest.mark.parametrize(
    "number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM], ids=errno.errorcode.get
)
def test_t29_pool_that_can_make_no_pipe_lends_none(
    pool: PipePool, monkeypatch: pytest.MonkeyPatch, number: int
):
    def refuse(_: int) -> tuple[int, int]:
        raise failing(number)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pipe2", refuse)
        assert pool.take() is None
        assert pool.in_use == 0
    pool.give_back(taken_from(pool))


def test_t29_process_without_descriptors_gets_none_and_recovers(pool: PipePool):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        pipe = pool.take()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert pipe is None
    pool.give_back(taken_from(pool))


def test_idle_pipe_is_lent_without_a_descriptor(pool: PipePool, monkeypatch: pytest.MonkeyPatch):
    pool.give_back(taken_from(pool))
    monkeypatch.delattr(os, "pipe2")
    pool.give_back(taken_from(pool))


def test_system_without_splice_gets_no_pipe(pool: PipePool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pipes, "sys", types.SimpleNamespace(platform="darwin"))
    assert pool.take() is None


def test_closing_closes_idle_pipes_now_and_lent_ones_when_they_come_back():
    before = open_fds()
    pool = PipePool(2)
    lent, idle = taken_from(pool), taken_from(pool)
    pool.give_back(idle)
    pool.close()
    pool.close()
    assert open_fds() == before + 2
    assert os.write(lent.write_fd, b"still mine") == 10
    assert os.read(lent.read_fd, 10) == b"still mine"
    pool.give_back(lent)
    assert open_fds() == before
    assert (pool.in_use, pool.idle) == (0, 0)


def test_closed_pool_lends_none():
    pool = PipePool(1)
    pool.close()
    assert pool.take() is None


def test_pipe_is_given_back_once(pool: PipePool):
    pipe = taken_from(pool)
    pool.give_back(pipe)
    with pytest.raises(AssertionError, match="given back twice"):
        pool.give_back(pipe)


def test_closing_a_pipe_twice_closes_no_stranger(pool: PipePool):
    """The kernel gives a freed number to the next who asks."""
    pipe = taken_from(pool)
    os.write(pipe.write_fd, b"x")
    pool.give_back(pipe)
    strangers = os.pipe()
    pipe.close()
    assert all(is_open(fd) for fd in strangers)
    for fd in strangers:
        os.close(fd)


@pytest.mark.parametrize("bounds", [(-1, 4096, 0), (1, 0, 0), (1, 4096, -1)])
def test_bounds_that_mean_nothing_are_refused(bounds: tuple[int, int, int]):
    pipes_max, pipe_bytes, idle_max = bounds
    with pytest.raises(MisuseError):
        PipePool(pipes_max, pipe_bytes, idle_max=idle_max)
