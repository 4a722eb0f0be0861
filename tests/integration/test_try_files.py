"""What is tried for a path, single-page apps, and the site's own error documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from running import RunningChute, Serve
from shared import shared_server

BROWSER = "Accept: text/html,application/xhtml+xml,*/*;q=0.8"


def fill(folder: Path) -> None:
    (folder / "index.html").write_bytes(b"the app")
    (folder / "about.html").write_bytes(b"about")
    (folder / "app.js").write_bytes(b"script")
    (folder / "docs").mkdir()
    (folder / "docs" / "index.html").write_bytes(b"docs")
    (folder / "404.html").write_bytes(b"<p>the site's own page")


plain = shared_server(fill, "--no-listing")
spa = shared_server(fill, "--spa", "--no-listing")
clean = shared_server(fill, "--try-files", "$uri $uri.html $uri/ =410", "--no-listing")


@pytest.mark.parametrize("target", ["/user/42", "/user/", "/deep/er/path?query"])
def test_app_answers_navigations_to_paths_of_its_own(spa: RunningChute, target: str):
    reply = spa.get(target, BROWSER)
    assert (reply.status, reply.body) == (200, b"the app")
    assert reply["content-type"] == "text/html; charset=utf-8"


def test_app_answers_a_name_with_a_dot_for_browsers_only(spa: RunningChute):
    for _ in range(4):  # as often as it takes for an answer to be used again
        reply = spa.get("/user/john.doe", BROWSER)
        assert (reply.body, reply["vary"]) == (b"the app", "Accept")
        assert spa.get("/user/john.doe", "Accept: application/json").status == 404


def test_script_that_is_missing_stays_missing(spa: RunningChute):
    assert spa.get("/old.js", "Accept: */*").status == 404
    assert spa.get("/old.png", "Accept: image/avif,image/webp,*/*").status == 404


def test_app_does_not_hide_what_is_there(spa: RunningChute):
    assert spa.get("/app.js").body == b"script"
    assert spa.get("/docs/", BROWSER).body == b"docs"
    assert spa.get("/docs", BROWSER)["location"] == "/docs/"
    assert spa.get("/.git/config", BROWSER).status == 404


def test_fallback_has_validators_and_ranges_like_any_file(spa: RunningChute):
    reply = spa.get("/user/42", BROWSER)
    assert spa.get("/user/43", BROWSER, f"If-None-Match: {reply['etag']}").status == 304
    assert spa.get("/user/43", BROWSER, "Range: bytes=4-6").body == b"app"


def test_fallback_ends_when_the_file_comes(serve: Serve, folder: Path):
    fill(folder)
    chute = serve("--spa", "--valid", "0")
    for _ in range(3):
        assert chute.get("/new", BROWSER).body == b"the app"
    (folder / "new").write_bytes(b"here now")
    assert chute.get("/new", BROWSER).body == b"here now"


def test_names_without_their_extension_are_found(clean: RunningChute):
    assert clean.get("/about").body == b"about"
    assert clean.get("/about")["content-type"] == "text/html; charset=utf-8"
    assert clean.get("/about.html").body == b"about"
    assert clean.get("/docs")["location"] == "/docs/"
    assert clean.get("/gone").status == 410


def test_sites_own_page_keeps_the_status(plain: RunningChute):
    reply = plain.get("/nothing", BROWSER)
    assert (reply.status, reply.body) == (404, b"<p>the site's own page")
    assert reply["content-type"] == "text/html; charset=utf-8"
    assert "etag" not in reply
    head = plain.get("/nothing", BROWSER, method="HEAD")
    assert (head.status, head["content-length"]) == (404, str(len(reply.body)))


def test_sites_own_page_is_for_those_who_read_pages(plain: RunningChute):
    reply = plain.get("/nothing", "Accept: application/json")
    assert (reply.status, reply["content-type"]) == (404, "application/json")


def test_sites_own_page_is_a_file_with_a_status_of_its_own(plain: RunningChute):
    assert plain.get("/404.html").status == 200
    assert plain.get("/nothing", BROWSER, "Range: bytes=0-3").status == 404
