"""The nested epoll: edges once, strangers never, and closes when the batch is over."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from chute.streams import HUNG_UP, PEER_FINISHED, READABLE, WRITABLE
from readiness import ClosingNote, NotingWaiter, connected_pair

if not hasattr(select, "epoll"):
    pytest.skip("no epoll here", allow_module_level=True)

from chute.engine.poller import EpollPoller

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def poller() -> Iterator[EpollPoller]:
    poller = EpollPoller()
    yield poller
    poller.close()


@pytest.fixture
def pairs() -> Iterator[list[Pair]]:
    pairs = [connected_pair() for _ in range(3)]
    yield pairs
    for pair in pairs:
        for sock in pair:
            sock.close()


def is_awake(poller: EpollPoller) -> bool:
    """Whether the outer loop would call `dispatch`."""
    return bool(select.select([poller.fileno()], [], [], 0)[0])


def test_readiness_is_reported_once_per_change(poller: EpollPoller, pairs: list[Pair]):
    near, far = pairs[0]
    waiter = NotingWaiter()
    poller.watch(near.fileno(), waiter)
    assert poller.dispatch() == 1
    assert waiter.masks == [WRITABLE]
    assert poller.dispatch() == 0
    far.send(b"x")
    assert poller.dispatch() == 1
    assert waiter.masks[-1] == READABLE | WRITABLE
    assert poller.dispatch() == 0, "unread bytes are no news"
    assert not is_awake(poller)
    far.send(b"y")
    assert poller.dispatch() == 1, "more bytes are"


def test_ready_sockets_are_one_batch(poller: EpollPoller, pairs: list[Pair]):
    waiters = [NotingWaiter() for _ in pairs]
    for (near, _), waiter in zip(pairs, waiters, strict=True):
        poller.watch(near.fileno(), waiter)
    assert is_awake(poller)
    assert poller.dispatch() == len(pairs)
    assert all(waiter.masks for waiter in waiters)


def test_end_of_the_peer_is_reported(poller: EpollPoller, pairs: list[Pair]):
    near, far = pairs[0]
    waiter = NotingWaiter()
    poller.watch(near.fileno(), waiter)
    far.shutdown(socket.SHUT_WR)
    poller.dispatch()
    assert waiter.masks[-1] & PEER_FINISHED
    far.close()
    poller.dispatch()
    assert waiter.masks[-1] & HUNG_UP


def test_listener_is_reported_for_as_long_as_connections_wait(poller: EpollPoller):
    waiter = NotingWaiter()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        poller.watch_listener(listener.fileno(), waiter)
        assert poller.dispatch() == 0
        with socket.create_connection(listener.getsockname()):
            assert poller.dispatch() == 1
            assert poller.dispatch() == 1
            listener.accept()[0].close()
            assert poller.dispatch() == 0
        poller.retire(listener.fileno(), ClosingNote())


def test_paused_listener_is_silent_until_it_is_watched_again(poller: EpollPoller):
    waiter = NotingWaiter()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        poller.watch_listener(listener.fileno(), waiter)
        poller.pause_listener(listener.fileno())
        with socket.create_connection(listener.getsockname()):
            assert poller.dispatch() == 0
            assert not is_awake(poller)
            poller.watch_listener(listener.fileno(), waiter)
            assert poller.dispatch() == 1
        poller.retire(listener.fileno(), ClosingNote())


def test_retired_socket_is_closed_only_after_the_batch(poller: EpollPoller, pairs: list[Pair]):
    near, far = pairs[0]
    closing, waiter = ClosingNote(), NotingWaiter()
    poller.watch(near.fileno(), waiter)
    poller.retire(near.fileno(), closing)
    far.send(b"x")
    poller.dispatch()
    assert (waiter.masks, closing.closed) == ([], 0)
    poller.close_retired()
    poller.close_retired()
    assert closing.closed == 1


def test_event_of_a_retired_socket_never_reaches_a_stranger(poller: EpollPoller, pairs: list[Pair]):
    """Two are ready; whoever is first retires both and admits a newcomer, whose number must not be one of theirs."""
    nears = [near for near, _ in pairs[:2]]
    numbers = {near.fileno() for near in nears}
    newcomers: list[Pair] = []
    stranger = NotingWaiter()

    def retire_both_and_admit() -> None:
        for near in nears:
            poller.retire(near.fileno(), near)
        newcomers.append(connected_pair())
        poller.watch(newcomers[0][0].fileno(), stranger)

    waiters = [NotingWaiter(retire_both_and_admit) for _ in nears]
    for near, waiter in zip(nears, waiters, strict=True):
        poller.watch(near.fileno(), waiter)
    assert poller.dispatch() == 2
    assert sorted(len(waiter.masks) for waiter in waiters) == [0, 1]
    assert stranger.masks == []
    assert newcomers[0][0].fileno() not in numbers
    poller.close_retired()
    assert poller.dispatch() == 1
    assert stranger.masks == [WRITABLE]
    reusing = connected_pair()
    assert numbers & {sock.fileno() for sock in reusing}, "numbers are reused after the batch"
    for sock in (*reusing, *newcomers[0]):
        sock.close()


def test_failure_of_one_waiter_does_not_reach_another(poller: EpollPoller, pairs: list[Pair]):
    fault = ValueError("a fault of our own")

    def fail() -> None:
        raise fault

    waiters = [NotingWaiter(fail), NotingWaiter(), NotingWaiter()]
    for (near, _), waiter in zip(pairs, waiters, strict=True):
        poller.watch(near.fileno(), waiter)
    assert poller.dispatch() == 3
    assert [waiter.failures for waiter in waiters] == [[fault], [], []]
    assert all(len(waiter.masks) == 1 for waiter in waiters)


def test_closing_closes_what_was_retired(pairs: list[Pair]):
    poller, closing = EpollPoller(), ClosingNote()
    poller.watch(pairs[0][0].fileno(), NotingWaiter())
    poller.retire(pairs[0][0].fileno(), closing)
    poller.close()
    assert closing.closed == 1
