"""Fixtures that every kind of test may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from running import RunningChute, Serve, start_chute


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to serve."""
    path = tmp_path / "site"
    path.mkdir()
    return path


@pytest.fixture(params=["auto", "portable"])
def poller(request: pytest.FixtureRequest) -> str:
    """Both pollers, one after the other: whoever asks for `serve` runs over both."""
    return str(request.param)


@pytest.fixture
def serve(folder: Path, tmp_path: Path, poller: str) -> Iterator[Serve]:
    """Start servers that are stopped, and whose error logs are looked at, when the test is over."""
    running: list[RunningChute] = []

    def start(*options: str, **settings: object) -> RunningChute:
        place = tmp_path / f"run{len(running)}"
        place.mkdir()
        served = settings.pop("folder", folder)
        chute = start_chute(served, place, "--poller", poller, *options, **settings)
        running.append(chute)
        return chute

    yield start
    for chute in running:
        assert chute.stop() == 0, chute.errors()
        assert "Traceback" not in chute.errors(), chute.errors()
