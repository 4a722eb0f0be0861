"""`chute.sendfile` and `chute.sock_sendfile` over TLS: the same bytes, encrypted (T35)."""

from __future__ import annotations

import hashlib
import os
import threading
from functools import partial
from pathlib import Path

import pytest

import chute
from downloads import KIB, MIB, make_sparse, numbered
from sending import WAYS, Reader, Send, TlsPair, send_by


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def send(way: str) -> Send:
    return partial(send_by, way)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "content.bin"
    path.write_bytes(numbered(3 * MIB))
    return path


@pytest.fixture(scope="module")
def tls() -> TlsPair:
    return TlsPair()


@pytest.mark.parametrize("count", [0, 1, 16 * KIB - 1, 16 * KIB, 63_865, 256 * KIB + 1, 3 * MIB])
def test_t35_tls_gets_the_same_bytes_encrypted(tls: TlsPair, send: Send, place: Path, count: int):
    ours, theirs = tls.connected()
    with ours, theirs:
        reader = Reader(theirs)
        carried = send(ours, place, 0, count)
        assert carried.sent == count
        assert carried.how == ("copy:tls" if count else "buffer")
        ours.close()
        assert reader.result() == numbered(count)


def test_t35_tls_reader_that_stalls_gets_every_byte_once(tls: TlsPair, send: Send, tmp_path: Path):
    content = os.urandom(8 * MIB)
    place = tmp_path / "random"
    place.write_bytes(content)
    ours, theirs = tls.connected(send_buffer=32 * KIB, receive_buffer=32 * KIB)
    with ours, theirs:
        reader = Reader(theirs, first_pause_s=0.2)
        assert send(ours, place).sent == 8 * MIB
        ours.close()
        reader.result()
        assert reader.digest == hashlib.sha256(content).digest()


def test_tls_peer_that_takes_nothing_is_given_up(tls: TlsPair, way: str, place: Path):
    if way == "blocking":
        pytest.skip("a blocking TLS socket has no time-out")
    make_sparse(place, 64 * MIB)
    ours, theirs = tls.connected()
    with ours, theirs:
        ours.settimeout(0.2)
        give_up = partial(chute.sendfile, ours, place)
        if way != "timeout":
            give_up = partial(send_by, way, ours, place, timeout=0.2)
        with pytest.raises(chute.SendTimeout) as caught:
            give_up()
        assert 0 < caught.value.sent < 64 * MIB


def test_tls_socket_cannot_be_given_another_timeout(tls: TlsPair, place: Path):
    ours, theirs = tls.connected()
    with ours, theirs, pytest.raises(chute.MisuseError, match="settimeout"):
        chute.sendfile(ours, place, timeout=3)


def test_tls_peer_that_leaves_is_gone(tls: TlsPair, send: Send, place: Path):
    make_sparse(place, 64 * MIB)
    ours, theirs = tls.connected()
    with ours, theirs:
        leaving = threading.Timer(0.1, theirs.close)
        leaving.start()
        with pytest.raises(chute.PeerGone):
            send(ours, place)
        leaving.join()
