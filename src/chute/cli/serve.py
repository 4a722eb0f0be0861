"""`chute serve [PATH]`: share a folder, or one file."""

from __future__ import annotations

import functools
import logging
from typing import Any

import click
import msgspec

from chute.cli.access_options import access_options, make_access_options, make_upload_options
from chute.cli.file_options import file_options, make_static_options
from chute.cli.options import option, seconds_option, worker_count
from chute.cli.panel import show_panel
from chute.compose import Shared
from chute.config.bind import parse_bind
from chute.config.model import LOG_OFF, Config, LogFormat, PollerChoice
from chute.engine.limits import Limits
from chute.errors import ConfigError
from chute.middleware.log_file import STANDARD_OUTPUT, LogFile
from chute.supervisor.master import Master
from chute.supervisor.sockets import Listening, open_listening
from chute.supervisor.worker import run_worker

DEFAULT_BIND = "127.0.0.1:8000"

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
@option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What the error log on standard error tells.",
)
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
    "--print-config", is_flag=True, help="Print the configuration as JSON, and do not serve."
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
    config = Config(
        binds=binds,
        static=msgspec.structs.replace(static, uploads=uploads),
        access=access,
        workers=workers,
        access_log=access_log,
        log_format=log_format,
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
        click.echo(msgspec.json.format(msgspec.json.encode(config), indent=2).decode())
        return
    run(config)


def run(config: Config) -> None:
    """Open the sockets, say so, and serve until a signal comes.

    Raises:
        ConfigError: something that the configuration names cannot be opened.
    """
    listening: list[Listening] = []
    shared = Shared(config)
    try:
        for bind in config.binds:
            listening.append(open_listening(bind, config.workers))  # noqa: PERF401 - closed below if one fails
        if config.access_log not in (STANDARD_OUTPUT, LOG_OFF):
            LogFile(config.access_log).close()  # find out now, and not in each worker
        on_ready = functools.partial(show_panel, config, listening)
        if config.workers == 1:
            run_worker(config, shared, [each.sockets[0] for each in listening], on_ready=on_ready)
        else:
            Master(config, shared, listening).run(on_ready)
    finally:
        for each in listening:
            each.close()
        shared.close()
