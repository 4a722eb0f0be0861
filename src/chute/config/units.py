"""Durations, sizes and rates as people write them, and back.

A duration is a number with a unit (`ms`, `s`, `m`, `h`, `d`, `w`), or several of them: `1h30m`; a number alone is
seconds. A size is a number with a unit: `K`, `M`, `G`, `T` and `KiB`, `MiB`, `GiB`, `TiB` are powers of 1024, `KB`,
`MB`, `GB`, `TB` powers of 1000; a number alone is bytes. A rate is a size, with or without `/s`. The letters may be
lower-case, but for the `B`: `Mb` is a megabit to some. What is shown is read back as what it was.
"""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from typing import Final

from chute.errors import ConfigError

DURATION_MAX_S: Final = 31_536_000.0
"""A year."""

SIZE_MAX: Final = 1 << 60

_SECONDS: Final = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86_400),
    "w": Decimal(604_800),
}
# More digits than any bound and the smallest float have, and few enough to calculate with exactly.
_DIGITS = r"[0-9]{1,20}(?:\.[0-9]{1,400})?"
_EXACT: Final = 450
_PART = re.compile(rf"\s*({_DIGITS})\s*(ms|[smhdw])")
_NUMBER = re.compile(_DIGITS)
_SIZE = re.compile(rf"({_DIGITS})\s*([KMGTkmgt]?)(i?B)?")
_POWERS: Final = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}

DURATIONS: Final = "write for example '75s', '500ms' or '1h30m'"
SIZES: Final = "write for example '512', '64K', '10 MiB' or '2 GB'"
RATES: Final = "write for example '500K/s' or '1 MiB/s'"


def parse_duration(written: str | float) -> float:
    """Return seconds; a number stands for itself.

    Raises:
        ConfigError: it is no duration, or one of more than a year.
    """
    seconds = _seconds(written.strip()) if isinstance(written, str) else written
    # Compared before it becomes a float, which not every integer can; what is not a number is in no order.
    if seconds is None or isinstance(seconds, bool) or not 0 <= seconds <= DURATION_MAX_S:
        raise ConfigError(f"{written!r} is no duration", hint=DURATIONS)
    return float(seconds)


def _seconds(text: str) -> float | None:
    if _NUMBER.fullmatch(text):
        return float(text)
    total, position = Decimal(0), 0
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            return None
        total += Decimal(match[1]) * _SECONDS[match[2]]
        position = match.end()
    return float(total) if text else None


def parse_size(written: str | int) -> int:
    """Return bytes; a number stands for itself.

    Raises:
        ConfigError: it is no size, none in whole bytes, or one of more than 2**60.
    """
    size = _bytes(written.strip()) if isinstance(written, str) else written
    if size is None or isinstance(size, bool) or not 0 <= size <= SIZE_MAX:
        raise ConfigError(f"{written!r} is no size", hint=SIZES)
    return size


def _bytes(text: str) -> int | None:
    match = _SIZE.fullmatch(text)
    if match is None or (match[3] == "iB" and not match[2]):
        return None
    unit = 1000 if match[3] == "B" else 1024
    with localcontext(prec=_EXACT):
        size = Decimal(match[1]) * unit ** _POWERS[match[2].upper()]
        return int(size) if size == size.to_integral_value() else None


def parse_rate(written: str | int) -> int:
    """Return bytes per second; a number stands for itself.

    Raises:
        ConfigError: it is no rate, or one that would be no size.
    """
    text = written.strip().removesuffix("/s").rstrip() if isinstance(written, str) else written
    try:
        return parse_size(text)
    except ConfigError:
        raise ConfigError(f"{written!r} is no rate", hint=RATES) from None


def show_duration(seconds: float) -> str:
    """Return a duration, in seconds, as text: in the largest unit in which it is a whole number."""
    milliseconds = Decimal(repr(seconds)) * 1000
    if milliseconds != milliseconds.to_integral_value():
        return f"{Decimal(repr(seconds)):f}s"
    for unit in ("w", "d", "h", "m", "s"):
        factor = _SECONDS[unit] * 1000
        if milliseconds and milliseconds % factor == 0:
            return f"{int(milliseconds / factor)}{unit}"
    return f"{int(milliseconds)}ms" if milliseconds else "0s"


def show_size(count: int) -> str:
    """Return bytes in the largest unit in which they are a whole number."""
    for letter in ("T", "G", "M", "K"):
        unit = 1024 ** _POWERS[letter]
        if count and count % unit == 0:
            return f"{count // unit} {letter}iB"
    return str(count)


def show_rate(count: int) -> str:
    """Return bytes per second, as `show_size` returns bytes."""
    return f"{show_size(count)}/s"
