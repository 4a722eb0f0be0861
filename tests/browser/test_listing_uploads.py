"""A browser uploads files to a listing: chosen, dropped, refused, and in the place of others.

The server is a small one of the test's own, since what is tested is what the page asks for and what it says.
"""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pytest

from browser import Browser
from listings import Listing, write_page
from running import wait_until


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    """A browser whose page has complained about nothing when the test is over."""
    one_browser.complaints.clear()
    yield one_browser
    assert one_browser.complaints == []


@dataclass
class Shelf:
    """A server that shows one listing, and takes uploads or refuses them.

    Attributes:
        url: where the listing is.
        puts: name, content and If-None-Match of each upload, in the order they came.
        answers: status by name; 201 for any other.
        pages: how often the listing was asked for.
    """

    page: bytes
    url: str = ""
    puts: list[tuple[str, bytes, str | None]] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    pages: int = 0


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    write_page(tmp_path, b"/", uploads=True)
    shelf = Shelf((tmp_path / "listing.html").read_bytes())

    class Answering(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            shelf.pages += 1
            self.answer(200, shelf.page)

        def do_PUT(self) -> None:
            name = unquote(self.path[1:])
            content = self.rfile.read(int(self.headers["Content-Length"]))
            condition = self.headers["If-None-Match"]
            shelf.puts.append((name, content, condition))
            status = shelf.answers.get(name, 201)
            self.answer(201 if status == 412 and condition is None else status, b"")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        shelf.url = f"http://127.0.0.1:{server.server_port}/"
        yield shelf
        server.shutdown()
        thread.join()


def wait_for_the_folder_again(shelf: Shelf, listing: Listing) -> None:
    wait_until(lambda: shelf.pages == 2, what="the folder asked for again")
    # To leave a page that is just being loaded again can leave Chromium without an answer.
    listing.wait_for(
        "document.readyState === 'complete' && document.querySelector('#uploads').hidden"
    )


def choose_files(browser: Browser, *paths: Path) -> None:
    document = browser.call("DOM.getDocument")["root"]["nodeId"]
    node = browser.call("DOM.querySelector", nodeId=document, selector="#pick")["nodeId"]
    browser.call("DOM.setFileInputFiles", files=[str(path) for path in paths], nodeId=node)


def test_chosen_files_are_put_beneath_the_folder(shelf: Shelf, browser: Browser, tmp_path: Path):
    names = ["plain.txt", "spaces & <b>?#%41.txt", "é.txt"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    listing = Listing(browser)
    listing.open(shelf.url)
    choose_files(browser, *(tmp_path / name for name in names))
    wait_for_the_folder_again(shelf, listing)
    assert sorted(shelf.puts) == sorted((name, name.encode(), "*") for name in names)


def test_upload_that_fails_says_why_and_what_exists_can_be_replaced(
    shelf: Shelf, browser: Browser, tmp_path: Path
):
    shelf.answers = {"old.txt": 412, "big.txt": 413}
    for name in ("old.txt", "big.txt", "new.txt"):
        (tmp_path / name).write_bytes(b"content")
    listing = Listing(browser)
    listing.open(shelf.url)
    choose_files(browser, tmp_path / "old.txt", tmp_path / "big.txt", tmp_path / "new.txt")
    listing.wait_for("document.querySelectorAll('#uploads .failed').length === 2")
    wait_until(lambda: len(shelf.puts) == 3, what="three uploads")
    text = listing.text("#uploads")
    for part in ("old.txt", "is already here", "refused: 413", "Replace"):
        assert part in text
    listing.click("#uploads li button")
    wait_until(lambda: ("old.txt", b"content", None) in shelf.puts, what="the replacement")
    # Not before: a page that is left while it uploads asks whether to.
    listing.wait_for(
        "[...document.querySelectorAll('#uploads li')].filter("
        "line => line.querySelector('span').textContent === 'done').length === 2"
    )
    assert shelf.pages == 1, "what has failed can still be read"
    listing.click("#reload")
    wait_for_the_folder_again(shelf, listing)
    browser.complaints.clear()  # the console reports every status of an error


def drag(browser: Browser, kind: str, *paths: Path) -> None:
    """Move files of the desktop over the page (`dragEnter`, `dragOver`), or let them go (`drop`)."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    browser.call("Input.dispatchDragEvent", type=kind, x=200, y=200, data=data)


def test_files_can_be_dropped(shelf: Shelf, browser: Browser, tmp_path: Path):
    path = tmp_path / "<i>dropped.txt"
    path.write_bytes(b"dropped")
    listing = Listing(browser)
    listing.open(shelf.url)
    overlay = "document.querySelector('#drop').checkVisibility()"
    assert not browser.evaluate(overlay)
    drag(browser, "dragEnter", path)
    drag(browser, "dragOver", path)
    assert browser.evaluate(overlay)
    drag(browser, "drop", path)
    wait_for_the_folder_again(shelf, listing)
    assert shelf.puts == [("<i>dropped.txt", b"dropped", "*")]


def test_folder_that_is_dropped_is_refused(shelf: Shelf, browser: Browser, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    listing = Listing(browser)
    listing.open(shelf.url)
    for kind in ("dragEnter", "dragOver", "drop"):
        drag(browser, kind, tmp_path / "folder")
    listing.wait_for("document.querySelector('#uploads .failed')")
    assert "is a folder" in listing.text("#uploads")
    assert not browser.evaluate("document.querySelector('#drop').checkVisibility()")
    assert shelf.puts == []
