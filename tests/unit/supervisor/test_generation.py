"""Sockets from one configuration to the next: handed on, added, and given back when it comes to nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from chute.config.model import Config
from chute.config.resolve import load_text
from chute.errors import ConfigError
from chute.supervisor.generation import Generation
from trees import descriptors


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


def config(workers: int, *binds: str) -> Config:
    listeners = "".join(f'[listener.l{n}]\nbind = "{bind}"\n' for n, bind in enumerate(binds))
    return load_text("chute.toml", f"workers = {workers}\n{listeners}[[site]]\n", {})


def port_of(generation: Generation) -> int:
    return int(generation.listening[0].sockets[0].getsockname()[1])


def listening_sockets(port: int) -> int:
    """Return how many sockets of this machine listen at a port of the loopback address."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    wanted = f"0100007F:{port:04X}"
    return sum(line.split()[1] == wanted and line.split()[3] == "0A" for line in lines)


def test_each_worker_has_a_socket_and_all_have_one_worker():
    generation = Generation(1, config(3, "127.0.0.1:0", "127.0.0.1:0"))
    sockets = [generation.sockets_of(slot) for slot in range(3)]
    assert [[len(each) for each in of_worker] for of_worker in sockets] == [[1, 1]] * 3
    assert len({sock.fileno() for of_worker in sockets for each in of_worker for sock in each}) == 6
    generation.close()


def test_fewer_workers_take_over_all_sockets():
    """Closing one would turn away who waits in its queue."""
    first = Generation(1, config(3, "127.0.0.1:0"))
    second = Generation(2, config(2, "127.0.0.1:0"), first)
    assert second.listening == first.listening
    assert [len(second.sockets_of(slot)[0]) for slot in range(2)] == [2, 1]
    first.retire(second)
    assert listening_sockets(port_of(second)) == 3
    second.close()


def test_more_workers_get_more_sockets_at_the_same_port():
    first = Generation(1, config(2, "127.0.0.1:0"))
    second = Generation(2, config(4, "127.0.0.1:0"), first)
    assert {sock.getsockname()[1] for sock in second.listening[0].sockets} == {port_of(first)}
    assert listening_sockets(port_of(first)) == 4
    first.retire(second)
    second.close()


def test_generation_that_is_abandoned_leaves_no_socket_without_a_worker():
    """The kernel would give it its share of the connections, and nobody would accept them."""
    first = Generation(1, config(2, "127.0.0.1:0"))
    second = Generation(2, config(5, "127.0.0.1:0", "127.0.0.1:0"), first)
    second.abandon()
    assert listening_sockets(port_of(first)) == 2
    assert len(first.listening[0].sockets) == 2
    first.close()


def test_generation_that_cannot_listen_leaves_nothing_behind():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        first = Generation(1, config(2, "127.0.0.1:0"))
        with pytest.raises(ConfigError, match="the address is in use"):
            Generation(2, config(5, "127.0.0.1:0", f"127.0.0.1:{port}"), first)
        assert listening_sockets(port_of(first)) == 2
        first.close()


def test_listener_that_is_not_asked_for_any_more_is_closed(tmp_path: Path):
    path = tmp_path / "s.sock"
    first = Generation(1, config(1, "127.0.0.1:0", f"unix:{path}"))
    second = Generation(2, config(1, "127.0.0.1:0"), first)
    assert path.exists()
    first.retire(second)
    assert not os.path.lexists(path)
    assert listening_sockets(port_of(second)) == 1
    second.close()


def test_workers_at_a_unix_socket_share_its_queue(tmp_path: Path):
    generation = Generation(1, config(3, f"unix:{tmp_path}/s.sock"))
    ((first,),), ((second,),) = generation.sockets_of(0), generation.sockets_of(2)
    assert first is second
    again = Generation(2, config(2, f"unix:{tmp_path}/s.sock"), generation)
    assert [len(again.sockets_of(slot)[0]) for slot in range(2)] == [1, 1]
    generation.retire(again)
    again.close()
