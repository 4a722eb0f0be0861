"""Small pages for errors: HTML, JSON or plain text, whichever the client would rather read.

A handler that fails says why in one sentence and leaves the page to this module. The sentence is ours, or the
operator's; nothing that the client sent is ever repeated in a page, so there is nothing to inject.
"""

from __future__ import annotations

import html
import json

from chute.exchange import Response
from chute.semantics.negotiation import ERROR_TYPES, choose_media_type
from chute.semantics.status import reason_phrase

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status} {reason}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1.05rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto 0; padding: 0 1.5rem }}
h1 {{ font-size: 1.4rem; font-weight: 600; margin: 0 0 .4rem }}
h1 b {{ font-weight: 300; opacity: .6; margin-right: .5rem }}
p {{ margin: 0; opacity: .8 }}
</style>
</head>
<body>
<h1><b>{status}</b>{reason}</h1>
<p>{explanation}</p>
</body>
</html>
"""


def with_page(response: Response, accept: bytes | None) -> Response:
    """Return `response` with a page about its status, if its handler left that to us.

    Args:
        response: any response; one with content, or without an explanation, comes back as it is.
        accept: the Accept field of the request, or None.
    """
    explanation = response.explanation
    if explanation is None:
        return response
    chosen = choose_media_type(accept, ERROR_TYPES)
    content = _render(chosen, response.status, explanation)
    content_type = chosen + b"; charset=utf-8" if chosen.startswith(b"text/") else chosen
    fields = [(b"Content-Type", content_type), *response.fields]
    page = Response(response.status, fields, (content,), validity=response.validity)
    page.is_particular = response.is_particular
    return page


def _render(media_type: bytes, status: int, explanation: str) -> bytes:
    reason = reason_phrase(status).decode()
    if media_type == b"application/json":
        page = json.dumps({"status": status, "error": reason, "detail": explanation}) + "\n"
    elif media_type == b"text/html":
        page = _PAGE.format(
            status=status, reason=reason, explanation=html.escape(explanation, quote=False)
        )
    else:
        page = f"{status} {reason}\n{explanation}\n"
    return page.encode()
