"""`chute serve [PATH]`: share a folder, or one file."""

from __future__ import annotations

import functools
import logging
import os

import click
import msgspec

from chute.cli.options import option, seconds_option, worker_count
from chute.cli.panel import show_panel
from chute.config.bind import parse_bind
from chute.config.model import LOG_OFF, Config, LogFormat, PollerChoice
from chute.engine.limits import Limits
from chute.errors import ConfigError
from chute.middleware.log_file import STANDARD_OUTPUT, LogFile
from chute.static.candidates import parse_candidates
from chute.static.options import StaticOptions
from chute.supervisor.master import Master
from chute.supervisor.sockets import Listening, open_listening
from chute.supervisor.worker import run_worker
from chute.transfer.method import SendfileMode

DEFAULT_BIND = "127.0.0.1:8000"

_LIMITS = Limits()
_STATIC = StaticOptions(root=".")


_SPA = ("$uri", "$uri/", "/index.html")


def _split_candidates(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[str, ...]:
    """Return the items of a try-files list, after a look at whether they make sense."""
    del context, parameter
    items = tuple(value.split())
    parse_candidates(items)
    return items


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
@option(
    "--index",
    multiple=True,
    default=_STATIC.index,
    show_default=True,
    metavar="NAME",
    help="File to answer with when a folder is asked for. Repeatable; the first that exists wins.",
)
@seconds_option(
    "--valid",
    _STATIC.valid_s,
    "How long a file is taken to be unchanged before the disk is asked again; 0 asks every time.",
    least=0.0,
)
@option(
    "--sendfile",
    type=click.Choice(["auto", "on", "off"]),
    default=_STATIC.sendfile,
    show_default=True,
    help="Let the kernel carry files from --sendfile-min bytes up, or copy them through the process; "
    "'auto' copies on network, shared and FUSE file systems.",
)
@option(
    "--sendfile-min",
    type=click.IntRange(0, 1024 * 1024),
    default=_STATIC.sendfile_min_bytes,
    show_default=True,
    metavar="BYTES",
    help="Smaller files are kept in memory and leave in one call with their head.",
)
@option(
    "--listing/--no-listing",
    default=True,
    show_default=True,
    help="Show what is in a folder that has no index page.",
)
@option(
    "--try-files",
    default="",
    callback=_split_candidates,
    metavar="LIST",
    help="What is tried for a path, in this order, such as '$uri $uri.html $uri/ /index.html'.",
)
@option(
    "--spa",
    is_flag=True,
    help="Answer navigations to unknown paths with /index.html: a single-page app.",
)
@option(
    "--hidden",
    is_flag=True,
    help="Serve and list names that begin with a dot. '.well-known' is always served.",
)
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
    index: tuple[str, ...],
    valid: float,
    sendfile: SendfileMode,
    sendfile_min: int,
    listing: bool,
    try_files: tuple[str, ...],
    spa: bool,
    hidden: bool,
    head_timeout: float,
    body_timeout: float,
    keep_alive_timeout: float,
    send_timeout: float,
    poller: PollerChoice,
    debug_headers: bool,
    print_config: bool,
) -> None:
    """Share the folder PATH (this one by default), or only the file PATH."""
    logging.getLogger().setLevel(log_level.upper())
    root, only = _what_to_serve(path)
    config = Config(
        binds=tuple(parse_bind(text) for text in bind),
        static=StaticOptions(
            root=root,
            only=only,
            index=tuple(_checked_index(name) for name in index),
            valid_s=valid,
            sendfile_min_bytes=sendfile_min,
            sendfile=sendfile,
            listing=listing,
            hidden=hidden,
            try_files=_SPA if spa and not try_files else try_files,
        ),
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
    try:
        for bind in config.binds:
            listening.append(open_listening(bind, config.workers))  # noqa: PERF401 - closed below if one fails
        if config.access_log not in (STANDARD_OUTPUT, LOG_OFF):
            LogFile(config.access_log).close()  # find out now, and not in each worker
        on_ready = functools.partial(show_panel, config, listening)
        if config.workers == 1:
            run_worker(config, [each.sockets[0] for each in listening], on_ready=on_ready)
        else:
            Master(config, listening).run(on_ready)
    finally:
        for each in listening:
            each.close()


def _what_to_serve(path: str) -> tuple[str, str | None]:
    """Return the root to open, and the one name beneath it if `path` is a file.

    Raises:
        ConfigError: `path` does not exist, cannot be read, or is neither a folder nor a file.
    """
    if os.path.isdir(path):
        if not os.access(path, os.R_OK | os.X_OK):
            raise ConfigError(f"cannot read the folder {path!r}", hint="check its permissions")
        return os.path.abspath(path), None
    if not os.path.lexists(path):
        raise ConfigError(f"there is no file or folder {path!r}", hint="check the spelling")
    if not os.path.isfile(path):
        raise ConfigError(f"{path!r} is neither a file nor a folder", hint="name one that is")
    if not os.access(path, os.R_OK):
        raise ConfigError(f"cannot read the file {path!r}", hint="check its permissions")
    # A link that the user names is trusted wherever it leads; beneath the root one that leaves it is not (T21).
    folder, name = os.path.split(os.path.realpath(path))
    return folder, name


def _checked_index(name: str) -> str:
    if not name or "/" in name or name in (".", ".."):
        raise ConfigError(f"{name!r} is no file name for --index", hint="for example index.html")
    return name
