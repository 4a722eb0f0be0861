"""Status codes: their reason phrases and the status lines that carry them.

RFC 9110, 15, plus the codes other specifications have registered and servers really send. The
standard library's `http.HTTPStatus` is not used: its phrases changed between the Python versions
chute runs on (413, 416, 422), and the bytes on the wire should not depend on the interpreter.
"""

from __future__ import annotations

_REASON_PHRASES = {
    100: b"Continue",
    101: b"Switching Protocols",
    102: b"Processing",
    103: b"Early Hints",
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    203: b"Non-Authoritative Information",
    204: b"No Content",
    205: b"Reset Content",
    206: b"Partial Content",
    207: b"Multi-Status",
    208: b"Already Reported",
    226: b"IM Used",
    300: b"Multiple Choices",
    301: b"Moved Permanently",
    302: b"Found",
    303: b"See Other",
    304: b"Not Modified",
    305: b"Use Proxy",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    406: b"Not Acceptable",
    407: b"Proxy Authentication Required",
    408: b"Request Timeout",
    409: b"Conflict",
    410: b"Gone",
    411: b"Length Required",
    412: b"Precondition Failed",
    413: b"Content Too Large",
    414: b"URI Too Long",
    415: b"Unsupported Media Type",
    416: b"Range Not Satisfiable",
    417: b"Expectation Failed",
    421: b"Misdirected Request",
    422: b"Unprocessable Content",
    423: b"Locked",
    424: b"Failed Dependency",
    425: b"Too Early",
    426: b"Upgrade Required",
    428: b"Precondition Required",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    451: b"Unavailable For Legal Reasons",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
    506: b"Variant Also Negotiates",
    507: b"Insufficient Storage",
    508: b"Loop Detected",
    511: b"Network Authentication Required",
}


def reason_phrase(status: int) -> bytes:
    """Return the registered reason phrase of `status`, or empty bytes when none is registered."""
    return _REASON_PHRASES.get(status, b"")


def _render(status: int) -> bytes:
    # The space before an empty reason phrase is not optional (RFC 9112, 4).
    return b"HTTP/1.1 %03d %s\r\n" % (status, reason_phrase(status))


_STATUS_LINES = {status: _render(status) for status in _REASON_PHRASES}


def status_line(status: int) -> bytes:
    """Return the whole status line for `status`, line end included.

    The version is always HTTP/1.1, also in answers to HTTP/1.0: a server sends the highest version
    it conforms to within the request's major version (RFC 9110, 6.2).
    """
    return _STATUS_LINES.get(status) or _render(status)
