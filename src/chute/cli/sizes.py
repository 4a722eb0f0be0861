"""Numbers of bytes on the command line, in the notation of the configuration."""

from __future__ import annotations

import click

from chute.config.units import parse_size, show_size
from chute.errors import ConfigError


def size(text: str) -> int:
    """Return the bytes that `text` stands for.

    Raises:
        BadParameter: it stands for none.
    """
    try:
        return parse_size(str(text))
    except ConfigError as error:
        raise click.BadParameter(f"{error}; {error.hint}") from error


def shown(count: int) -> str:
    """Return `count` bytes as an option would be given."""
    return show_size(count).replace(" ", "").removesuffix("iB")
