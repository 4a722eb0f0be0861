"""The options of a served folder, for every command that serves one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from chute.cli.options import option, seconds_option
from chute.cli.sizes import shown, size
from chute.config.file_options import SPA
from chute.config.served import folder_or_file
from chute.errors import ConfigError
from chute.semantics.status import reason_phrase
from chute.static.candidates import parse_candidates
from chute.static.codecs import CODINGS, LEVELS, available
from chute.static.error_pages import is_sentence
from chute.static.media_types import MediaTypes, parse_media_type_override
from chute.static.options import StaticOptions
from chute.static.rules import parse_cache_rule, parse_field_rule
from chute.static.setup import checked_prefix

Command = TypeVar("Command", bound=Callable[..., Any])

_DEFAULTS = StaticOptions(root=".")

_STATUS_MIN = 400


def _each(parse: Callable[[str], Any]) -> Callable[..., tuple[Any, ...]]:
    """Return a callback that reads each value of a repeatable option."""

    def read(
        context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
    ) -> tuple[Any, ...]:
        del context, parameter
        return tuple(parse(value) for value in values)

    return read


def _split_candidates(
    context: click.Context, parameter: click.Parameter, value: str
) -> tuple[str, ...]:
    """Return the items of a try-files list, after a look at whether they make sense."""
    del context, parameter
    items = tuple(value.split())
    if any(candidate.kind == "elsewhere" for candidate in parse_candidates(items)):
        raise ConfigError(
            "there are no named locations on the command line", hint="write a chute.toml"
        )
    return items


def _parse_level(text: str) -> tuple[str, int]:
    name, equals, level = text.partition("=")
    coding = next((coding for coding in CODINGS if coding.name.decode() == name), None)
    if coding is not None and equals and level.isascii() and level.isdigit():
        levels = LEVELS[coding]
        if levels.min <= int(level) <= levels.max:
            return name, int(level)
        raise ConfigError(f"{name} has levels from {levels.min} to {levels.max}, not {level}")
    raise ConfigError(f"{text!r} is no CODING=LEVEL", hint="for example zstd=6 or gzip=5")


def _parse_error_page(text: str) -> tuple[int, str]:
    status_text, equals, page = text.partition("=")
    if equals and status_text.isascii() and status_text.isdigit() and len(status_text) == 3:
        status = int(status_text)
        is_page = page.startswith("/") or is_sentence(page)
        if status >= _STATUS_MIN and reason_phrase(status) and is_page:
            return status, page
    raise ConfigError(
        f"{text!r} is no STATUS=/NAME and no STATUS=SENTENCE",
        hint="for example '404=/errors/404.html' or '403=Members only.'",
    )


def _checked_index(name: str) -> str:
    if not name or "/" in name or name in (".", ".."):
        raise ConfigError(f"{name!r} is no file name for --index", hint="for example index.html")
    return name


_OPTIONS = (
    option(
        "--index",
        multiple=True,
        default=_DEFAULTS.index,
        show_default=True,
        metavar="NAME",
        callback=_each(_checked_index),
        help="File to answer with when a folder is asked for. Repeatable; the first that exists wins.",
    ),
    option(
        "--listing/--no-listing",
        default=True,
        show_default=True,
        help="Show what is in a folder that has no index page.",
    ),
    option(
        "--archives",
        is_flag=True,
        help="Let a folder be downloaded as one .zip or .tar.",
    ),
    option(
        "--try-files",
        default="",
        callback=_split_candidates,
        metavar="LIST",
        help="What is tried for a path, in this order, such as '$uri $uri.html $uri/ /index.html'.",
    ),
    option(
        "--spa",
        is_flag=True,
        help="Answer navigations to unknown paths with /index.html: a single-page app.",
    ),
    option(
        "--error-page",
        multiple=True,
        callback=_each(_parse_error_page),
        metavar="STATUS=PAGE",
        help="What to show for a status: a file such as '404=/errors/404.html', or a sentence such as "
        "'403=Members only.'. Repeatable; /404.html is found by itself.",
    ),
    option(
        "--prefix",
        default=_DEFAULTS.prefix,
        show_default=True,
        metavar="PATH",
        help="Answer beneath this path only; it is not part of the file names.",
    ),
    option(
        "--hidden",
        is_flag=True,
        help="Serve and list names that begin with a dot. '.well-known' is always served.",
    ),
    option(
        "--links",
        type=click.Choice(["beneath", "owner", "follow", "deny"]),
        default=_DEFAULTS.links,
        show_default=True,
        help="Symbolic links that are followed: those that stay beneath the folder, those of the owner of what they "
        "lead to, all, or none.",
    ),
    option(
        "--cache",
        multiple=True,
        callback=_each(parse_cache_rule),
        metavar="PATTERN=PERIOD",
        help="How long answers may be kept, such as '*.css=1h', '/assets/**=immutable' or '*.json=no-store'. "
        "Repeatable; the last that matches wins. Pages are confirmed before each use unless you say otherwise.",
    ),
    option(
        "--field",
        multiple=True,
        callback=_each(parse_field_rule),
        metavar="PATTERN=NAME: VALUE",
        help="A response field, such as '*=X-Robots-Tag: noindex'. Repeatable.",
    ),
    option(
        "--media-type",
        multiple=True,
        callback=_each(parse_media_type_override),
        metavar="EXTENSION=TYPE",
        help="Another Content-Type, such as '.ts=text/typescript'. Repeatable.",
    ),
    option(
        "--charset",
        default=_DEFAULTS.charset,
        show_default=True,
        metavar="NAME",
        help="What text is said to be in; empty to say nothing.",
    ),
    option(
        "--sidecars/--no-sidecars",
        default=_DEFAULTS.sidecars,
        show_default=True,
        help="Send name.zst, name.br or name.gz in place of name to clients that accept it (see `chute compress`).",
    ),
    option(
        "--compress/--no-compress",
        default=_DEFAULTS.compress,
        show_default=True,
        help=f"Compress text once and keep the result; with {', '.join(c.name.decode() for c in available())} here.",
    ),
    option(
        "--compress-level",
        multiple=True,
        callback=_each(_parse_level),
        metavar="CODING=LEVEL",
        help="Another level, such as 'zstd=6'. Repeatable.",
    ),
    option(
        "--compress-min",
        type=size,
        metavar="SIZE",
        default=shown(_DEFAULTS.compress_min_bytes),
        show_default=True,
        help="Smaller files are not compressed.",
    ),
    option(
        "--compress-type",
        multiple=True,
        metavar="TYPE",
        help="Another media type to compress, such as 'application/x-ndjson'. Repeatable.",
    ),
    option(
        "--entity-tags",
        default=_DEFAULTS.entity_tag_suffix,
        metavar="SUFFIX",
        help="Take the ETag of a file from a file beside it, such as '.etag'.",
    ),
    option(
        "--limit-rate",
        type=size,
        metavar="SIZE",
        default=0,
        help="Bytes per second of each answer. Default: no limit.",
    ),
    option(
        "--limit-rate-after",
        type=size,
        metavar="SIZE",
        default=0,
        help="Bytes of each answer that come before the limit.",
    ),
    seconds_option(
        "--valid",
        _DEFAULTS.valid_s,
        "How long a file is taken to be unchanged before the disk is asked again; 0 asks every time.",
        least=0.0,
    ),
    option(
        "--sendfile",
        type=click.Choice(["auto", "on", "off"]),
        default=_DEFAULTS.sendfile,
        show_default=True,
        help="Let the kernel carry files from --sendfile-min bytes up, or copy them through the process; "
        "'auto' copies on network, shared and FUSE file systems.",
    ),
    option(
        "--sendfile-min",
        type=click.IntRange(0, 1024 * 1024),
        default=_DEFAULTS.sendfile_min_bytes,
        show_default=True,
        metavar="BYTES",
        help="Smaller files are kept in memory and leave in one call with their head.",
    ),
)


def file_options(command: Command) -> Command:
    """Declare the options of a served folder on `command`, which hands them to `make_static_options`."""
    for declare in reversed(_OPTIONS):
        command = declare(command)
    return command


def make_static_options(path: str, given: dict[str, Any]) -> StaticOptions:
    """Return what to serve, and how.

    Args:
        path: a folder, or one file.
        given: the values of the options, which are taken out of it.

    Raises:
        ConfigError: `path` cannot be served, or an option makes no sense.
    """
    root, only = folder_or_file(path)
    take = given.pop
    checked_prefix(given["prefix"])
    MediaTypes(given["media_type"], charset=given["charset"])
    try_files = take("try_files")
    is_app = take("spa")
    return StaticOptions(
        root=root,
        only=only,
        index=take("index"),
        valid_s=take("valid"),
        sendfile_min_bytes=take("sendfile_min"),
        sendfile=take("sendfile"),
        listing=take("listing"),
        archives=take("archives"),
        hidden=take("hidden"),
        links=take("links"),
        prefix=take("prefix"),
        try_files=SPA if is_app and not try_files else try_files,
        error_documents=(*_DEFAULTS.error_documents, *take("error_page")),
        rules=(*take("cache"), *take("field")),
        media_types=take("media_type"),
        charset=take("charset"),
        sidecars=take("sidecars"),
        compress=take("compress"),
        compress_min_bytes=take("compress_min"),
        compress_levels=take("compress_level"),
        compress_types=take("compress_type"),
        entity_tag_suffix=take("entity_tags"),
        limit_rate=take("limit_rate"),
        limit_rate_after=take("limit_rate_after"),
    )
