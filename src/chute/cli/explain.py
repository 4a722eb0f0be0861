"""`chute explain [METHOD] URL`: what would answer, and why.

The request is made, parsed and answered by the same code that serves, with its trace turned on; only that nothing is
sent. So what is told is what happens.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from chute.cli.config_options import config_option, read_config, read_nginx
from chute.cli.options import option
from chute.clock import Clock
from chute.compose.serving import Generation
from chute.compose.shared import Shared
from chute.config.bind import TcpBind, UnixBind
from chute.config.model import Config, Listener
from chute.engine.answering import Answering
from chute.errors import ConfigError, PeerError
from chute.exchange import Deferred, Ends, Handler, Outcome, Receiving, Request
from chute.http1.head_parser import HeadParser
from chute.plan.plan import Plan
from chute.semantics.dates import format_http_date
from chute.semantics.messages import RequestHead
from chute.transfer.carrier import method_for

EXPLAINED_PEER = "127.0.0.1"

WORKS_MAX = 8
"""Works that may be done before an answer; see `static.handler`."""


class Asked(NamedTuple):
    """What is to be explained.

    Attributes:
        method: of the request.
        url: as given.
        target: what a client would send.
        authority: for the Host field.
        port: that the URL names, or None.
        scheme: of the URL.
    """

    method: str
    url: str
    target: str
    authority: str
    port: int | None
    scheme: str


@click.command(short_help="What would answer a request, and why.")
@click.argument("words", nargs=-1, required=True, metavar="[METHOD] URL")
@click.option(
    "-H",
    "--header",
    "fields",
    multiple=True,
    metavar="NAME: VALUE",
    help="A request field. Repeatable.",
)
@config_option
@option(
    "--nginx",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Translate this nginx.conf, and explain that.",
)
def explain(words: Sequence[str], *, fields: Sequence[str], config: str, nginx: str | None) -> None:
    """Tell step by step what would answer a request under FILE (chute.toml): site, location, rewrite, file, fields."""
    asked = _parse(words)
    read = read_config(config) if nginx is None else read_nginx(nginx)
    listener = _listener_for(read, asked)
    click.echo(f"{asked.method} {asked.url}")
    _tell(f"listener {listener.name} at {listener.bind}")
    if len(read.sites) == 1 and not read.sites[0].locations:
        _tell("one site without locations answers for every host and path")
    shared = Shared(read)
    generation = Generation(read, Clock(), shared)
    try:
        index = read.listeners.index(listener)
        _explain(asked, fields, generation.built[index].handler, read, listener)
    finally:
        generation.close()
        shared.close()


def _parse(words: Sequence[str]) -> Asked:
    if len(words) > 2:
        raise click.UsageError("explain takes a method and one URL")
    method = words[0] if len(words) == 2 else "GET"
    url = words[-1]
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and parts.netloc:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Asked(method, url, target, parts.netloc, parts.port, parts.scheme)
    if url.startswith("/"):
        return Asked(method, url, url, "localhost", None, "http")
    raise click.UsageError(f"{url!r} is no URL; write http://example.org/path, or /path")


def _listener_for(config: Config, asked: Asked) -> Listener:
    port = asked.port
    if port is None and "://" in asked.url:
        port = 443 if asked.scheme == "https" else 80
    for listener in config.listeners:
        if isinstance(listener.bind, TcpBind) and listener.bind.port == port:
            return listener
    if asked.port is not None:
        raise ConfigError(
            f"no listener is at port {port}",
            hint=f"there are {', '.join(str(each.bind) for each in config.listeners)}",
        )
    return config.listeners[0]


def _tell(text: str) -> None:
    click.echo(f"  {text}")


def _explain(
    asked: Asked,
    fields: Sequence[str],
    handler: Handler,
    config: Config,
    listener: Listener,
) -> None:
    lines = [f"{asked.method} {asked.target} HTTP/1.1"]
    if not any(field.lower().startswith("host:") for field in fields):
        lines.append(f"Host: {asked.authority}")
    raw_head = "\r\n".join([*lines, *fields, "", ""]).encode("utf-8", "surrogateescape")
    limits = config.limits
    parser = HeadParser(
        target_bytes_max=limits.target_bytes_max,
        head_bytes_max=limits.head_bytes_max,
        fields_max=limits.fields_max,
    )

    def traced(request: Request) -> Outcome:
        request.trace = _tell
        return handler(request)

    answering = Answering(traced, limits, debug_headers=False)
    head: RequestHead | None = None
    try:
        head = parser.parse(raw_head)
    except PeerError as error:
        _tell(f"the request breaks the protocol: {error}")
        _show(answering.refuse(None, error), None)
        return
    request, answer = answering.begin(head, _ends(listener, asked))
    for _ in range(WORKS_MAX):
        if not isinstance(answer, Deferred):
            break
        _tell(f"work in a thread: {answer.lane}")
        answer = answering.go_on(head, _outcome(answer))
    if isinstance(answer, Plan):
        _show(answer, request)
    elif isinstance(answer, Receiving):
        _tell(
            f"takes the content of the request, up to {answer.content_bytes_max} bytes ({answer.lane})"
        )


def _outcome(deferred: Deferred) -> object:
    try:
        return deferred.blocking_respond()
    except Exception as error:  # noqa: BLE001 - as the engine's threads do
        return error


def _ends(listener: Listener, asked: Asked) -> Ends:
    bind = listener.bind
    scheme = asked.scheme.encode()
    if isinstance(bind, TcpBind):
        return Ends(EXPLAINED_PEER, 50000, bind.host or EXPLAINED_PEER, bind.port, scheme)
    if isinstance(bind, UnixBind):
        return Ends("unix:", 0, os.fspath(bind.path), 0, scheme)
    return Ends(EXPLAINED_PEER, 50000, "", 0, scheme)


def _show(plan: Plan, request: Request | None) -> None:
    clock = Clock()
    plan.render(clock.second, format_http_date(clock.second) or b"")
    head = plan.payload[: plan.head_bytes].decode("utf-8", "backslashreplace")
    status_line, *fields = head.rstrip("\r\n").split("\r\n")
    click.echo(f"answer {status_line.removeprefix('HTTP/1.1 ')}")
    for field in fields:
        _tell(field)
    content_bytes = plan.total_bytes - plan.head_bytes
    if plan.production is not None:
        _tell("content is made while it is sent")
    else:
        method = method_for(plan.rest).decode() if plan.rest else "buffer"
        _tell(f"{content_bytes} bytes of content, carried by {method}")
    _tell(_reuse(plan, request))
    plan.let_go()


def _reuse(plan: Plan, request: Request | None) -> str:
    if not plan.is_reusable or request is None:
        return "made anew for each request"
    if plan.is_particular:
        return "remembered for the same head only: it depends on other fields than usual"
    return "remembered for requests with the same method, target, host and conditions"
