"""Content-Disposition: under which name a client is to save what it gets.

RFC 6266, with names beyond ASCII as RFC 8187 has them. There are two parameters. `filename` is
understood by all, and holds what every client understands in the same way: printable ASCII without
quotes, backslashes (which some take for a folder), percent signs and the start of an encoded-word
(which some decode), and not the name of a device of Windows. `filename*` holds the name itself,
where that is another one; a backslash is part of it, as it is here.

A name is what stands behind the last slash. What cannot be told in either is replaced: bytes that
are not UTF-8 by U+FFFD, for `filename*` has no way to say them, and by "_" control characters and
those that turn the direction of what is shown.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

NAME_BYTES_MAX: Final = 255
"""No file system here takes a longer name. What is longer loses the end of its stem."""

NAMELESS: Final = "download"
"""What a name becomes of which nothing is left."""

_EXTENSION_CHARACTERS_MAX: Final = 20
"""What stands from the last dot on is kept whole if it is no longer than this."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# "=?" begins an encoded-word of RFC 2047: browsers decode it in `filename`, against RFC 6266.
_UNSAFE = re.compile(r"[^\x20-\x7e]|[\"\\%]|=\?")
# Reserved by Windows in every folder, whatever the case and the extension.
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$) *(?:\.|\Z)", re.IGNORECASE
)
# attr-char of RFC 8187, 3.2.1; letters and digits are always safe.
_ATTR_CHARS: Final = "!#$&+-.^_`|~"


def attachment(name: bytes) -> bytes:
    """Return the value by which a client saves what it gets as `name`, any bytes."""
    return b"attachment; " + _parameters(name)


def inline(name: bytes) -> bytes:
    """Return the value by which a client shows what it gets, and would save it as `name`."""
    return b"inline; " + _parameters(name)


def _parameters(name: bytes) -> bytes:
    text = _CONTROLS.sub("_", name.rpartition(b"/")[2].decode("utf-8", "replace"))
    text = _shortened(text)
    if not text.strip(". "):
        text = NAMELESS
    fallback = _UNSAFE.sub("_", text)
    if _DEVICE.match(fallback):
        fallback = _shortened("_" + fallback)
    value = f'filename="{fallback}"'
    if fallback != text:
        value += f"; filename*=UTF-8''{quote(text, safe=_ATTR_CHARS)}"
    return value.encode("ascii")


def _shortened(text: str) -> str:
    encoded = text.encode()
    if len(encoded) <= NAME_BYTES_MAX:
        return text
    _, dot, extension = text.rpartition(".")
    suffix = dot + extension if len(extension) < _EXTENSION_CHARACTERS_MAX else ""
    # Cut through a character, and what is left of that goes too.
    return encoded[: NAME_BYTES_MAX - len(suffix.encode())].decode("utf-8", "ignore") + suffix
