"""A gigabyte by the programs that people download with: resumed, split, and every byte of it right."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from programs import require, run_program
from running import RunningChute, wait_until
from shared import shared_server

GIB, BLOCK = 1 << 30, 64 << 10
ALREADY_THERE = GIB // 2 + 12_345
"""Where the interrupted download stopped: at no boundary of anything."""


def fill_with_a_gigabyte(folder: Path) -> None:
    """Write random blocks into a sparse file: the hash tells where they are, the disk holds nothing else."""
    chance = random.Random(9110)
    with (folder / "large.bin").open("wb") as file:
        file.truncate(GIB)
        for _ in range(200):
            file.seek(chance.randrange(GIB - BLOCK))
            file.write(chance.randbytes(BLOCK))
        for place in (0, ALREADY_THERE - BLOCK // 2, GIB - BLOCK):
            file.seek(place)
            file.write(chance.randbytes(BLOCK))


server = shared_server(fill_with_a_gigabyte, pollers=("auto",))


@pytest.fixture(scope="module")
def digest(server: RunningChute) -> str:
    return digest_of(server.folder / "large.bin")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Where downloads go; they do not stay, since pytest keeps the folders of several runs."""
    yield tmp_path
    (tmp_path / "large.bin").unlink(missing_ok=True)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def lines_about(server: RunningChute, agent: str, count: int) -> list[str]:
    """Wait for `count` log lines of one program; those of the tests before may come late."""

    def lines() -> list[str]:
        return [line for line in server.log_lines(0) if f'"{agent}/' in line.lower()]

    wait_until(lambda: len(lines()) >= count, what=f"{count} log lines about {agent}")
    return lines()


def copy_the_first(count: int, source: Path, target: Path) -> None:
    """Copy the start of a sparse file, its holes left holes."""
    with source.open("rb") as reader, target.open("wb") as writer:
        position = 0
        while position < count:
            position = os.lseek(reader.fileno(), position, os.SEEK_DATA)
            end = min(os.lseek(reader.fileno(), position, os.SEEK_HOLE), count)
            while position < end:
                content = os.pread(reader.fileno(), min(end - position, 1 << 20), position)
                position += os.pwrite(writer.fileno(), content, position)
        writer.truncate(count)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param("curl", ["-sS", "--fail", "-O", "-C", "-"], id="curl"),
        pytest.param("wget", ["--no-verbose", "--continue"], id="wget"),
    ],
)
def test_interrupted_download_is_resumed(
    server: RunningChute, place: Path, digest: str, name: str, arguments: list[str]
):
    require(name)
    copy_the_first(ALREADY_THERE, server.folder / "large.bin", place / "large.bin")
    result = run_program(name, *arguments, f"{server.url}/large.bin", folder=place)
    assert result.returncode == 0, result
    assert digest_of(place / "large.bin") == digest
    (line,) = lines_about(server, name, 1)
    assert f" 206 {GIB - ALREADY_THERE} " in line
    assert line.endswith(" sendfile complete")


def test_download_is_split_among_connections(server: RunningChute, place: Path, digest: str):
    require("aria2c")
    result = run_program(
        "aria2c",
        *("-x8", "-s8", "--min-split-size=1M", "--file-allocation=none", "--quiet"),
        *("--no-conf", "--allow-overwrite=false", "--auto-file-renaming=false"),
        f"{server.url}/large.bin",
        folder=place,
    )
    assert result.returncode == 0, result
    assert digest_of(place / "large.bin") == digest
    # The first connection learns the size from a 200, and is left when its part is full. How the rest is shared out
    # depends on which part is done first.
    lines = lines_about(server, "aria2", 5)
    assert sum(" 206 " in line for line in lines) >= 4, lines
    assert all(" 200 " in line or " 206 " in line for line in lines), lines
