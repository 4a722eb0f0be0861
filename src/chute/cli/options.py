"""Option declarations that commands share: their environment variables, types and wording."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from chute.cli.machine import usable_cores

Command = TypeVar("Command", bound=Callable[..., Any])

WORKERS_MAX = 1024

SECONDS_MAX = 31_536_000.0
"""A year."""


def option(name: str, *others: str, **attributes: Any) -> Callable[[Command], Command]:  # noqa: ANN401 - click's own
    """Declare `--name`, which can also be set as the environment variable `CHUTE_NAME`; `others` are short for it."""
    first_name = name.partition("/")[0]
    variable = "CHUTE_" + first_name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, *others, envvar=variable, show_envvar=True, **attributes)


def seconds_option(
    name: str, default: float, text: str, *, least: float = 0.1
) -> Callable[[Command], Command]:
    """Declare an option that is a time span in seconds."""
    return option(
        name,
        type=click.FloatRange(min=least, max=SECONDS_MAX),
        callback=_finite,
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )


def _finite(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Refuse `nan`, which no comparison finds out of range."""
    if not math.isfinite(value):
        raise click.BadParameter(f"{value!r} is no number of seconds", context, parameter)
    return value


def worker_count(context: click.Context, parameter: click.Parameter, value: str) -> int:
    """Return the number of processes that `value` stands for: itself, or one per core for `auto`."""
    if value == "auto":
        return usable_cores()
    count = int(value) if value.isascii() and value.isdigit() else 0
    if not 1 <= count <= WORKERS_MAX:
        raise click.BadParameter(
            f"{value!r} is neither a number from 1 to {WORKERS_MAX} nor 'auto'", context, parameter
        )
    return count


log_level_option = option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What the error log on standard error tells.",
)
"""Declares `--log-level`."""
