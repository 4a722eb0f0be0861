"""Telling of what can be meant but is seldom wanted, in a configuration."""

from __future__ import annotations

import click

from chute.config.model import Config
from chute.config.traps import find_traps


def warn_of_traps(config: Config, file: str) -> int:
    """Tell of each trap in `config`, which was read from `file`, on standard error; return how many there are."""
    traps = find_traps(config, file)
    for trap in traps:
        click.echo(f"chute: warning: {trap}", err=True)
    return len(traps)
