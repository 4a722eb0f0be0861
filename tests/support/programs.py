"""Real clients: programs of the system, run within a time limit, or a skipped test where one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LIMIT_S = 50
_WITHOUT = ("curl_home", "http_proxy", "https_proxy", "all_proxy", "no_proxy", "wgetrc")


def require(name: str) -> str:
    """Return the path of the program `name`; skip the test where there is none."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run_program(
    name: str, *arguments: str | Path, folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """Run `name` in `folder`, with no settings, proxies or language of the person who runs the tests.

    Args:
        name: the program; the test is skipped where it is missing.
        arguments: its arguments.
        folder: where it runs, and its home.
    """
    environment = {key: value for key, value in os.environ.items() if key.lower() not in _WITHOUT}
    environment |= {"HOME": str(folder), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [require(name), *map(str, arguments)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
