"""How fast an answer may leave at most."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from chute.engine.pacing import Pace
from chute.exchange import Rate, Request, Response
from chute.transfer.source import FileSpan, SharedFile
from scene import Scene


def test_a_second_is_granted_ahead():
    pace = Pace(Rate(1000), 100.0)
    assert pace.allowance(0, 100.0) == 1000
    assert pace.allowance(1000, 100.0) == 0
    assert pace.allowance(1000, 100.5) == 500


def test_what_comes_first_is_not_limited():
    pace = Pace(Rate(1000, after_bytes=5000), 100.0)
    assert pace.allowance(0, 100.0) == 6000


def test_pause_lasts_until_there_is_something_to_send():
    assert Pace(Rate(1), 0.0).pause_s() == 1.0
    assert Pace(Rate(1_000_000), 0.0).pause_s() == 0.25


def test_limited_answer_arrives_no_faster_and_whole(tmp_path: Path):
    path = tmp_path / "content"
    content = os.urandom(300_000)
    path.write_bytes(content)

    def answer(request: Request) -> Response:
        file = SharedFile(os.open(path, os.O_RDONLY))
        response = Response(
            200, [], (FileSpan(file, 0, len(content)),), rate=Rate(60_000, after_bytes=30_000)
        )
        file.release()
        return response

    scene = Scene(answer)
    scene.send("/")
    scene.turn()
    received = scene.received()
    assert len(received) == 90_000
    counts = [len(received)]
    while not received.endswith(content) and len(counts) < 20:
        scene.clock.now_s += 0.5
        scene.timers.advance(scene.clock.now_s)
        scene.turn()
        received += scene.received()
        counts.append(len(received))
    assert received.endswith(content)
    assert all(later - earlier <= 33_000 for earlier, later in itertools.pairwise(counts))
    assert 7 <= len(counts) <= 10
    scene.end()


def test_peer_that_stops_reading_a_limited_answer_is_timed_out(tmp_path: Path):
    path = tmp_path / "content"
    path.write_bytes(bytes(64 << 20))

    def answer(request: Request) -> Response:
        file = SharedFile(os.open(path, os.O_RDONLY))
        response = Response(200, [], (FileSpan(file, 0, 64 << 20),), rate=Rate(20 << 20))
        file.release()
        return response

    scene = Scene(answer)
    scene.send("/")
    for _ in range(3):
        scene.wait_s(10)
        scene.turn()
    assert scene.connection in scene.connection._connections.open
    scene.wait_s(61)
    scene.wait_s(61)
    assert scene.connection not in scene.connection._connections.open
    scene.far.close()
