"""A browser opens listings, and uses them: by pointer, by keys, on a phone, and without a script.

A page is written into the folder that it lists, under its own policy, and served by chute: so its links lead to the
real files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from browser import Browser
from chute.static.listing import (
    Column,
    Item,
    Kind,
    Order,
    arrange,
)
from chute.static.listing_page import shown
from listings import PIXEL, Listing, write_page
from running import RunningChute
from shared import shared_server

DAY_S = 86_400
NAMES = [
    b"file1.txt",
    b"file2.txt",
    b"file10.txt",
    b"Zebra.py",
    b"apple.json",
    "Äpfel.csv".encode(),
    b"film.mkv",
    b"no-extension",
]
HOSTILE = [
    b"javascript:alert(1)",
    b"<script>alert(1).html",
    b'"><img src=x onerror=alert(1)>.png',
    b"' onmouseover='alert(1)",
    b"?x#y",
    b"%41%2e%2e",
    b"a&amp;b&copy=c",
    b"back\\slash",
    b"new\nline.txt",
    b"\x1b[31mred",
    b"\xff\xfe not utf-8",
    b"e\xcc\x81",
    "é".encode(),
    b"  two  spaces ",
    "turned\u202egpj.exe".encode(),
    "日本🚀".encode(),
    b"x" * 255,
    b"C:",
]
PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
DESK = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}


def fill(folder: Path) -> None:
    """Make folders with their listings; every date is distinct to the second."""
    now_s = int(time.time())
    (folder / "favicon.ico").write_bytes(PIXEL)  # asked for by whatever page is no listing
    plain = folder / "plain"
    (plain / "sub").mkdir(parents=True)
    (plain / "another sub").mkdir()
    for number, name in enumerate(NAMES):
        path = os.path.join(os.fsencode(plain), name)
        content = b"<b>not bold</b> %d\n" % number * (number * 7 % 8)
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, (now_s - 40 * DAY_S - number * 3 % 8,) * 2)
    (plain / "long.log").write_bytes(b"line\n" * 50_000)
    (plain / "picture.png").write_bytes(PIXEL)
    for number, name in enumerate(("long.log", "picture.png", "sub", "another sub")):
        os.utime(plain / name, (now_s - 3 * 3600 - 60 * number,) * 2)
    write_page(plain, b"/plain/", archives=True)
    hostile = folder / "hostile <b>"
    hostile.mkdir()
    for name in HOSTILE:
        with open(os.path.join(os.fsencode(hostile), name), "wb") as file:
            file.write(b"<" + name + b">")
    write_page(hostile, b"/hostile <b>/")
    (folder / "empty").mkdir()
    write_page(folder / "empty", b"/empty/", uploads=True)
    filtered = folder / "filtered"
    filtered.mkdir()
    for name in ("needle.txt", "a needle.txt", "hay.txt"):
        (filtered / name).write_bytes(b"x")
    write_page(filtered, b"/filtered/", needle="needle")


server = shared_server(fill, pollers=("auto",))


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser") / "profile") as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Iterator[Browser]:
    """A tab as new, whose page has complained about nothing when the test is over."""
    one_browser.complaints.clear()
    one_browser.responses.clear()
    one_browser.call("Emulation.setDeviceMetricsOverride", **DESK)
    yield one_browser
    one_browser.call("Emulation.setScriptExecutionDisabled", value=False)
    one_browser.evaluate("try { localStorage.clear() } catch {}")
    assert one_browser.complaints == []


Open = Callable[..., Listing]


@pytest.fixture
def open_listing(server: RunningChute, browser: Browser) -> Open:
    def open_listing(folder: str = "plain", query: str = "") -> Listing:
        listing = Listing(browser)
        listing.open(f"{server.url}/{folder}/listing.html{query}")
        return listing

    return open_listing


def expected_names(server: RunningChute, order: Order) -> list[str]:
    """Return the names in the order that the server gives them."""
    items = []
    for path in (server.folder / "plain").iterdir():
        status = path.stat()
        kind = Kind.FOLDER if path.is_dir() else Kind.FILE
        size = status.st_size if kind is Kind.FILE else None
        if path.name != "listing.html":
            items.append(Item(os.fsencode(path.name), kind, size, status.st_mtime_ns))
    return [item.name.decode() for item in arrange(items, order)]


def test_listing_is_complete_and_in_order(open_listing: Open, server: RunningChute):
    listing = open_listing()
    assert listing.names() == expected_names(server, Order())
    assert listing.names()[:3] == ["another sub", "sub", "Äpfel.csv"]
    assert listing.text("footer").startswith("2 folders, 10 files, ")


def test_t24_hostile_names_are_shown_literally(open_listing: Open):
    listing = open_listing("hostile%20%3Cb%3E")
    seen = {shown(name.decode("utf-8", "surrogateescape")) for name in HOSTILE}
    assert set(listing.names()) == seen
    assert len(listing.names()) == len(HOSTILE)
    assert listing.browser.evaluate("document.querySelector('h1').textContent") == "hostile <b>"
    assert listing.browser.evaluate("document.images.length") == 0


def test_t23_links_of_hostile_names_fetch_their_files(open_listing: Open):
    listing = open_listing("hostile%20%3Cb%3E")
    fetched = listing.browser.evaluate(
        "Promise.all([...document.querySelectorAll('tbody a')].map(async link => {"
        "const content = new Uint8Array(await (await fetch(link.href)).arrayBuffer());"
        "return [...content].map(octet => octet.toString(16).padStart(2, '0')).join(''); }))"
    )
    assert sorted(fetched) == sorted((b"<" + name + b">").hex() for name in HOSTILE)


def test_t24_hostile_names_survive_script_and_preview(open_listing: Open):
    """Filtering, sorting, the grid and previews handle the same names, and none of them becomes an element."""
    listing = open_listing("hostile%20%3Cb%3E")
    listing.click("th:nth-child(2) a")
    listing.click("th:first-child a")
    listing.press("/", "<", "i", "m", "g")
    assert listing.names() == ['"><img src=x onerror=alert(1)>.png']
    listing.press("ArrowDown", " ")
    listing.wait_for("document.querySelector('dialog').open")
    assert listing.text("h2") == '"><img src=x onerror=alert(1)>.png'
    listing.wait_for("document.querySelector('#stage p')")
    assert "cannot show" in listing.text("#stage")
    listing.press("Escape")


@pytest.mark.parametrize("column", Column)
def test_headings_sort_like_the_server(open_listing: Open, server: RunningChute, column: Column):
    listing = open_listing()
    number = list(Column).index(column) + 1
    first_is_descending = column is not Column.NAME
    if column is Column.NAME:
        listing.click("th:nth-child(2) a")
    for is_descending in (first_is_descending, not first_is_descending):
        listing.click(f"th:nth-child({number}) a")
        assert listing.names() == expected_names(server, Order(column, is_descending))
        sorting = listing.browser.evaluate(
            "[...document.querySelectorAll('th')].map(cell => cell.ariaSort)"
        )
        expected: list[str | None] = [None] * 3
        expected[number - 1] = "descending" if is_descending else "ascending"
        assert sorting == expected
        address = listing.browser.evaluate("location.search")
        assert f"sort={column.value}" in address
        assert ("order=desc" if is_descending else "order=asc") in address


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("FILE1", ["file1.txt", "file10.txt"]),
        ("apf", ["Äpfel.csv"]),
        ("ä", None),
        ("sub", ["another sub", "sub"]),
    ],
)
def test_filter_is_instant(open_listing: Open, typed: str, expected: list[str] | None):
    listing = open_listing()
    listing.press("/", *typed)
    if expected is None:
        expected = [name for name in listing.names() if "a" in name.lower().replace("ä", "a")]
    assert listing.names() == expected
    assert listing.text("#count") == f"{len(expected)} of 12 shown"
    listing.press("Escape")
    assert len(listing.names()) == 12
    assert listing.text("#count").startswith("2 folders")


def test_filter_that_finds_nothing_says_so_and_can_be_cleared(open_listing: Open):
    listing = open_listing()
    listing.press("/", "z", "z", "z")
    assert listing.names() == []
    assert "Nothing has such a name" in listing.text("#none")
    listing.click("#none a")
    assert len(listing.names()) == 12
    assert not listing.browser.evaluate("document.querySelector('#none').checkVisibility()")


def test_enter_in_the_filter_opens_the_first(open_listing: Open, server: RunningChute):
    listing = open_listing()
    listing.press("/", "j", "s", "o", "n", "Enter")
    listing.wait_for("location.pathname === '/plain/apple.json'")


def test_filter_of_the_server_is_left_by_a_link(open_listing: Open):
    listing = open_listing("filtered", "?q=needle")
    assert listing.names() == ["a needle.txt", "needle.txt"]
    assert listing.browser.evaluate("document.querySelector('#filter').value") == "needle"
    assert listing.focused() == "filter"
    listing.press(" ", "x")
    link = "document.querySelector('#none a').href.endsWith('/filtered/')"
    assert listing.names() == []
    assert listing.browser.evaluate(link)


def test_keys_move_and_open(open_listing: Open, server: RunningChute):
    listing = open_listing()
    names = listing.names()
    listing.press("ArrowDown")
    assert listing.focused() == names[0]
    listing.press("j", "j", "ArrowDown", "k")
    assert listing.focused() == names[2]
    listing.press("k", "k", "k", "k")
    assert listing.focused() == names[0]
    listing.press("j", "Enter")
    listing.wait_for("location.pathname === '/plain/sub/'")
    listing.browser.complaints.clear()  # the folder without a listing of its own is refused


@pytest.mark.parametrize("key", ["Backspace", "h"])
def test_keys_go_up(open_listing: Open, key: str):
    listing = open_listing()
    listing.press(key)
    listing.wait_for("location.pathname === '/'")
    listing.browser.complaints.clear()


def test_keys_skip_what_is_filtered_out(open_listing: Open):
    listing = open_listing()
    listing.press("/", "t", "x", "t", "ArrowDown")
    assert listing.focused() == "file1.txt"
    listing.press("j", "j", "j")
    assert listing.focused() == "file10.txt"


def test_typing_is_not_taken_for_keys(open_listing: Open):
    listing = open_listing()
    listing.press("/", "h", "j", "k", "Backspace", "/")
    assert listing.browser.evaluate("document.querySelector('#filter').value") == "hj/"
    assert listing.focused() == "filter"


@pytest.mark.parametrize("folder", ["plain", "hostile%20%3Cb%3E", "empty", "filtered"])
@pytest.mark.parametrize("view", ["rows", "grid"])
def test_nothing_overflows_on_a_phone(open_listing: Open, browser: Browser, folder: str, view: str):
    browser.call("Emulation.setDeviceMetricsOverride", **PHONE)
    listing = open_listing(folder)
    browser.evaluate(f"document.querySelector('.views [value={view}]').click()")
    assert browser.evaluate("document.documentElement.scrollWidth") == 360
    beyond = browser.evaluate(
        "[...document.querySelectorAll('body *')].filter(element => element.checkVisibility() &&"
        "!element.closest('svg') && element.getBoundingClientRect().right > 360.5).length"
    )
    assert beyond == 0
    assert len(listing.names()) in (12, len(HOSTILE), 0, 2)


def test_table_is_a_table_for_who_cannot_see_it(open_listing: Open, browser: Browser):
    """Rows have a display of their own; what they are must not be lost by it."""
    browser.call("Emulation.setDeviceMetricsOverride", **PHONE)
    open_listing()
    # What lies within a row is known when the row has been laid out for the first time.
    browser.evaluate(
        "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
    assert roles.count("table") == 1
    assert roles.count("row") == 13
    assert roles.count("columnheader") == 3
    assert roles.count("cell") == 36
    links = {node["name"]["value"] for node in nodes if node["role"].get("value") == "link"}
    assert {"sub", "file10.txt", "Name"} <= links
    buttons = {node["name"]["value"] for node in nodes if node["role"].get("value") == "button"}
    assert "Download everything as .zip" in buttons
    unnamed = [
        node
        for node in nodes
        if not node["ignored"]
        and node["role"]["value"] in ("link", "button", "searchbox", "image")
        and not node["name"]["value"]
    ]
    assert unnamed == []


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_page_follows_the_scheme(open_listing: Open, browser: Browser, scheme: str, is_dark: bool):
    browser.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    open_listing()
    red = "Number(getComputedStyle(document.body)[%r].match(/\\d+/)[0])"
    assert (browser.evaluate(red % "backgroundColor") < 64) is is_dark
    assert (browser.evaluate(red % "color") > 192) is is_dark


def test_dates_are_told_as_people_do_and_exactly(open_listing: Open):
    listing = open_listing()
    times = listing.browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('tbody tr')].map(row => "
        "[row.querySelector('a').textContent, row.querySelector('time').textContent]))"
    )
    assert times["long.log"] == "3 hours ago"
    assert len(times["file1.txt"]) == len("2024-01-01 12:34")
    title = listing.browser.evaluate("document.querySelector('time').title")
    assert title.endswith(" UTC")


def test_grid_shows_pictures_and_is_remembered(open_listing: Open, browser: Browser):
    listing = open_listing()
    assert browser.evaluate("document.images.length") == 0
    listing.click(".views [value=grid]")
    listing.wait_for("document.images[0]?.naturalWidth === 1")
    assert browser.evaluate("document.images.length") == 1
    assert browser.evaluate("document.querySelector('.views [value=grid]').ariaPressed") == "true"
    listing = open_listing("hostile%20%3Cb%3E")
    assert browser.evaluate("document.documentElement.className") == "grid"
    listing.click(".views [value=rows]")
    listing = open_listing()
    assert browser.evaluate("document.documentElement.className") == ""


def test_keys_move_in_two_directions_in_the_grid(open_listing: Open):
    listing = open_listing()
    listing.click(".views [value=grid]")
    names = listing.names()
    columns = listing.browser.evaluate(
        "getComputedStyle(document.querySelector('tbody')).gridTemplateColumns.split(' ').length"
    )
    listing.press("ArrowDown", "ArrowRight", "ArrowDown")
    assert listing.focused() == names[1 + columns]
    listing.press("ArrowLeft", "ArrowUp")
    assert listing.focused() == names[0]


def test_tap_in_the_grid_shows_a_picture_and_enter_opens_it(open_listing: Open):
    listing = open_listing()
    listing.click(".views [value=grid]")
    listing.click("tr.i a")
    listing.wait_for("document.querySelector('#stage img')?.naturalWidth === 1")
    assert listing.text("h2") == "picture.png"
    listing.press("Escape")
    assert listing.focused() == "picture.png"
    listing.press("Enter")
    listing.wait_for("location.pathname === '/plain/picture.png'")


def test_preview_shows_the_beginning_of_a_text_as_text(open_listing: Open, browser: Browser):
    listing = open_listing()
    listing.press("/", "l", "o", "n", "g", "ArrowDown", " ")
    listing.wait_for("document.querySelector('#stage pre')")
    assert listing.text("#stage").startswith("line\nline\n")
    assert listing.text("#stage").endswith("\u2026")
    (response,) = [found for found in browser.responses if found[0].endswith("/long.log")]
    assert response[1] == 206
    assert response[2]["content-range"].startswith("bytes 0-65535/")
    listing.press("Escape")
    assert listing.focused() == "long.log"


def test_preview_turns_pages_and_writes_no_markup(open_listing: Open):
    listing = open_listing()
    listing.press("ArrowDown", "j", "j", " ")
    listing.wait_for("document.querySelector('#stage pre')")
    seen = [listing.text("h2")]
    for _ in range(9):
        listing.press("ArrowRight")
        seen.append(listing.text("h2"))
    shown_in_order = [name for name in listing.names() if "." in name and name != "film.mkv"]
    assert list(dict.fromkeys(seen)) == shown_in_order
    listing.press("ArrowLeft")
    assert listing.text("h2") == shown_in_order[-2]
    assert listing.browser.evaluate("document.querySelectorAll('#stage b').length") == 0
    listing.click("dialog button[value='0']")
    listing.wait_for("!document.querySelector('dialog').open")


def test_eye_shows_a_preview_and_the_name_opens_the_file(open_listing: Open):
    listing = open_listing()
    listing.click("tr.c .eye")
    listing.wait_for("document.querySelector('#stage pre')")
    assert listing.text("h2") == "apple.json"
    listing.press("Escape")
    listing.click("tr.c a")
    listing.wait_for("location.pathname === '/plain/apple.json'")


def test_everything_is_there_without_a_script(open_listing: Open, browser: Browser):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    listing = open_listing()
    assert len(listing.names()) == 12
    assert listing.text("thead").split() == ["Name", "Size", "Modified", "UTC"]
    assert not browser.evaluate("document.querySelector('.views').checkVisibility()")
    listing.click("th:nth-child(2) a")
    listing.wait_for("location.search === '?sort=size&order=desc'")
    listing.click("#filter")
    listing.press("x", "Enter")
    listing.wait_for("location.search === '?q=x&sort=name&order=asc'")


def test_empty_folder_is_calm(open_listing: Open, browser: Browser):
    listing = open_listing("empty")
    assert "This folder is empty" in listing.text("main")
    for selector in ("form", ".views", "table"):
        assert not browser.evaluate(f"document.querySelector('{selector}').checkVisibility()")
    listing.press("/", "j", " ", "Escape")
    listing.press("Backspace")
    listing.wait_for("location.pathname === '/'")
    browser.complaints.clear()
