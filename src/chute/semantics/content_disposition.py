"""Content-Disposition: under which name a client is to save what it gets.

RFC 6266, with names beyond ASCII as RFC 8187 has them. There are two parameters. `filename` is understood by all, and
holds what every client understands in the same way: printable ASCII without quotes, backslashes (which some take for a
folder) and percent signs (which some decode). `filename*` holds the name itself, where that is another one.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

NAME_BYTES_MAX: Final = 255
"""No file system here takes a longer name."""

NAMELESS: Final = "download"
"""What a name becomes of which nothing is left."""

_UNSAFE = re.compile(r"[^\x20-\x7e]|[\"\\%/]")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# attr-char of RFC 8187, 3.2.1; letters and digits are always safe.
_ATTR_CHARS: Final = "!#$&+-.^_`|~"


def attachment(name: bytes) -> bytes:
    """Return the value by which a client saves what it gets as `name`, any bytes."""
    return b"attachment; " + _parameters(name)


def inline(name: bytes) -> bytes:
    """Return the value by which a client shows what it gets, and would save it as `name`."""
    return b"inline; " + _parameters(name)


def _parameters(name: bytes) -> bytes:
    text = name.rpartition(b"/")[2].decode("utf-8", "replace")
    text = _CONTROLS.sub("_", text)
    # A name must fit into a file system of 255 bytes, and keep its extension.
    while len(text.encode()) > NAME_BYTES_MAX:
        stem, dot, extension = text.rpartition(".")
        text = stem[:-1] + dot + extension if stem and len(extension) < 20 else text[:-1]
    if not text.strip(". "):
        text = NAMELESS
    fallback = _UNSAFE.sub("_", text)
    value = f'filename="{fallback}"'
    if fallback != text:
        value += f"; filename*=UTF-8''{quote(text, safe=_ATTR_CHARS)}"
    return value.encode("ascii")
