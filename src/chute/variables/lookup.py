"""The variables that every request has, by nginx's names.

Each says how it is read, from when on it has a value, whether it is decoded (and has to be encoded in a URL), and for
which other requests an answer that depends on it may be used again. What a configuration adds (maps, variables that are
set, named groups) is in `names`.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import socket
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from chute.clock import wall_ns
from chute.exchange import Answered, Request, Reuse


class Phase(IntEnum):
    """From when on a variable has a value."""

    REQUEST = 0
    RESPONSE = 1
    """There is a response: its status and fields are known."""
    LOG = 2
    """It has been sent."""


Reader = Callable[[Request], bytes]
LogReader = Callable[[Answered], bytes]


class Variable(NamedTuple):
    """How to read one variable.

    Attributes:
        read: reads it; None for one that only logs have.
        phase: from when on.
        is_decoded: whether it holds what was percent-decoded.
        read_answered: reads it for a log, where that is not reading it from the request.
    """

    read: Reader | None
    phase: Phase = Phase.REQUEST
    is_decoded: bool = False
    read_answered: LogReader | None = None


def narrowing(reuse: Reuse, read: Reader) -> Reader:
    """Return a reader that also notes for whom an answer that depends on it is right."""

    def read_and_narrow(request: Request) -> bytes:
        request.narrow(reuse)
        return read(request)

    return read_and_narrow


_NAME = re.compile(rb"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]")


def _host(request: Request) -> bytes:
    """The host without its port, in lower case; of a request without one, the name of the site, or our address.

    It is never empty: `https://$host$request_uri` would make a host of what the client has put into the path.
    """
    host = host_of(request.authority)
    if host:
        return host
    name = _server_name(request)
    if _NAME.fullmatch(name) and name != b"_":
        return name
    address = request.ends.local_address
    if ":" in address:
        return f"[{address}]".encode()
    return address.encode() if address and "/" not in address else b"localhost"


def host_of(authority: bytes) -> bytes:
    """Return the host in `authority` in lower case, without port and without a final dot."""
    is_bracketed = authority.startswith(b"[")
    end = authority.find(b"]") + 1 if is_bracketed else authority.find(b":")
    host = authority if end < 0 else authority[:end]
    return host.lower().removesuffix(b".")


def _server_name(request: Request) -> bytes:
    """The first name of the site; `.example.org` goes by the host that is in it, as in nginx."""
    return request.site.removeprefix(b".")


def _query(request: Request) -> bytes:
    return request.query or b""


def _method(request: Request) -> bytes:
    return request.head.method


def _uri(request: Request) -> bytes:
    return request.path


_SCHEME_AND_AUTHORITY = re.compile(rb"(?i:https?)://[^/?]*")


def _request_uri(request: Request) -> bytes:
    """Path and query as they were sent; what an absolute form has before them is `$scheme` and `$host`."""
    target = request.head.request_target
    match = _SCHEME_AND_AUTHORITY.match(target)
    if match is None:
        return target
    rest = target[match.end() :]
    return rest if rest[:1] == b"/" else b"/" + rest


def _protocol(request: Request) -> bytes:
    return b"HTTP/1.%d" % request.head.minor_version


def _request_line(request: Request) -> bytes:
    head = request.head
    return b"%b %b HTTP/1.%d" % (head.method, head.request_target, head.minor_version)


def _file_name(request: Request) -> bytes:
    return os.fsencode(request.root) + request.subpath


def _user(request: Request) -> bytes:
    """The user name that was sent along, whether or not anybody has checked the password."""
    scheme, _, credentials = (request.head.field_value(b"authorization") or b"").partition(b" ")
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(credentials.strip(), validate=True).partition(b":")[0]
    except binascii.Error:
        return b""


def _request_id(request: Request) -> bytes:
    """16 random octets in hexadecimal, the same for as long as the request lives."""
    if request.variables is None:
        request.variables = {}
    known = request.variables.get(REQUEST_ID)
    if known is None:
        known = request.variables[REQUEST_ID] = os.urandom(16).hex().encode()
    return known


REQUEST_ID = " request_id"
"""Under which the id is kept among the variables; no name that can be set."""

_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _utc() -> tuple[int, int, int, int, int, int]:
    seconds = wall_ns() // 1_000_000_000
    days, second_of_day = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    return year, month, day, second_of_day // 3600, second_of_day // 60 % 60, second_of_day % 60


def _civil(days: int) -> tuple[int, int, int]:
    """Return year, month and day of a number of days since 1970 (Hinnant's algorithm)."""
    days += 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    month = month_index + 3 if month_index < 10 else month_index - 9
    return (
        year_of_era + era * 400 + (month <= 2),
        month,
        day_of_year - (153 * month_index + 2) // 5 + 1,
    )


def _time_local() -> bytes:
    year, month, day, hour, minute, second = _utc()
    return b"%02d/%b/%d:%02d:%02d:%02d +0000" % (
        day,
        _MONTHS[month - 1],
        year,
        hour,
        minute,
        second,
    )


def _time_iso8601() -> bytes:
    return b"%d-%02d-%02dT%02d:%02d:%02d+00:00" % _utc()


def _milliseconds() -> bytes:
    return b"%.3f" % (wall_ns() / 1e9)


def _response_status(request: Request) -> bytes:
    return b"" if request.response is None else b"%d" % request.response.status


_PEER, _TIME = Reuse.NEVER, Reuse.NEVER

BUILT_IN: dict[str, Variable] = {
    "args": Variable(_query),
    "body_bytes_sent": Variable(
        None, Phase.LOG, read_answered=lambda answered: b"%d" % answered.sent_bytes
    ),
    "bytes_sent": Variable(
        None,
        Phase.LOG,
        read_answered=lambda answered: b"%d" % (answered.head_bytes + answered.sent_bytes),
    ),
    "carried": Variable(None, Phase.LOG, read_answered=lambda answered: answered.carried),
    "document_root": Variable(lambda request: os.fsencode(request.root)),
    "document_uri": Variable(_uri, is_decoded=True),
    "host": Variable(_host),
    "hostname": Variable(lambda _: socket.gethostname().encode()),
    "https": Variable(lambda request: b"on" if request.ends.scheme == b"https" else b""),
    "is_args": Variable(lambda request: b"?" if request.query else b""),
    "msec": Variable(
        narrowing(_TIME, lambda _: _milliseconds()), read_answered=lambda _: _milliseconds()
    ),
    "pid": Variable(lambda _: b"%d" % os.getpid()),
    "query_string": Variable(_query),
    "remote_addr": Variable(
        narrowing(_PEER, lambda request: request.ends.remote_address.encode()),
        read_answered=lambda answered: answered.ends.remote_address.encode(),
    ),
    "remote_port": Variable(
        narrowing(_PEER, lambda request: _port(request.ends.remote_port)),
        read_answered=lambda answered: _port(answered.ends.remote_port),
    ),
    "remote_user": Variable(narrowing(Reuse.BY_HEAD, _user), is_decoded=True),
    "request": Variable(
        _request_line,
        read_answered=lambda answered: (
            answered.request_line if answered.request is None else _request_line(answered.request)
        ),
    ),
    "request_completion": Variable(
        None, Phase.LOG, read_answered=lambda answered: b"OK" if answered.is_complete else b""
    ),
    "request_filename": Variable(_file_name, is_decoded=True),
    "request_id": Variable(narrowing(Reuse.NEVER, _request_id)),
    "request_method": Variable(_method),
    "request_time": Variable(
        None, Phase.LOG, read_answered=lambda answered: b"%.3f" % answered.duration_s
    ),
    "request_uri": Variable(_request_uri),
    "scheme": Variable(lambda request: request.ends.scheme),
    "server_addr": Variable(
        narrowing(_PEER, lambda request: os.fsencode(request.ends.local_address)),
        read_answered=lambda answered: os.fsencode(answered.ends.local_address),
    ),
    "server_name": Variable(_server_name),
    "server_port": Variable(lambda request: _port(request.ends.local_port)),
    "server_protocol": Variable(_protocol),
    "status": Variable(
        _response_status, Phase.RESPONSE, read_answered=lambda answered: b"%d" % answered.status
    ),
    "time_iso8601": Variable(
        narrowing(_TIME, lambda _: _time_iso8601()), read_answered=lambda _: _time_iso8601()
    ),
    "time_local": Variable(
        narrowing(_TIME, lambda _: _time_local()), read_answered=lambda _: _time_local()
    ),
    "uri": Variable(_uri, is_decoded=True),
}
"""Variables with a name of their own."""


def _port(port: int) -> bytes:
    return b"%d" % port if port else b""


# ------------------------------------------------------------------ families: a prefix, and the name of something

FAMILIES = ("arg_", "cookie_", "http_", "sent_http_")

_ENGINES_OWN = frozenset({"connection", "content_length", "date", "server", "transfer_encoding"})
"""Fields that the engine adds when the response is on its way."""

_OF_THE_KEY = frozenset({b"host", b"accept", b"accept-encoding", b"range"})
"""Fields that every plan is keyed by, whatever else it depends on."""


def find_built_in(name: str) -> Variable | None:
    """Return the variable `name`, or None if no request has it."""
    known = BUILT_IN.get(name)
    if known is not None:
        return known
    if name in ("content_length", "content_type"):
        return _field_variable(name)
    for family, make in _FAMILIES.items():
        if name.startswith(family) and len(name) > len(family):
            return make(name.removeprefix(family))
    return None


def _field_variable(name: str) -> Variable:
    field_name = name.replace("_", "-").lower().encode()

    def read(request: Request) -> bytes:
        return request.head.fields.get(field_name, b"")

    return Variable(read if field_name in _OF_THE_KEY else narrowing(Reuse.BY_HEAD, read))


def _argument_variable(name: str) -> Variable:
    pattern = re.compile(rb"(?:^|&)%b=([^&]*)" % re.escape(name.encode()), re.IGNORECASE)

    def read(request: Request) -> bytes:
        match = pattern.search(request.query) if request.query else None
        return b"" if match is None else match[1]

    return Variable(read)


def _cookie_variable(name: str) -> Variable:
    pattern = re.compile(rb"(?:^|[;,]) *%b *= *([^;]*)" % re.escape(name.encode()), re.IGNORECASE)

    def read(request: Request) -> bytes:
        for field_name, value in request.head.field_lines:
            match = pattern.search(value) if field_name == b"cookie" else None
            if match is not None:
                return match[1]
        return b""

    return Variable(narrowing(Reuse.BY_HEAD, read))


def _response_field_variable(name: str) -> Variable | None:
    if name in _ENGINES_OWN:
        return None
    field_name = name.replace("_", "-").lower().encode()

    def read(request: Request) -> bytes:
        if request.response is None:
            return b""
        values = [value for name, value in request.response.fields if name.lower() == field_name]
        return b", ".join(values)

    return Variable(read, Phase.RESPONSE)


_FAMILIES: dict[str, Callable[[str], Variable | None]] = {
    "arg_": _argument_variable,
    "cookie_": _cookie_variable,
    "http_": _field_variable,
    "sent_http_": _response_field_variable,
}
