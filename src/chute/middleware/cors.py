"""Which other origins may read what is served here: the CORS protocol of the Fetch standard.

A browser lets a page read an answer from another origin only if the answer says so. Every answer says so, errors and
redirects too; a request that is not simple is asked about first, by a preflight (OPTIONS with
Access-Control-Request-Method), which is answered here and never reaches the handler. So CORS goes around
authentication: a preflight carries no credential (Fetch, "CORS protocol and credentials").

Nothing of a request is repeated in an answer but an Origin that is one of the configured, byte for byte. What a
preflight asks for is not even read: the answer says what is allowed, and the browser compares. For the same reason
request fields are allowed by the wildcard, with Authorization beside it, which the wildcard does not cover.

Absent: Access-Control-Allow-Credentials, which would let the pages of another origin act with the cookies and the
remembered password of whoever looks at them. A page that knows a credential can send Authorization by itself. And the
origin `null`, which every sandboxed frame and every local file has.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

from chute.errors import ConfigError
from chute.exchange import FieldLines, Handler, Outcome, Request, Response
from chute.http1.grammar import HOST, TOKEN
from chute.middleware.mapping import add_missing, map_response

DEPENDS_ON: Final = frozenset({b"origin"})
"""The fields, beside those of the handler within, that a reusable answer is a function of; see `depends_on`."""

MAX_AGE_S_MAX: Final = 86400
"""What Firefox caps the life of a preflight's answer at; Chromium at two hours."""

EXPOSED: Final = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Last-Modified",
    "Location",
    "Repr-Digest",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Resumable",
    "Tus-Version",
    "Upload-Expires",
    "Upload-Length",
    "Upload-Metadata",
    "Upload-Offset",
)
"""What scripts that fetch parts or upload files ask an answer for (tus.io: resumable uploads, 1.0)."""

_ALLOWED_FIELDS: Final = b"*, Authorization"

# serialized-origin = scheme "://" host [ ":" port ] (RFC 6454, 6.2), as browsers write it: in lower case.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class CorsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of cross-origin reading.

    Attributes:
        origins: the origins whose pages may read answers, each as `https://app.example.org`; `*` for all.
        methods: what those pages may ask for, beside GET, HEAD and POST, which no browser asks about.
        exposed: response fields that their scripts may see, beside those that Fetch lets them see always; `*` for all.
        max_age_s: for how long a browser may remember what a preflight has told it (seconds).
    """

    origins: Literal["*"] | tuple[str, ...] = "*"
    methods: tuple[str, ...] = ("GET", "HEAD")
    exposed: tuple[str, ...] = EXPOSED
    max_age_s: int = 7200


def depends_on(options: CorsOptions) -> frozenset[bytes]:
    """Return which fields answers depend on: none, where all origins are told the same."""
    return frozenset() if options.origins == "*" else DEPENDS_ON


def with_cors(handler: Handler, options: CorsOptions) -> Handler:
    """Return a handler that answers as `handler` does, and preflights besides.

    A response that has Access-Control-Allow-Origin already keeps it, and gets no further field of this kind.

    Raises:
        ConfigError: the options mean nothing.
    """
    policy = _Policy(options)
    respond = map_response(handler, policy.tell)

    def handle(request: Request) -> Outcome:
        fields = request.head.fields
        is_preflight = (
            request.head.method == b"OPTIONS"
            and b"origin" in fields
            and b"access-control-request-method" in fields
        )
        return policy.answer_preflight(request) if is_preflight else respond(request)

    return handle


class _Policy:
    """What is told to whom."""

    def __init__(self, options: CorsOptions) -> None:
        _check(options)
        self._origins: frozenset[bytes] | None = None
        if options.origins != "*":
            self._origins = frozenset(origin.encode() for origin in options.origins)
        self._preflight: FieldLines = [
            (b"Access-Control-Allow-Methods", ", ".join(options.methods).encode()),
            (b"Access-Control-Allow-Headers", _ALLOWED_FIELDS),
            (b"Access-Control-Max-Age", b"%d" % options.max_age_s),
        ]
        self._exposed: FieldLines = []
        if options.exposed:
            exposed = ", ".join(options.exposed).encode()
            self._exposed.append((b"Access-Control-Expose-Headers", exposed))

    def answer_preflight(self, request: Request) -> Response:
        return self._tell(request, Response(204, []), self._preflight)

    def tell(self, request: Request, response: Response) -> Response:
        return self._tell(request, response, self._exposed)

    def _tell(self, request: Request, response: Response, fields: FieldLines) -> Response:
        allowed: bytes | None = b"*"
        if self._origins is not None:
            # Of every answer, allowed or not: a cache may give it to somebody else (Fetch, "CORS protocol and HTTP
            # caches"). A second line of Vary is as good as a longer one.
            response.fields = [*response.fields, (b"Vary", b"Origin")]
            origin = request.head.field_value(b"origin")
            allowed = origin if origin in self._origins else None
        if allowed is None or any(
            name.lower() == b"access-control-allow-origin" for name, _ in response.fields
        ):
            return response
        return add_missing(response, [(b"Access-Control-Allow-Origin", allowed), *fields])


def _check(options: CorsOptions) -> None:
    if not options.origins:
        raise ConfigError("no origin may read anything", hint="name one, or '*' for all")
    if options.origins != "*":
        for origin in options.origins:
            _check_origin(origin)
    for kind, tokens in (("method", options.methods), ("field name", options.exposed)):
        for token in tokens:
            if not (token.isascii() and TOKEN.fullmatch(token.encode())):
                raise ConfigError(f"{token!r} is no {kind}")
    if not options.methods:
        raise ConfigError("no method is allowed to other origins", hint="name GET at least")
    if not 0 <= options.max_age_s <= MAX_AGE_S_MAX:
        raise ConfigError(f"a preflight is remembered for 0 to {MAX_AGE_S_MAX} seconds")


def _check_origin(origin: str) -> None:
    """Refuse what no browser would ever send."""
    scheme, separator, authority = origin.partition("://")
    if (
        not separator
        or not origin.isascii()
        or origin != origin.lower()
        or not _SCHEME.fullmatch(scheme)
        or not HOST.fullmatch(authority.encode())
        or "*" in authority
        or authority.endswith((":", _DEFAULT_PORTS.get(scheme, ":")))
    ):
        raise ConfigError(
            f"{origin!r} is no origin as browsers send it",
            hint="write https://app.example.org, with its port if that is not the usual one, and no path",
        )
