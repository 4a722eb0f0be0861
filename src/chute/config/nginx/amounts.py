"""Sizes, times and switches as nginx writes them (`ngx_parse_size`, `ngx_parse_time`)."""

from __future__ import annotations

import re

from chute.config.nginx.statements import Refused, Statement

_SIZE = re.compile(r"([0-9]+)([kmg]?)", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_TIME = re.compile(r"([0-9]+)(ms|[smhdwMy]?)")
_TIME_UNITS_S = {
    "ms": 0.001,
    "": 1,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86_400,
    "w": 604_800,
    "M": 30 * 86_400,
    "y": 365 * 86_400,
}


def parse_size(text: str) -> int:
    """Return bytes.

    Raises:
        Refused: `text` is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise Refused(f"{text!r} is no size")
    return int(match[1]) * _SIZE_UNITS[match[2].lower()]


def parse_time(text: str) -> float:
    """Return seconds; `1h 30m` is a sum.

    Raises:
        Refused: `text` is no time.
    """
    parts = text.replace(" ", "")
    if not re.fullmatch(rf"(?:{_TIME.pattern})+", parts):
        raise Refused(f"{text!r} is no time")
    total_s = sum(int(match[1]) * _TIME_UNITS_S[match[2]] for match in _TIME.finditer(parts))
    return int(total_s) if total_s == int(total_s) else total_s


def parse_switch(statement: Statement) -> bool:
    """Return whether `statement` says on.

    Raises:
        Refused: it says neither on nor off.
    """
    word = statement.argument().lower()
    if word not in ("on", "off"):
        raise Refused(f"{word!r} is neither on nor off")
    return word == "on"
