r"""Handlers that need no file: redirects and fixed answers.

A redirect can never be split by a line break, and never leads to another host unless the configuration names one: what
was decoded is encoded again (`variables.encoding`), and a path that would begin with two slashes, which a browser takes
for a host (T24), begins with one. What begins with something that the client sends (`$arg_next`) is always a path.
"""

from __future__ import annotations

import math
from typing import Final

from chute.errors import ConfigError
from chute.exchange import FieldLines, Handler, Request, Response, failure
from chute.routing.options import REDIRECTS, RedirectOptions, RespondOptions
from chute.semantics.status import reason_phrase
from chute.variables.encoding import keep_within_url
from chute.variables.lookup import Phase
from chute.variables.names import Names
from chute.variables.template import Purpose, Template, find, split

_STATUS_MIN, _FAILURES, _STATUS_MAX = 200, 400, 599

WITHOUT_CONTENT: Final = frozenset({204, 304})


class AlwaysValid:
    """The validity of an answer that nothing can change but another configuration."""

    valid_until_s = math.inf

    def still_holds(self, now_s: float) -> bool:
        """See `exchange.Validity`."""
        del now_s
        return True


ALWAYS = AlwaysValid()


def make_redirect(
    options: RedirectOptions, names: Names, *, appends_query: bool = False
) -> Handler:
    """Return a handler that sends clients to `options.to`.

    Args:
        options: where to, and how.
        names: what variables there are.
        appends_query: whether the query of the request comes behind that.

    Raises:
        ConfigError: the status sends nobody anywhere, or a variable is unknown.
    """
    status = options.status
    if status not in REDIRECTS:
        raise ConfigError(
            f"{status} is no status of a redirect", hint="use 301, 302, 303, 307 or 308"
        )
    if not options.to:
        raise ConfigError("a redirect needs somewhere to lead to", hint='for example to = "/new/"')
    target = Template(options.to, names, purpose=Purpose.URL)
    names_host = options.to.startswith("//")
    is_led_by_client = _is_led_by_client(options.to, names)

    def redirect(request: Request) -> Response:
        location = target.render(request)
        if is_led_by_client:
            location = b"/" + location.lstrip(b"/")
        elif not names_host:
            location = within_host(location)
        if appends_query and request.query:
            location += (b"&" if b"?" in location else b"?") + keep_within_url(request.query)
        if request.trace is not None:
            request.trace(f"redirects to {location.decode()} ({status})")
        return Response(status, [(b"Location", location or b"/")], validity=ALWAYS)

    return redirect


_SENT = ("arg_", "args", "cookie_", "http_", "query_string", "request_uri")
"""Variables that the client sends as they are; what was decoded (groups too) it sends encoded."""


def _is_led_by_client(text: str, names: Names) -> bool:
    """Whether the client writes the beginning of `text`, and with it the scheme and the host, if nobody minds."""
    _, name = split(text)[0]
    return name is not None and (
        name.startswith(_SENT) or find(name, names, Phase.REQUEST).is_decoded
    )


def within_host(location: bytes) -> bytes:
    """Return `location` with one slash at its beginning, if it begins with more."""
    return b"/" + location.lstrip(b"/") if location.startswith(b"//") else location


def make_respond(options: RespondOptions, names: Names) -> Handler:
    """Return a handler that gives one answer.

    Raises:
        ConfigError: there is no such status, it has no content, or a variable is unknown.
    """
    status = options.status
    if not (_STATUS_MIN <= status <= _STATUS_MAX and reason_phrase(status)):
        raise ConfigError(
            f"{status} is no status that can be answered with",
            hint="for example 200, 404, 410 or 503",
        )
    if options.text is None:
        if status in REDIRECTS:
            raise ConfigError(f"{status} needs somewhere to lead to", hint="use redirect")
        return _without_text(status)
    if status in WITHOUT_CONTENT:
        raise ConfigError(f"an answer with status {status} has no content", hint="leave text out")
    text = Template(options.text, names)
    fields: FieldLines = [(b"Content-Type", options.media_type.encode())]

    def respond(request: Request) -> Response:
        if request.trace is not None:
            request.trace(f"answers with {status} and a text")
        content = text.render(request)
        return Response(status, list(fields), (content,) if content else (), validity=ALWAYS)

    return respond


def _without_text(status: int) -> Handler:
    def respond(request: Request) -> Response:
        if request.trace is not None:
            request.trace(f"answers with {status}")
        if status < _FAILURES:
            return Response(status, [], validity=ALWAYS)
        response = failure(status, EXPLANATIONS.get(status, "The server answers so by its rules."))
        response.validity = ALWAYS
        return response

    return respond


EXPLANATIONS: Final = {
    400: "The request makes no sense here.",
    401: "This is for those who have a password.",
    403: "This is not for everybody.",
    404: "There is nothing with this name.",
    405: "This cannot be done here.",
    410: "This was here, and is gone for good.",
    429: "That was too much in too short a time.",
    503: "This is not available at the moment.",
}
"""What the usual page says."""
