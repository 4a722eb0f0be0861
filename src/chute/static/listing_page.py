"""A listing as a page: complete without a script, comfortable with one, and never a way in for a name.

Names come from strangers. Each is written in two ways, as text (escaped for HTML) and as a link (percent-encoded by
`encode_path`, then escaped), and nowhere else: no name stands inside the style sheet or the script, and no data is
embedded in either. A link is always `./name`, so that a name such as `javascript:alert(1)` or `//host` stays a name,
and links upwards are nothing but `../`: they hold no name at all, and survive a proxy that serves the folder under
another path. Text that would not be seen, or that would turn the text around it, is shown as a mark (T24); the link
beside it still has every byte (T23).

The style sheet and the script are the same in every page, so their hashes can stand in a policy that allows nothing
else: `content_security_policy`.

The page is made in blocks, so that a long one can be sent while it is being made.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final, NamedTuple
from urllib.parse import quote

from chute.semantics.target import encode_path
from chute.static.listing import FOLDER, Column, Item, Order, text_of
from chute.static.listing_formats import in_blocks, utc_texts
from chute.static.listing_script import SCRIPTS
from chute.static.listing_style import DRAWINGS, FOLDER_LOOK, STYLES, SYMBOLS, look_of

ROWS_PER_PIECE: Final = 64
"""Rows that are made in one go; with names as long and as hostile as they come, some 200 KiB."""

# Control characters, the marks that turn text around (UAX 9, explicit formatting), separators of lines, and the lone
# surrogates that stand for bytes that are not UTF-8.
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
    "%3Cpath fill='%23c08a2d' d='M0 1h3l1 1h4v5H0z'/%3E%3C/svg%3E"
)


@functools.cache
def content_security_policy(*, uploads: bool) -> bytes:
    """Return the Content-Security-Policy under which a listing works, and nothing that a name might smuggle in does."""
    style, script = (
        base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        for source in (STYLES[uploads], SCRIPTS[uploads])
    )
    return (
        "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; connect-src 'self'; "
        f"img-src 'self' data:; media-src 'self'; style-src 'sha256-{style}'; script-src 'sha256-{script}'"
    ).encode()


class Page(NamedTuple):
    """What a page is about, beside its rows.

    Attributes:
        path: the decoded path of the folder, with its slashes.
        order: how the items are sorted.
        needle: what the names were filtered by; empty when they were not.
        root_name: what the folder at the top is called.
        archives: whether `?archive=zip` and `?archive=tar` are answered with all of it.
        uploads: whether PUT makes a file here.
        is_complete: whether every item is there (see `ENTRIES_MAX`).
    """

    path: bytes
    order: Order
    needle: str
    root_name: str
    archives: bool
    uploads: bool
    is_complete: bool


def render_html(
    path: bytes,
    items: Sequence[Item],
    order: Order,
    *,
    needle: str = "",
    root_name: str = "Home",
    archives: bool = False,
    uploads: bool = False,
    is_complete: bool = True,
) -> Iterator[bytes]:
    """Write a listing as a page, in blocks of about 64 KiB.

    Args:
        path: the decoded path of the folder; the page must be served under a path that ends with a slash.
        items: what `arrange` returned.
        order: as given to `arrange`.
        needle: as given to `arrange`.
        root_name: what the folder at the top is called.
        archives: whether to link to `?archive=zip` and `?archive=tar`.
        uploads: whether to offer uploading, by PUT beneath this folder (`If-None-Match: *` unless it is to replace).
        is_complete: whether `items` is all there is.
    """
    page = Page(path, order, needle, root_name, archives, uploads, is_complete)
    return in_blocks(piece.encode() for piece in _pieces(page, items))


def shown(text: str) -> str:
    """Return `text` as it is shown: what would not be seen, or would turn the text around it, is replaced by a mark."""
    # Printable means that nothing unseen can be in it, and is asked ten times faster.
    return text if text.isprintable() else _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


# From so many bytes on, in this form, divided by so much. The bounds are those of rounding: nothing is ever shown as
# "1000 kB" or "100.0 kB".
_SIZES: Final = (
    (0, "%d B", 1),
    (1_000, "%.1f kB", 1e3),
    (99_950, "%.0f kB", 1e3),
    (999_500, "%.1f MB", 1e6),
    (99_950_000, "%.0f MB", 1e6),
    (999_500_000, "%.1f GB", 1e9),
    (99_950_000_000, "%.0f GB", 1e9),
    (999_500_000_000, "%.1f TB", 1e12),
    (99_950_000_000_000, "%.0f TB", 1e12),
    (999_500_000_000_000, "%.1f PB", 1e15),
)
_SIZE_BOUNDS: Final = [bound for bound, _, _ in _SIZES]


def size_text(size: int) -> str:
    """Return a number of bytes for people, in powers of 1000: `532 B`, `1.4 kB`, `14.2 MB`, `142 MB`."""
    _, form, divisor = _SIZES[bisect_right(_SIZE_BOUNDS, size) - 1]
    return form % (size / divisor)


def _pieces(page: Page, items: Sequence[Item]) -> Iterator[str]:
    is_empty = not items
    yield _beginning(page, is_empty=is_empty)
    yield _table_head(page, is_empty=is_empty)
    yield from _rows(items)
    yield f"</table>\n{_nothing(page, is_empty=is_empty)}</main>\n{_PREVIEW}"
    yield _end(page, items)


def _beginning(page: Page, *, is_empty: bool) -> str:
    path = text_of(page.path)
    names = [escape(shown(name)) for name in path.split("/") if name]
    title = f"{names[-1]} \u2013 {escape(shown(path))}" if names else escape(shown(page.root_name))
    return (
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width,initial-scale=1">\n'
        f"{_crawlers(page)}"
        f'<title>{title}</title>\n<link rel=icon href="{_ICON}">\n'
        f"<style>{STYLES[page.uploads]}</style>\n<script>{SCRIPTS[page.uploads]}</script>\n<body>{SYMBOLS}"
        f"<header>\n<nav aria-label=Path><ol>{_crumbs(page, names)}</ol></nav>\n"
        f"<div class=tools>\n{_filter_form(page, is_hidden=is_empty and not page.needle)}{_VIEWS}{_actions(page)}"
        "</div>\n</header>\n"
    )


def _crawlers(page: Page) -> str:
    """Keep those who follow links from coming back to the same folder in every order there is."""
    is_usual = page.order == Order() and not page.needle
    return "" if is_usual else "<meta name=robots content=nofollow>\n"


def _drawing(name: str) -> str:
    return f"<svg viewBox=0,0,24,24 aria-hidden=true>{DRAWINGS[name]}</svg>"


def _crumbs(page: Page, names: list[str]) -> str:
    root_name = escape(shown(page.root_name))
    if not names:
        return f"<li><h1 aria-current=page>{_drawing('home')}{root_name}</h1>"
    crumbs = [
        f'<li><a href="{"../" * (len(names) - depth)}"{" id=parent" if depth == len(names) - 1 else ""}'
        for depth in range(len(names))
    ]
    crumbs[0] += f' title="{root_name}">{_drawing("home")}</a>'
    for depth, name in enumerate(names[:-1], start=1):
        crumbs[depth] += f">{name}</a>"
    return f"{''.join(crumbs)}<li><h1 aria-current=page>{names[-1]}</h1>"


def _filter_form(page: Page, *, is_hidden: bool) -> str:
    needle = escape(shown(page.needle))
    return (
        f"<form role=search{' hidden' if is_hidden else ''}>"
        f'<input id=filter type=search name=q value="{needle}" placeholder=Filter aria-label="Filter by name"'
        f" autocomplete=off{' autofocus' if needle else ''}>"
        f"<input type=hidden name=sort value={page.order.column.value}>"
        f"<input type=hidden name=order value={_direction(is_descending=page.order.is_descending)}></form>\n"
    )


_VIEWS: Final = (
    "<div class=views hidden>"
    f"<button value=rows title=List>{_drawing('rows')}</button>"
    f"<button value=grid title=Grid>{_drawing('grid')}</button></div>\n"
)


def _actions(page: Page) -> str:
    actions = []
    if page.archives:
        # Buttons and no links: whoever mirrors the folder has no use for all of it once more, at every level.
        actions += [
            "<form class=get>"
            f'<button class=button name=archive value={form} aria-label="Download everything as .{form}">'
            f"{_drawing('down')}.{form}</button></form>\n"
            for form in ("zip", "tar")
        ]
    if page.uploads:
        # Without the script it is a form, which the folder takes as one (see `uploads`).
        actions.append(
            '<form id=send method=post enctype="multipart/form-data" action="./">'
            "<label class=button>Upload<input id=pick name=file type=file multiple></label>"
            "<noscript><button class=button>Send</button></noscript></form>\n"
        )
    return "".join(actions)


def _direction(*, is_descending: bool) -> str:
    return "desc" if is_descending else "asc"


def _query(column: Column, *, is_descending: bool, needle: str) -> str:
    """Return a link, ready for an attribute, to this folder in another order."""
    query = f"?sort={column.value}&amp;order={_direction(is_descending=is_descending)}"
    if needle:
        query += f"&amp;q={quote(needle, safe='', errors='surrogateescape')}"
    return query


def _table_head(page: Page, *, is_empty: bool) -> str:
    cells = []
    for column, label in _LABELS.items():
        is_current = column is page.order.column
        # Largest and newest first is what people look for; names they read from A.
        next_is_descending = (
            not page.order.is_descending if is_current else column is not Column.NAME
        )
        sorting = "descending" if page.order.is_descending else "ascending"
        cells.append(
            f"<th role=columnheader scope=col{f' aria-sort={sorting}' if is_current else ''}>"
            f'<a rel=nofollow href="{_query(column, is_descending=next_is_descending, needle=page.needle)}">{label}</a>'
        )
    return (
        f"<main>\n<table role=table{' hidden' if is_empty else ''}>\n<thead role=rowgroup><tr role=row>"
        f"{''.join(cells)}\n<tbody role=rowgroup>\n"
    )


_LABELS: Final = {
    Column.NAME: "Name",
    Column.SIZE: "Size",
    Column.MODIFIED: "Modified <small>UTC</small>",
}


def _rows(items: Sequence[Item]) -> Iterator[str]:
    for start in range(0, len(items), ROWS_PER_PIECE):
        group = items[start : start + ROWS_PER_PIECE]
        # Hot: no name holds a slash, so one call encodes or escapes them all; calls per name took twice the time.
        names = b"/".join([item.name for item in group])
        # Of what encode_path leaves as it is, only the ampersand means something between double quotes.
        links = encode_path(names).decode("ascii").replace("&", "&amp;").split("/")[1:]
        labels = escape(shown(text_of(names)), quote=False).split("/")
        yield "".join(map(_row, group, links, labels))


def _row(item: Item, link: str, label: str) -> str:
    if item.kind is FOLDER:
        look, symbol = FOLDER_LOOK
        link += "/"
    else:
        look, symbol = look_of(item.name)
    size = item.size
    size_cell = ">" if size is None else f' title="{size:,} bytes">{size_text(size)}'
    times = utc_texts(item.modified_ns)
    if times is None:
        modified = ""
    else:
        day, minute, second = times
        modified = (
            f"<time datetime={day}T{minute}:{second}Z"
            f' title="{day} {minute}:{second} UTC">{day} {minute}</time>'
        )
    return (
        f'<tr role=row class={look}><td role=cell><a href="./{link}">'
        f"<svg aria-hidden=true><use href=#{symbol} /></svg><span>{label}</span></a>"
        f"<td role=cell{size_cell}<td role=cell>{modified}\n"
    )


def _nothing(page: Page, *, is_empty: bool) -> str:
    """Return what stands in the place of rows: for want of any, or when the script has filtered all of them out."""
    if not is_empty or page.needle:
        text = '<b>Nothing has such a name</b><p><a href="./">Show everything</a>'
    elif page.uploads:
        text = (
            f"{_FOLDER}<b>This folder is empty</b><p>Drop files anywhere on this page to fill it."
        )
    else:
        text = f"{_FOLDER}<b>This folder is empty</b><p>There is nothing to see here."
    return f'<div id=none class="empty d"{"" if is_empty else " hidden"}>{text}</div>\n'


_FOLDER: Final = "<svg aria-hidden=true><use href=#d /></svg>"

_PREVIEW: Final = (
    f'<template><button class=eye title="Preview (space)">{_drawing("eye")}</button></template>\n'
    "<dialog aria-labelledby=seen><header><hgroup><h2 id=seen></h2><p></p></hgroup><div class=tools>"
    "<button value=-1 aria-label=Previous>\u2190</button><button value=1 aria-label=Next>\u2192</button>"
    "<a class=button>Open</a><a class=button download>Download</a>"
    "<button value=0 aria-label=Close autofocus>\u2715</button></div></header><div id=stage></div></dialog>\n"
)


def _end(page: Page, items: Sequence[Item]) -> str:
    keys = (
        "<p class=keys><kbd>/</kbd> filter <kbd>\u2193</kbd> move <kbd>Enter</kbd> open "
        "<kbd>Space</kbd> preview <kbd>\u232b</kbd> up</p>"
        if items
        else ""
    )
    all_of_it = ' \u00b7 <a href="./">show everything</a>' if page.needle and items else ""
    cut = " (there is more, beyond what one page holds)" if not page.is_complete else ""
    return (
        f"<footer><p><span id=count role=status>{_summary(items)}</span>{cut}{all_of_it}</p>{keys}</footer>\n"
        f"{_UPLOAD_PANEL if page.uploads else ''}</html>\n"
    )


_UPLOAD_PANEL: Final = (
    "<section id=uploads aria-label=Uploads hidden><ul></ul>"
    "<button type=button id=reload hidden>Show the folder again</button></section>\n"
    "<div id=drop hidden><p>Drop to upload here</p></div>\n"
)


def _summary(items: Sequence[Item]) -> str:
    folders = sum(item.kind is FOLDER for item in items)
    files = len(items) - folders
    parts = []
    if folders:
        parts.append(f"{folders:,} folder{'s' if folders > 1 else ''}")
    if files:
        total = sum(item.size or 0 for item in items)
        parts.append(f"{files:,} file{'s' if files > 1 else ''}")
        parts.append(f'<span title="{total:,} bytes">{size_text(total)}</span>')
    return ", ".join(parts) or "no entries"
