"""Response fields that make browsers more careful: two sets of them, by name.

After the OWASP Secure Headers Project and MDN. `basic` is meant to break nothing that a site does with its own files;
`strict` is for sites that are written for it: no inline script or style, nothing from elsewhere, no frames. A field
that a response has already is never changed: a folder listing comes with a policy of its own.

The page of an error, which the engine makes, has its style inline; with `strict` its policy names that style by its
hash.

Left out, of what is recommended elsewhere:

- Strict-Transport-Security and upgrade-insecure-requests: they belong to TLS, and over clear text the one is ignored
  (RFC 6797, 8.1) and the other breaks the site.
- Cache-Control: no-store, which would end caching; Clear-Site-Data, which is for the answer to a logout.
- X-XSS-Protection, Expect-CT, Public-Key-Pins, Feature-Policy: withdrawn, and the first of them did harm.

Answers depend on no field of the request. Browsers ignore Cross-Origin-Opener-Policy and -Embedder-Policy over clear
text, except on the machine itself.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final, Literal

from chute.exchange import FieldLines, Handler, Request, Response, failure
from chute.middleware.error_pages import with_page
from chute.middleware.mapping import add_missing, map_response

Preset = Literal["basic", "strict"]

_POLICY: Final = b"Content-Security-Policy"

_CAPABILITIES: Final = (
    "accelerometer",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "publickey-credentials-get",
    "screen-wake-lock",
    "serial",
    "usb",
    "xr-spatial-tracking",
)
"""Of those that Permissions-Policy knows, the ones that reach out of the page; autoplay and fullscreen stay allowed."""

PRESETS: Final[dict[Preset, tuple[tuple[bytes, bytes], ...]]] = {
    "basic": (
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Referrer-Policy", b"strict-origin-when-cross-origin"),
        (b"X-Frame-Options", b"SAMEORIGIN"),
        (b"Cross-Origin-Opener-Policy", b"same-origin"),
        (b"X-Permitted-Cross-Domain-Policies", b"none"),
    ),
    "strict": (
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Referrer-Policy", b"no-referrer"),
        (b"X-Frame-Options", b"DENY"),
        (b"Cross-Origin-Opener-Policy", b"same-origin"),
        (b"Cross-Origin-Embedder-Policy", b"require-corp"),
        (b"Cross-Origin-Resource-Policy", b"same-origin"),
        (b"X-Permitted-Cross-Domain-Policies", b"none"),
        (b"Permissions-Policy", ", ".join(f"{name}=()" for name in _CAPABILITIES).encode()),
        (
            _POLICY,
            b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
        ),
    ),
}


def with_security_fields(handler: Handler, preset: Preset) -> Handler:
    """Return a handler that answers as `handler` does, with the fields of `preset` where a response has not its own."""
    fields: FieldLines = list(PRESETS[preset])
    error_fields = [
        (name, _error_page_policy() if name == _POLICY else value) for name, value in fields
    ]

    def change(request: Request, response: Response) -> Response:
        del request  # all are told the same
        return add_missing(response, fields if response.explanation is None else error_fields)

    return map_response(handler, change)


def _error_page_policy() -> bytes:
    """Return the policy for a page of `error_pages`, which consists of markup and one style."""
    (page,) = with_page(failure(404, ""), b"text/html").pieces
    assert isinstance(page, bytes)
    style = re.search(rb"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest())
    return (
        b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-%b'"
        % digest
    )
