"""Releases that are switched by a link: the root itself is made to lead elsewhere while it is served."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from downloads import KIB, MIB, ask
from running import RunningChute, Serve, wait_until

VALID_S = 0.1


@pytest.fixture
def releases(folder: Path, tmp_path: Path) -> dict[str, Path]:
    """Two trees with the same names; the served folder becomes a link to the first."""
    made = {}
    for name in ("one", "two"):
        tree = made[name] = tmp_path / name
        tree.mkdir()
        (tree / "page.html").write_text(f"page of {name}")
        (tree / "large.bin").write_bytes(name.encode() * (4 * MIB))
        (tree / f"only in {name}").write_text("x")
    folder.rmdir()
    folder.symlink_to(made["one"])
    return made


def switch(folder: Path, tree: Path) -> None:
    """Make the link lead to `tree`, in one step, as every tool for releases does."""
    other = folder.with_name("next")
    other.symlink_to(tree)
    other.rename(folder)


def start(serve: Serve) -> RunningChute:
    return serve("--valid", str(VALID_S))


def test_new_requests_see_the_new_tree(serve: Serve, folder: Path, releases: dict[str, Path]):
    chute = start(serve)
    for _ in range(3):
        assert chute.get("/page.html").body == b"page of one"
    assert chute.get("/only%20in%20two").status == 404
    switch(folder, releases["two"])
    wait_until(lambda: chute.get("/page.html").body == b"page of two", what="the new tree")
    time.sleep(2 * VALID_S)
    assert chute.get("/only%20in%20two").status == 200
    assert chute.get("/only%20in%20one").status == 404
    assert b"only in two" in chute.get("/").body


def test_download_ends_in_the_tree_it_began_in(
    serve: Serve, folder: Path, releases: dict[str, Path]
):
    chute = start(serve)
    with chute.connect(receive_buffer=64 * KIB) as wire:
        ask(wire, "/large.bin")
        count = int(wire.read_head()["content-length"])
        beginning = wire.read_body(100_000)
        switch(folder, releases["two"])
        wait_until(lambda: chute.get("/page.html").body == b"page of two", what="the new tree")
        assert beginning + wire.read_body(count - 100_000) == b"one" * (4 * MIB)
    assert chute.get("/large.bin").body == b"two" * (4 * MIB)


def test_every_answer_is_of_one_tree_however_often_it_changes(
    serve: Serve, folder: Path, releases: dict[str, Path]
):
    chute = start(serve)
    is_over = threading.Event()

    def keep_switching() -> None:
        names = ["two", "one"]
        while not is_over.is_set():
            switch(folder, releases[names[0]])
            names.reverse()
            time.sleep(0.02)

    switching = threading.Thread(target=keep_switching)
    switching.start()
    seen = set()
    end_s = time.monotonic() + 10
    try:
        with chute.connect() as wire:
            while len(seen) < 2 or time.monotonic() < end_s - 8.5:
                assert time.monotonic() < end_s, f"only {seen} was seen"
                body = wire.get("/large.bin").body
                assert body in (b"one" * (4 * MIB), b"two" * (4 * MIB))
                seen.add(body[:3])
    finally:
        is_over.set()
        switching.join()
    wait_until(lambda: chute.descriptors() < 30, what="the end of every old tree")


def test_link_that_leads_nowhere_for_a_moment_changes_nothing(
    serve: Serve, folder: Path, releases: dict[str, Path]
):
    chute = start(serve)
    assert chute.get("/page.html").status == 200
    os.unlink(folder)
    time.sleep(2 * VALID_S)
    assert chute.get("/page.html").body == b"page of one"
    folder.symlink_to(releases["two"])
    wait_until(lambda: chute.get("/page.html").body == b"page of two", what="the new tree")
