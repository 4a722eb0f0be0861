"""A browser looks at the example site, plays its film and seeks in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Browser
from example_site import copy_example_site
from running import RunningChute, wait_until
from shared import shared_server

PLAY = """
(async () => {
    const video = document.querySelector("video");
    video.muted = true;
    await video.play();
    while (video.currentTime <= 0.5) await new Promise(done => setTimeout(done, 20));
    return video.duration;
})()
"""
SEEK = """
(async () => {
    const video = document.querySelector("video");
    await new Promise(done => {
        video.addEventListener("seeked", done, {once: true});
        video.currentTime = 12;
    });
    return {time: video.currentTime, error: video.error && video.error.message, ready: video.readyState};
})()
"""

server = shared_server(copy_example_site, pollers=("auto",))
bare = shared_server(lambda folder: None, pollers=("auto",))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path / "profile") as browser:
        yield browser


def film_lines(server: RunningChute) -> list[str]:
    return [line for line in server.log_lines(0) if "/tube.webm" in line]


def test_film_plays_and_seeks(server: RunningChute, browser: Browser):
    # Slow enough that 12 s is not there yet when it is asked for: the seek must ask for a range of its own.
    browser.call(
        "Network.emulateNetworkConditions",
        offline=False,
        latency=0,
        downloadThroughput=80_000,
        uploadThroughput=-1,
    )
    browser.open(f"{server.url}/film.html")
    assert browser.evaluate(PLAY) == pytest.approx(20, abs=0.5)
    position = browser.evaluate(SEEK)
    assert 12 <= position["time"] < 14
    assert position["error"] is None
    assert position["ready"] >= 2, "the picture at 12 s is not there"
    film = [response for response in browser.responses if response[0].endswith("/tube.webm")]
    assert {status for _, status, _ in film} == {206}
    ranges = [re.match(r"bytes (\d+)-\d+/\d+$", fields["content-range"]) for *_, fields in film]
    assert any(match and int(match[1]) > 0 for match in ranges), film
    assert browser.complaints == []
    # A line is logged when its response ends, and the last response may be on its way as long as the page is open.
    browser.open("about:blank")
    wait_until(lambda: film_lines(server), what="the film in the access log")
    assert all('" 206 ' in line for line in film_lines(server)), film_lines(server)


def test_pages_load_without_complaint(server: RunningChute, browser: Browser):
    pages = ["", *sorted(path.name for path in server.folder.glob("*.html"))]
    for page in pages:
        browser.open(f"{server.url}/{page}")
        assert browser.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
        assert browser.evaluate("document.styleSheets[0].cssRules.length") > 5
    assert browser.complaints == []
    assert {status for _, status, _ in browser.responses} <= {200, 206}


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_error_page_fits_a_phone_and_follows_the_scheme(
    bare: RunningChute, browser: Browser, scheme: str, is_dark: bool
):
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=375,
        height=667,
        deviceScaleFactor=1,
        mobile=True,
    )
    browser.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    browser.open(f"{bare.url}/nothing/here")
    assert browser.evaluate("document.querySelector('h1').textContent") == "404Not Found"
    assert browser.evaluate("document.documentElement.scrollWidth") == 375
    text = browser.evaluate("getComputedStyle(document.body).color")
    assert text == ("rgb(255, 255, 255)" if is_dark else "rgb(0, 0, 0)")
