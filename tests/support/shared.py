"""Servers that many tests of one module share, one per poller: starting one costs half a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from running import RunningChute, start_chute


def shared_server(
    fill: Callable[[Path], None], *options: str, pollers: tuple[str, ...] = ("auto", "portable")
) -> Callable[..., Iterator[RunningChute]]:
    """Return a module-scoped fixture: a server of a folder that `fill` has filled, over each poller in turn."""

    @pytest.fixture(scope="module", params=pollers)
    def server(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[RunningChute]:
        place = tmp_path_factory.mktemp("shared")
        folder = place / "site"
        folder.mkdir()
        fill(folder)
        chute = start_chute(folder, place, "--poller", str(request.param), *options)
        yield chute
        assert chute.stop() == 0, chute.errors()
        assert "Traceback" not in chute.errors(), chute.errors()

    return server
