"""`chute serve [PATH]`: share a folder, or one file."""

from __future__ import annotations

import logging
from typing import Any

import click
import msgspec

from chute.cli.access_options import access_options, make_access_options, make_upload_options
from chute.cli.file_options import file_options, make_static_options
from chute.cli.options import log_level_option, option, seconds_option, worker_count
from chute.cli.running import run_config
from chute.config.bind import parse_bind
from chute.config.model import (
    LOG_OFF,
    Config,
    Listener,
    LogFormat,
    PollerChoice,
    one_folder,
)
from chute.config.render import render_config
from chute.config.resolve import DEFAULT_BIND
from chute.engine.limits import Limits
from chute.errors import ConfigError
from chute.middleware.options import LogOptions

_LIMITS = Limits()


@click.command(short_help="Share a folder, or one file.")
@click.argument("path", default=".", metavar="[PATH]")
@option(
    "--bind",
    multiple=True,
    default=(DEFAULT_BIND,),
    show_default=True,
    metavar="ADDRESS",
    help="Where to listen: HOST:PORT, :PORT (every address), unix:PATH or fd:N. Repeatable.",
)
@option(
    "--workers",
    callback=worker_count,
    default="1",
    show_default=True,
    metavar="N|auto",
    help="Serving processes.",
)
@option(
    "--access-log",
    default="-",
    show_default=True,
    metavar="PATH|-|off",
    help="A file to append to, '-' for standard output, or 'off'.",
)
@option(
    "--log-format",
    type=click.Choice(["combined", "json"]),
    default="combined",
    show_default=True,
    help="How a line of the access log looks.",
)
@log_level_option
@file_options
@access_options
@seconds_option("--head-timeout", _LIMITS.head_timeout_s, "For a request head to arrive.")
@seconds_option("--body-timeout", _LIMITS.body_timeout_s, "Between two reads of request content.")
@seconds_option("--keep-alive-timeout", _LIMITS.keep_alive_timeout_s, "Between two requests.")
@seconds_option("--send-timeout", _LIMITS.send_timeout_s, "For a client to accept more bytes.")
@option(
    "--poller",
    type=click.Choice(["auto", "portable"]),
    default="auto",
    show_default=True,
    help="'portable' does without epoll.",
)
@option(
    "--debug-headers",
    is_flag=True,
    help="Tell in each answer how it is carried (Server-Timing); prepared answers are then not used.",
)
@click.option(
    "--print-config", is_flag=True, help="Print a chute.toml that does the same, and do not serve."
)
def serve(
    path: str,
    *,
    bind: tuple[str, ...],
    workers: int,
    access_log: str,
    log_format: LogFormat,
    log_level: str,
    head_timeout: float,
    body_timeout: float,
    keep_alive_timeout: float,
    send_timeout: float,
    poller: PollerChoice,
    debug_headers: bool,
    print_config: bool,
    **others: Any,  # noqa: ANN401 - read by file_options and access_options
) -> None:
    """Share the folder PATH (this one by default), or only the file PATH."""
    logging.getLogger().setLevel(log_level.upper())
    binds = tuple(parse_bind(text) for text in bind)
    access = make_access_options(others)
    uploads = make_upload_options(others, binds, access)
    static = make_static_options(path, others)
    if uploads is not None and static.only is not None:
        raise ConfigError("--upload needs a folder, and this is one file", hint="name its folder")
    static = msgspec.structs.replace(static, uploads=uploads)
    logs = () if access_log == LOG_OFF else (LogOptions(path=access_log, format=log_format),)
    config = Config(
        listeners=tuple(
            Listener(name=f"l{number}", bind=each) for number, each in enumerate(binds, start=1)
        ),
        sites=(one_folder(static, access, logs),),
        workers=workers,
        debug_headers=debug_headers,
        poller=poller,
        limits=Limits(
            head_timeout_s=head_timeout,
            body_timeout_s=body_timeout,
            keep_alive_timeout_s=keep_alive_timeout,
            send_timeout_s=send_timeout,
        ),
    )
    if print_config:
        click.echo(render_config(config), nl=False)
        return
    click.get_current_context().exit(run_config(config))
