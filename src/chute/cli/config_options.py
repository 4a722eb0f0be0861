"""Finding and reading a configuration file, for every command that takes one."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from chute.cli.machine import usable_cores
from chute.cli.options import option
from chute.config.model import Config
from chute.config.resolve import load_config, load_text
from chute.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_FILE = "chute.toml"


def config_option(command: Command) -> Command:
    """Declare `--config` on `command`, which hands it to `read_config`."""
    declare = option(
        "--config",
        "-c",
        type=click.Path(dir_okay=False),
        default=DEFAULT_FILE,
        show_default=True,
        metavar="FILE",
        help="The configuration file.",
    )
    return declare(command)


def read_config(file: str) -> Config:
    """Return the configuration in `file`.

    Raises:
        ConfigError: it cannot be read, or something is wrong with it.
    """
    if file == DEFAULT_FILE and not os.path.lexists(file):
        raise ConfigError(
            f"there is no {DEFAULT_FILE} here",
            hint="name one with --config, or make one with: chute serve --print-config",
        )
    return load_config(file, os.environ, cores=usable_cores())


def read_nginx(file: str) -> Config:
    """Return the configuration that `file`, written for nginx, comes to; what is left out is told on standard error.

    Raises:
        ConfigError: it cannot be read, or what it comes to cannot be served.
    """
    from chute.config.nginx import translate  # noqa: PLC0415 - only where it is asked for

    translation = translate(file)
    for left_out in translation.left_out:
        click.echo(f"chute: left out: {left_out}", err=True)
    # Paths in the translation are absolute; the name tells people where its lines come from.
    return load_text(f"{file} (translated)", translation.text, {}, cores=usable_cores())
