"""A browser uploads to a listing of the real server, with the script of the page and without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser
from listings import Listing
from running import RunningChute, start_chute, wait_until


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as browser:
        yield browser


@pytest.fixture
def server(folder: Path, tmp_path: Path) -> Iterator[RunningChute]:
    (folder / "old.txt").write_bytes(b"old")
    server = start_chute(folder, tmp_path, "--upload", "--valid", "0")
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.errors()


def choose_files(browser: Browser, *paths: Path) -> None:
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=document, selector="#pick")["nodeId"]
    browser.call("DOM.setFileInputFiles", files=[str(path) for path in paths], nodeId=node)


def make_sources(tmp_path: Path) -> list[Path]:
    place = tmp_path / "sources"
    place.mkdir()
    for name in ("old.txt", "large é.bin"):
        (place / name).write_bytes(name.encode() * 200_000)
    return sorted(place.iterdir())


def test_files_arrive_and_one_is_replaced(
    server: RunningChute, browser: Browser, folder: Path, tmp_path: Path
):
    sources = make_sources(tmp_path)
    listing = Listing(browser)
    listing.open(f"{server.url}/")
    assert "Send" not in listing.text("header"), "what is there for who has no script"
    choose_files(browser, *sources)
    listing.wait_for("document.querySelectorAll('#uploads .failed').length === 1")
    wait_until((folder / "large é.bin").exists, what="the new file")
    assert (folder / "old.txt").read_bytes() == b"old"
    assert "is already here" in listing.text("#uploads")
    listing.click("#uploads li button")
    wait_until(lambda: (folder / "old.txt").stat().st_size > 3, what="the replacement")
    for source in sources:
        assert (folder / source.name).read_bytes() == source.read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["large é.bin", "old.txt"]


def test_form_does_without_the_script(
    server: RunningChute, browser: Browser, folder: Path, tmp_path: Path
):
    (source,) = [path for path in make_sources(tmp_path) if path.name.startswith("large")]
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(f"{server.url}/")
    choose_files(browser, source)
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    button = browser.call("DOM.querySelector", nodeId=document, selector="#send button")["nodeId"]
    left, top, _, _, right, bottom, *_ = browser.call("DOM.getBoxModel", nodeId=button)["model"][
        "content"
    ]
    spot = {"x": (left + right) / 2, "y": (top + bottom) / 2, "button": "left", "clickCount": 1}
    browser.call("Input.dispatchMouseEvent", type="mousePressed", **spot)
    browser.call("Input.dispatchMouseEvent", type="mouseReleased", **spot)
    wait_until((folder / source.name).exists, what="the new file")
    assert (folder / source.name).read_bytes() == source.read_bytes()
