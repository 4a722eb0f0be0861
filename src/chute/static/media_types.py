"""Which Content-Type a file gets: the table of `semantics.media_types`, and what an operator wants otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from chute.errors import ConfigError
from chute.semantics.media_types import media_type_for_name

_MEDIA_TYPE = re.compile(
    r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+"
    r"(?: *; *[!#$%&'*+.^_`|~0-9A-Za-z-]+=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"[^\"\\\r\n]*\"))*"
)
_CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$%&+^_`{}~.:-]{0,39}")
_UTF_8: Final = b"; charset=utf-8"


class MediaTypes:
    """Knows the Content-Type of every name."""

    def __init__(
        self, overrides: Sequence[tuple[str, str]] = (), *, charset: str = "utf-8"
    ) -> None:
        """Let `overrides` come before the table.

        Args:
            overrides: extensions, without or with their dot, and the types of names that end with them.
            charset: what the table's text types say instead of utf-8; empty to say nothing.

        Raises:
            ConfigError: an extension, a type or the charset is none.
        """
        self._overrides: dict[bytes, bytes] = {}
        for extension, media_type in overrides:
            bare = extension.removeprefix(".")
            if not bare or "/" in bare:
                raise ConfigError(f"{extension!r} is no extension", hint="for example .wasm")
            if _MEDIA_TYPE.fullmatch(media_type) is None:
                raise ConfigError(f"{media_type!r} is no media type", hint="for example text/plain")
            self._overrides[b"." + bare.lower().encode()] = media_type.encode()
        if charset and _CHARSET.fullmatch(charset) is None:
            raise ConfigError(f"{charset!r} is no charset", hint="for example iso-8859-1")
        self._charset = b"; charset=" + charset.lower().encode() if charset else b""

    def of(self, name: bytes) -> bytes:
        """Return the Content-Type value for a file of this name."""
        if self._overrides:
            lower = name.rpartition(b"/")[2].lower()
            # The longest ending wins, so that `.tar.gz` can be told from `.gz`.
            position = lower.find(b".", 1)
            while position > 0:
                found = self._overrides.get(lower[position:])
                if found is not None:
                    return found
                position = lower.find(b".", position + 1)
        found = media_type_for_name(name)
        if self._charset != _UTF_8 and found.endswith(_UTF_8):
            return found.removesuffix(_UTF_8) + self._charset
        return found


def parse_media_type_override(text: str) -> tuple[str, str]:
    """Read `EXTENSION=TYPE`, such as `.ts=text/typescript`.

    Raises:
        ConfigError: it is not of that form.
    """
    extension, equals, media_type = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} is no EXTENSION=TYPE", hint="for example .ts=text/typescript")
    MediaTypes([(extension, media_type)])
    return extension, media_type
