"""Response fields by pattern, and for how long an answer may be kept by others.

A pattern is a shell's: `*` and `?` stop at a slash, `**` does not, `[a-z]` is one of these. One without a slash is
about the last part of a path (`*.css`), one with a slash about all of it (`/assets/**`). The last rule that matches
decides each field, so that what is special comes after what is general.

What nobody has said anything about is left to the client's own judgement (RFC 9111, 4.2.2), except pages: those are
kept only as long as they are confirmed, `no-cache`, for a page that is out of date names assets that are gone. And a
page is never immutable, whatever a rule says: it is the one thing that has to be able to change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from chute.errors import ConfigError

CACHE_CONTROL: Final = b"Cache-Control"

CONFIRMED: Final = b"no-cache"
"""Kept, and asked about before each use."""

FOR_GOOD: Final = "max-age=31536000, immutable"
"""RFC 8246: not even a reload asks again. For names with a hash in them. Not `public`, which would have shared caches
keep what was sent to who had a password."""

_UNITS_S: Final = {
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 604_800,
    "y": 31_536_000,
}
_PERIOD = re.compile(r"(\d{1,9})([smhdwy]?)")
# cache-directive = token [ "=" ( token / quoted-string ) ] (RFC 9111, 5.2)
_DIRECTIVE = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"[^\"\\\r\n]*\"))?"
_DIRECTIVES = re.compile(rf"{_DIRECTIVE}(?: *, *{_DIRECTIVE})*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")

_OURS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "date",
        "keep-alive",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields that say how the message is put together; a rule about them would make it a lie."""

_PAGES = (b"text/html", b"application/xhtml+xml")


class FieldRule(msgspec.Struct, frozen=True):
    """A field for whatever matches a pattern.

    Attributes:
        pattern: see the module.
        name: of the field.
        value: of the field; empty to send none.
    """

    pattern: str
    name: str
    value: str


class Rules:
    """The rules of one site, ready to be applied."""

    def __init__(self, rules: Sequence[FieldRule]) -> None:
        """Read `rules`, in their order.

        Raises:
            ConfigError: a pattern or a field can never be meant.
        """
        self._rules = [
            (compile_pattern(rule.pattern), *checked_field(rule.name, rule.value)) for rule in rules
        ]

    def fields_for(self, name: bytes, media_type: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """Return the fields for the file `name` (beneath the root, without a leading slash) of `media_type`."""
        is_page = media_type.startswith(_PAGES)
        chosen: dict[bytes, tuple[bytes, bytes]] = {}
        if is_page:
            chosen[CACHE_CONTROL.lower()] = (CACHE_CONTROL, CONFIRMED)
        path = b"/" + name
        for pattern, field_name, value in self._rules:
            if pattern.fullmatch(path) is None:
                continue
            key = field_name.lower()
            if is_page and key == CACHE_CONTROL.lower() and b"immutable" in value.lower():
                value = CONFIRMED  # noqa: PLW2901 - see the module
            chosen[key] = (field_name, value)
        return tuple(field for field in chosen.values() if field[1])


def compile_pattern(pattern: str) -> re.Pattern[bytes]:
    """Return what matches the whole paths, with their leading slash, that `pattern` is about.

    Raises:
        ConfigError: it can match nothing.
    """
    if not pattern or pattern.endswith("/"):
        raise ConfigError(
            f"the pattern {pattern!r} matches no file", hint="for example '*.css' or '/assets/**'"
        )
    is_about_all = "/" in pattern
    text = pattern if pattern.startswith("/") or not is_about_all else "/" + pattern
    expression = b"" if is_about_all else b"(?:.*/)"
    position = 0
    while position < len(text):
        step, expression_of_step = _next_part(text, position)
        expression += expression_of_step
        position += step
    try:
        return re.compile(expression, re.DOTALL)
    except re.error as error:
        raise ConfigError(f"the pattern {pattern!r} cannot be understood: {error}") from error


def _next_part(text: str, position: int) -> tuple[int, bytes]:
    """Return the length of the part of a pattern at `position`, and the expression for it."""
    if text.startswith("/**/", position):
        return 4, b"/(?:.*/)?"
    if text.startswith("**", position):
        return 2, b".*"
    character = text[position]
    if character == "*":
        return 1, b"[^/]*"
    if character == "?":
        return 1, b"[^/]"
    if character == "[":
        end = text.find("]", position + 2)
        if end > 0:
            inner = text[position + 1 : end]
            negation = b"^/" if inner.startswith(("!", "^")) else b""
            inner = inner.lstrip("!^") if negation else inner
            # What means something to a regular expression, today or some day, but a range.
            members = re.sub(r"([\\\[^&|~]|-(?=-))", r"\\\1", inner)
            return end + 1 - position, b"[%b%b]" % (negation, members.encode())
    return 1, re.escape(character.encode("utf-8", "surrogateescape"))


def parse_cache_rule(text: str) -> FieldRule:
    """Read `PATTERN=PERIOD`, such as `*.css=1h`, `/assets/**=immutable` or `*.json=no-store`.

    A period is a number with a unit (s, m, h, d, w, y); it becomes a max-age. `off` sends no field at all, and any
    other Cache-Control value is taken as it is.

    Raises:
        ConfigError: it is none of these.
    """
    pattern, equals, value = text.partition("=")
    hint = "for example '*.css=1h', '/assets/**=immutable' or '*.json=no-store'"
    if not equals or not value:
        raise ConfigError(f"{text!r} is no PATTERN=PERIOD", hint=hint)
    compile_pattern(pattern)
    period = _PERIOD.fullmatch(value)
    if period is not None:
        value = f"max-age={int(period[1]) * _UNITS_S[period[2] or 's']}"
    elif value == "immutable":
        value = FOR_GOOD
    elif value == "off":
        value = ""
    elif _DIRECTIVES.fullmatch(value) is None:
        raise ConfigError(f"{value!r} is no period and no Cache-Control value", hint=hint)
    return FieldRule(pattern, CACHE_CONTROL.decode(), value)


def parse_field_rule(text: str) -> FieldRule:
    """Read `PATTERN=NAME: VALUE`, such as `*=X-Robots-Tag: noindex`.

    Raises:
        ConfigError: it is not of that form, or the field cannot be sent.
    """
    pattern, equals, field = text.partition("=")
    name, colon, value = field.partition(":")
    if not (equals and colon):
        raise ConfigError(
            f"{text!r} is no PATTERN=NAME: VALUE", hint="for example '*=X-Robots-Tag: noindex'"
        )
    compile_pattern(pattern)
    rule = FieldRule(pattern, name.strip(), value.strip())
    checked_field(rule.name, rule.value)
    return rule


def checked_field(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a field as it is sent.

    Raises:
        ConfigError: it cannot be, or says how the message is made.
    """
    if _TOKEN.fullmatch(name) is None:
        raise ConfigError(f"{name!r} is no field name")
    if name.lower() in _OURS:
        raise ConfigError(f"the field {name} cannot be set: it says how the message is made")
    if _VALUE.fullmatch(value) is None:
        raise ConfigError(f"the value of {name} contains a control character")
    return name.encode(), value.encode("utf-8", "surrogateescape")
