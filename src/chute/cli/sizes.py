"""Numbers of bytes as people write them: `512`, `64K`, `10M`, `2G`."""

from __future__ import annotations

import re

import click

_SIZE = re.compile(r"(\d{1,15})([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def size(text: str) -> int:
    """Return the bytes that `text` stands for; K, M, G and T are powers of 1024, as everywhere on a command line.

    Raises:
        BadParameter: it stands for none.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write for example 512, 64K, 10M or 2G")
    return int(match[1]) * _UNITS[match[2].upper()]


def shown(count: int) -> str:
    """Return `count` bytes as an option would be given, where that is exact."""
    for unit in ("T", "G", "M", "K"):
        if count and count % _UNITS[unit] == 0:
            return f"{count // _UNITS[unit]}{unit}"
    return str(count)
