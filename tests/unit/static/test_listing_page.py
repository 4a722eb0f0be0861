"""Listings as pages: what stands in them, and that no name gets out of its place."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chute.static.listing import Column, Item, Kind, Order
from chute.static.listing_formats import BLOCK_BYTES
from chute.static.listing_page import content_security_policy, render_html, shown, size_text
from chute.static.listing_style import look_of
from trees import ODD_NAMES

NEW_YEAR_NS = 1_704_067_200_000_000_000
OVERHEAD_BYTES_MAX = 16 * 1024

HOSTILE_NAMES = {
    **ODD_NAMES,
    "scheme": b"javascript:alert(1)",
    "another scheme": b"data:text,x",
    "a drive": b"C:",
    "query and fragment": b"?x#y",
    "only a query": b"?sort=size",
    "only a fragment": b"#f",
    "element": b"<script>alert(1)",
    "end of an element": b"<\xe2\x88\x95script>",
    "comment": b"<!--",
    "attribute": b'"><img src=x onerror=alert(1)>',
    "single quotes": b"' onmouseover='alert(1)",
    "character reference": b"&lt;&#60;&copy=1",
    "backslashes that look like a host": b"\\\\evil.example",
    "template": b"${alert(1)}`",
    "spaces around": b"  two  spaces ",
    "terminal": b"\x1b[31mred",
    "carriage return": b"a\rb",
    "turned text": "photo\u202egpj.exe".encode(),
    "separator of lines": "a\u2028b".encode(),
    "C1 control": b"\xc2\x85",
    "surrogate as UTF-8": b"\xed\xa0\x80",
    "half of a letter": b"\xc3",
    "noncharacter": "\uffff".encode(),
    "byte order mark": b"\xef\xbb\xbfname",
    "family": "👨‍👩‍👧".encode(),
}


class Reader(HTMLParser):
    """Reads a page: its elements, its links, and what is written in each cell."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[dict[str, str]] = []
        self.rows = 0
        self.cells: list[list[str]] = []
        self.inputs: dict[str, str] = {}
        self.texts: list[str] = []
        self.titles: list[str] = []
        self.times: list[dict[str, str]] = []
        self._is_row = False
        self.feed(page.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        assert len(values) == len(attrs), attrs
        self.elements.append((tag, tuple(values)))
        match tag:
            case "a" if "href" in values:
                self.links.append(values)
            case "tr":
                self._is_row = "class" in values
                if self._is_row:
                    self.rows += 1
                    self.cells.append([])
            case "td":
                self.cells[-1].append("")
                self.titles.append(values.get("title", ""))
            case "input":
                self.inputs[values.get("name", "")] = values.get("value", "")
            case "time":
                self.times.append(values)

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._is_row = False

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if self._is_row and self.cells[-1]:
            self.cells[-1][-1] += data

    @property
    def items(self) -> list[str]:
        """The links of the rows."""
        return [href for href in self.hrefs if href.startswith("./")][: self.rows]

    @property
    def hrefs(self) -> list[str]:
        return [link["href"] for link in self.links]

    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def file(name: bytes, size: int | None = 5, modified_ns: int = NEW_YEAR_NS) -> Item:
    return Item(name, Kind.FILE, size, modified_ns)


def folder(name: bytes) -> Item:
    return Item(name, Kind.FOLDER, None, NEW_YEAR_NS)


def render(
    *items: Item, path: bytes = b"/a folder/", order: Order | None = None, **options: object
) -> bytes:
    return b"".join(render_html(path, items, order or Order(), **options))


def read(*items: Item, **options: object) -> Reader:
    return Reader(render(*items, **options))


def target(href: str) -> bytes:
    """Return the path beneath the page's own that a browser asks for: WHATWG URL, relative-URL parsing."""
    match = re.fullmatch(r"\./([A-Za-z0-9._~!$&'()*+,;=:@%-]+/?)", href)
    assert match is not None, href
    assert match[1].rstrip("/").lower().replace("%2e", ".") not in (".", "..")
    return unquote_to_bytes(match[1])


NAMES = pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES.keys())


@NAMES
def test_t23_link_leads_to_the_very_name(name: bytes):
    page = read(file(name), folder(name))
    assert [target(href) for href in page.items] == [
        name,
        name + b"/",
    ]


@NAMES
def test_t24_name_changes_nothing_but_a_text_and_a_link(name: bytes):
    """The elements and attributes of the page are those that a harmless name gives."""
    assert read(file(name), path=b"/" + name + b"/x/").elements == [
        (tag, attributes) for tag, attributes in read(file(b"plain"), path=b"/plain/x/").elements
    ]


@NAMES
def test_t24_name_is_shown_as_text_and_unseen_parts_as_marks(name: bytes):
    (cells,) = read(file(name)).cells
    assert cells[0] == shown(name.decode("utf-8", "surrogateescape"))
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", cells[0])


ANY_NAMES = st.binary(min_size=1, max_size=60).filter(
    lambda name: name not in (b".", b"..") and not {0, ord("/")} & set(name)
)


@given(ANY_NAMES)
@example(b".%2e")
@example(b"a;b=c&d")
def test_t23_t24_any_name_round_trips(name: bytes):
    page = read(file(name))
    assert target(page.items[0]) == name
    assert page.elements == read(file(b"plain")).elements


def test_t23_normal_forms_stay_two_names():
    page = read(file("é".encode()), file(b"e\xcc\x81"))
    assert [target(href) for href in page.items] == [b"\xc3\xa9", b"e\xcc\x81"]
    assert [cells[0] for cells in page.cells] == ["é", "e\u0301"]


def test_t24_no_name_stands_in_the_style_sheet_or_the_script():
    name = b"</script></style><b>smuggled"
    page = render(
        file(name.replace(b"/", b"")),
        path=name,
        needle="</script>smuggled",
        root_name="</style>smuggled",
    )
    for element in (b"style", b"script"):
        content = page.partition(b"<%b>" % element)[2].partition(b"</%b>" % element)[0]
        assert b"smuggled" not in content
    assert page.count(b"<script>") == page.count(b"<style>") == page.count(b"</script>") == 1


def test_t24_query_is_written_back_as_text_only():
    needle = '"><script>alert(1)</script>\udcff&q=2#'
    page = read(file(b"x"), needle=needle)
    assert page.inputs["q"] == needle.replace("\udcff", "\ufffd")
    plain = read(file(b"x"), needle="plain")
    assert page.elements == plain.elements
    sorting = [href for href in page.hrefs if href.startswith("?")]
    assert len(sorting) == 3
    for href in sorting:
        assert unquote_to_bytes(href.partition("&q=")[2]) == needle.encode(
            "utf-8", "surrogateescape"
        )


@pytest.mark.parametrize("path", [b"/", b"/a/b/"])
def test_t24_name_of_the_top_is_escaped_too(path: bytes):
    hostile = '"><b onclick=x>&'
    page = read(file(b"x"), path=path, root_name=hostile)
    assert page.elements == read(file(b"x"), path=path, root_name="plain").elements
    assert hostile in page.text() + "".join(link.get("title", "") for link in page.links)


def test_t24_links_upwards_hold_no_name():
    page = read(file(b"x"), path=b"//evil.example/javascript:x/<b>/")
    upwards = [href for href in page.hrefs if href.startswith("..")]
    assert upwards == ["../../../", "../../", "../"]


def test_page_works_under_its_own_policy():
    """The policy names the hashes of exactly the style sheet and the script that are in the page."""
    for uploads in (False, True):
        policy = content_security_policy(uploads=uploads).decode()
        page = render(file(b"x"), uploads=uploads)
        for element in ("style", "script"):
            content = re.search(f"<{element}>(.*?)</{element}>".encode(), page, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(content[1]).digest()).decode()
            assert f"{element}-src 'sha256-{digest}'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize("uploads", [False, True])
def test_page_needs_neither_the_network_nor_inline_handlers(uploads: bool):
    page = render(file(b"x.png"), folder(b"f"), archives=True, uploads=uploads)
    for _, attributes in Reader(page).elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    outside = set(re.findall(rb"(?:https?:)?//[a-z][a-z0-9.]*", page))
    assert outside == {b"http://www.w3.org"}, "the name space of SVG is all"
    assert b"@import" not in page
    assert b"url(" not in page
    for banned in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval("):
        assert banned not in page


def test_page_is_small():
    one, two = len(render(file(b"x"))), len(render(file(b"x"), file(b"y")))
    assert one - (two - one) <= OVERHEAD_BYTES_MAX


def test_row_says_what_a_person_wants_and_what_is_exact():
    modified_ns = NEW_YEAR_NS + 45_296_000_000_000
    page = read(file(b"film.mp4", 1_413_120, modified_ns))
    assert page.cells == [["film.mp4", "1.4 MB", "2024-01-01 12:34\n"]]
    assert page.titles == ["", "1,413,120 bytes", ""]
    assert page.times == [{"datetime": "2024-01-01T12:34:56Z", "title": "2024-01-01 12:34:56 UTC"}]


def test_row_of_a_folder_has_no_size_and_a_link_with_a_slash():
    page = read(folder(b"sub"))
    assert page.cells == [["sub", "", "2024-01-01 00:00\n"]]
    assert page.items[0] == "./sub/"


def test_t19_date_without_a_year_is_left_out():
    assert read(file(b"x", 5, 2**100)).cells == [["x", "5 B", "\n"]]


def test_item_that_is_neither_has_a_row_without_a_size():
    assert read(Item(b"x", Kind.OTHER, None, NEW_YEAR_NS)).cells[0][:2] == ["x", ""]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1449, "1.4 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (1_413_120, "1.4 MB"),
        (4_700_000_000, "4.7 GB"),
        (999_499_999_999, "999 GB"),
        (999_500_000_000, "1.0 TB"),
        (2**63 - 1, "9223.4 PB"),
    ],
)
def test_sizes_are_for_people(size: int, expected: str):
    assert size_text(size) == expected


@given(st.integers(min_value=0, max_value=10**18))
def test_size_text_is_within_its_rounding(size: int):
    number, unit = size_text(size).split()
    scale = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15}[unit]
    assert float(number) < 1000 or unit == "PB"
    step = 0.1 if "." in number else 1
    assert abs(float(number) * scale - size) <= step * scale / 2 * 1.001


def test_breadcrumbs_lead_upwards():
    page = read(file(b"x"), path=b"/models/llama/", root_name="Share")
    upwards = [(link["href"], link.get("title")) for link in page.links][:2]
    assert upwards == [("../../", "Share"), ("../", None)]
    assert [link["href"] for link in page.links if link.get("id") == "parent"] == ["../"]
    assert "models llama" in page.text()


def test_folder_at_the_top_has_its_name_and_no_parent():
    page = read(file(b"x"), path=b"/", root_name="Share")
    assert not [link for link in page.links if link.get("id") == "parent"]
    assert "Share" in page.text()


def test_title_begins_with_the_name_of_the_folder():
    page = render(file(b"x"), path=b"/models/llama & co/")
    assert "<title>llama &amp; co \u2013 /models/llama &amp; co/</title>".encode() in page
    assert b"<title>Home</title>" in render(file(b"x"), path=b"/")


def headings(page: bytes) -> list[tuple[bytes, bytes, bytes]]:
    return re.findall(
        rb'<th role=columnheader scope=col(?: aria-sort=(\w+))?><a rel=nofollow href="([^"]*)">(\w+)',
        page,
    )


def test_headings_sort_and_tell_how_it_is_sorted():
    assert headings(render(file(b"x"))) == [
        (b"ascending", b"?sort=name&amp;order=desc", b"Name"),
        (b"", b"?sort=size&amp;order=desc", b"Size"),
        (b"", b"?sort=modified&amp;order=desc", b"Modified"),
    ]
    descending = Order(Column.SIZE, is_descending=True)
    assert headings(render(file(b"x"), order=descending, needle="a b")) == [
        (b"", b"?sort=name&amp;order=asc&amp;q=a%20b", b"Name"),
        (b"descending", b"?sort=size&amp;order=asc&amp;q=a%20b", b"Size"),
        (b"", b"?sort=modified&amp;order=desc&amp;q=a%20b", b"Modified"),
    ]


def test_filter_keeps_the_order():
    page = read(file(b"x"), order=Order(Column.MODIFIED, is_descending=True), needle="x")
    assert page.inputs == {"q": "x", "sort": "modified", "order": "desc"}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([file(b"a", 1000)], "1 file, 1.0 kB"),
        ([file(b"a", 700), file(b"b", 700)], "2 files, 1.4 kB"),
        ([folder(b"d")], "1 folder"),
        ([folder(b"d"), folder(b"e"), file(b"a", 0)], "2 folders, 1 file, 0 B"),
        ([], "no entries"),
        ([file(b"%d" % number, 1) for number in range(1234)], "1,234 files, 1.2 kB"),
    ],
)
def test_footer_counts(items: list[Item], expected: str):
    page = render(*items)
    footer = Reader(page[page.index(b"<footer>") :]).text()
    assert footer.replace(" ,", ",").startswith(expected)


def test_listing_that_is_cut_says_so():
    assert "there is more" in read(file(b"x"), is_complete=False).text()
    assert "there is more" not in read(file(b"x")).text()


def test_empty_folder_says_so():
    page = read()
    assert "This folder is empty" in page.text()
    assert ("table", ("role", "hidden")) in page.elements
    assert "Drop files" in read(uploads=True).text()
    assert "Drop files" not in page.text()


def test_filter_that_finds_nothing_offers_everything():
    page = read(needle="zzz")
    assert "Nothing has such a name" in page.text()
    assert "./" in page.hrefs
    assert ("form", ("role",)) in page.elements, "the filter can be changed"


def test_archives_are_offered_where_they_are_made():
    page = render(file(b"x"), archives=True)
    for kind in (b"zip", b"tar"):
        assert b"name=archive value=%b" % kind in page
    assert b"?archive" not in page, "a link would be followed by whoever mirrors the folder"
    assert b"archive" not in render(file(b"x"))


def test_crawlers_are_asked_to_stay_where_they_are():
    meta = b"<meta name=robots content=nofollow>"
    assert meta not in render(file(b"x"))
    assert meta in render(file(b"x"), order=Order(Column.SIZE))
    assert meta in render(file(b"x"), needle="x")


def test_uploads_are_offered_where_they_are_taken():
    assert b"type=file" in render(file(b"x"), uploads=True)
    assert b'open("PUT"' in render(file(b"x"), uploads=True)
    plain = render(file(b"x"))
    assert b"type=file" not in plain
    assert b"PUT" not in plain


def test_long_listing_comes_in_blocks():
    items = [file(b"a name of some length %d" % number) for number in range(5000)]
    blocks = list(render_html(b"/", items, Order()))
    assert len(blocks) > 10
    assert all(BLOCK_BYTES <= len(block) < BLOCK_BYTES + 32 * 1024 for block in blocks[:-1])
    assert len(Reader(b"".join(blocks)).cells) == 5000


def test_longest_and_most_hostile_names_come_in_bounded_blocks():
    items = [file(b'"' * 255) for _ in range(1000)]
    assert max(map(len, render_html(b"/", items, Order()))) < 400 * 1024


@pytest.mark.parametrize(
    ("name", "look"),
    [
        (b"a.png", ("i", "i")),
        (b"a.PNG", ("i", "i")),
        (b"a.heic", ("j", "i")),
        (b"a.webm", ("v", "v")),
        (b"a.mkv", ("w", "v")),
        (b"a.mp3", ("a", "a")),
        (b"a.mid", ("o", "a")),
        (b"a.txt", ("t", "t")),
        (b"a.md", ("t", "t")),
        (b"a.py", ("c", "c")),
        (b"a.json", ("c", "c")),
        (b"a.csv", ("s", "b")),
        (b"a.tar.gz", ("z", "z")),
        (b"a.pdf", ("p", "t")),
        (b"a.docx", ("p", "t")),
        (b"a.safetensors", ("b", "b")),
        (b"a.unknown", ("f", "f")),
        (b"README", ("f", "f")),
        (b"png", ("f", "f")),
        (b".png", ("f", "f")),
        (b"a.", ("f", "f")),
        (b"a.\xff", ("f", "f")),
    ],
)
def test_files_look_like_what_they_are(name: bytes, look: tuple[str, str]):
    assert look_of(name) == look


def test_every_symbol_that_is_used_is_there():
    extensions = "png heic webm mkv mp3 mid txt py csv gz pdf gguf x"
    page = render(
        folder(b"d"), *(file(b"a." + extension.encode()) for extension in extensions.split())
    )
    used = set(re.findall(rb'href="?#(\w+)', page))
    assert used == set(re.findall(rb"<symbol id=(\w+)", page))


def test_order_of_items_is_the_callers():
    page = read(file(b"b"), folder(b"z"), file(b"a"))
    assert [cells[0] for cells in page.cells] == ["b", "z", "a"]
