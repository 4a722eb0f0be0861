"""A complete request head in, a `RequestHead` or the reason for its refusal out.

RFC 9112, 2, 3, 5 and 6; RFC 9110, 7.2 and 10.1.1. httptools (llhttp in its strict mode) is the
parser; what stands here can only make it stricter, never more lenient. The engine finds the blank
line and hands the head over whole.

Theory of operation. There are two ways through, and the second alone defines what is accepted:

- `_parse_plain` takes the heads that browsers and tools send nearly always: HTTP/1.1, origin-form,
  one Host, no body, a connection that persists. llhttp calls `dict.setdefault` for every field
  line, so no Python runs per line. Names are lowered through a memo that *does not know* the names
  which need thought (Content-Length, Expect, ...): the first of them, or a second spelling of one,
  or anything else out of the ordinary, ends the attempt.
- `_parse_exactly` judges everything else, one rule after the other, with a parser of its own. Every
  refusal comes from here, so a verdict depends on the bytes of the head and never on what came
  before it on any connection.

What llhttp 9 in httptools refuses by itself (measured; the wire tables pin it): a bare CR or LF,
white space before the colon, obs-fold, an empty or malformed name, control characters in values,
octets outside VCHAR in a target, Content-Length that is repeated, empty, signed or not a number or
that meets a Transfer-Encoding, a last transfer coding that is not chunked. What it lets through and
is refused here: empty lines in front, several spaces in the request line, HTTP/0.9, 2.0 and RTSP
versions, `*` for any method, CONNECT to a path, a fragment, no Host, two Hosts, any Host;
Transfer-Encoding on HTTP/1.0, other codings before chunked, empty list members; Content-Length of
more than 19 digits.

Octets of 0x80 and above in a target are refused, as RFC 3986 has it; nginx lets them pass, and then
has to guess their encoding. They stay allowed in field values (obs-text). HTTP/1.2 to 1.9 are
answered as 1.1 (RFC 9110, 2.5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from httptools import (
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)

from chute.errors import PeerError
from chute.http1 import grammar
from chute.semantics.messages import RequestHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from chute.semantics.messages import FieldLine

# No registered method is longer than 17 bytes.
_METHOD_BYTES_MAX: Final = 32
_NAMES_MAX: Final = 512
_NAME_BYTES_MAX: Final = 64
_HOSTS_MAX: Final = 1024
_HOST_BYTES_MAX: Final = 255

# A head with one of these in it is read by the exact path. Proxy-Connection is among them because
# llhttp lets it end the connection. Host and Connection are missing in their common spellings
# alone, see _PlainNames.
_WEIGHTY_NAMES: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"expect",
        b"host",
        b"proxy-connection",
        b"transfer-encoding",
        b"upgrade",
    }
)
_PLAIN_SPELLINGS: Final = (b"Host", b"host", b"Connection", b"connection")
# As numbers: looking for a byte takes 15 ns, looking for a string of one byte 107.
_CR: Final = 0x0D
_HASH: Final = 0x23
_PERSISTENT: Final = frozenset({b"keep-alive", b"Keep-Alive"})


class _PlainNames(dict[bytes, bytes]):
    """Known spellings of field names that need no thought, each with its lower-case form.

    A look-up of a weighty name raises KeyError, except in the spellings that the plain path looks
    up itself. When full it starts anew: a peer that invents names can cost us look-ups but no
    memory.
    """

    def __init__(self) -> None:
        super().__init__((name, name.lower()) for name in _PLAIN_SPELLINGS)

    def __missing__(self, spelling: bytes) -> bytes:
        name = spelling.lower()
        if name in _WEIGHTY_NAMES:
            raise KeyError(name)
        if len(spelling) <= _NAME_BYTES_MAX:
            if len(self) >= _NAMES_MAX:
                self.clear()
                self.update((plain, plain.lower()) for plain in _PLAIN_SPELLINGS)
            self[spelling] = name
        return name


class _Callbacks:
    """What llhttp calls: one function per field line, and nothing for anything else."""

    __slots__ = ("on_header",)

    def __init__(self, on_header: Callable[[bytes, bytes], object]) -> None:
        self.on_header = on_header


class HeadParser:
    """Parses complete heads, one after the other, of any number of connections.

    Lives as long as its worker and is used by one thread. It holds memos and a parser to re-use, no
    state of any connection.

    Attributes:
        target_bytes_max: longest request-target; a longer one is answered with 414.
        head_bytes_max: longest head; a longer one is answered with 431.
        fields_max: most field lines; more are answered with 431.
    """

    def __init__(
        self,
        *,
        target_bytes_max: int = 8192,
        head_bytes_max: int = 32768,
        fields_max: int = 100,
    ) -> None:
        self.target_bytes_max = target_bytes_max
        self.head_bytes_max = head_bytes_max
        self.fields_max = fields_max
        self._line_bytes_max = _METHOD_BYTES_MAX + target_bytes_max + len(b"  HTTP/1.1\r\n")
        self._names = _PlainNames()
        self._name_of = self._names.__getitem__
        self._hosts: set[bytes] = set()
        self._plain: dict[bytes, bytes] = {}
        self._callbacks = _Callbacks(self._plain.setdefault)
        self._feed = HttpRequestParser(self._callbacks).feed_data

    def parse(self, head: bytes) -> RequestHead:
        """Parse one head.

        Args:
            head: everything from the request line to the blank line, that line included.

        Returns:
            The head, every rule of the grammar checked.

        Raises:
            PeerError: HTTP forbids it, or it exceeds a limit; `status_hint` is 400, 414, 417, 431,
                501 or 505.
        """
        plain = self._parse_plain(head)
        return self._parse_exactly(head) if plain is None else plain

    # Hot: every request that misses the plan cache passes here. 3.6 us for a browser's head of 12
    # field lines (491 bytes), where the exact path takes 6: 1.2 in llhttp and its callbacks, 0.9 to
    # pair names and values, the rest in checks. `timeit` on HeadParser.parse repeats it.
    def _parse_plain(self, head: bytes) -> RequestHead | None:
        """Return the head if it is an ordinary one, or None for the exact path to judge."""
        if len(head) > self.head_bytes_max or not head.endswith(b"\r\n\r\n"):
            return None
        fields = self._plain
        fields.clear()
        try:
            self._feed(head)
            # Trailing white space is the one thing that llhttp leaves in a value. Both iterables
            # run over one dict, and a keyword to say so would cost 0.2 us.
            single = dict(zip(map(self._name_of, fields), map(bytes.rstrip, fields.values())))  # noqa: B905
            method, target, rest = head.split(b" ", 2)
        except (HttpParserError, HttpParserUpgrade, KeyError, ValueError):
            self._feed = HttpRequestParser(self._callbacks).feed_data
            return None
        # One LF per field line, one for the request line, one for the blank line: fewer fields than
        # that means that a name was repeated, or that the bytes held more than one head. llhttp has
        # refused every LF without its CR.
        count = len(single)
        host = fields.get(b"Host")
        if host is None:
            host = fields.get(b"host")
        elif b"host" in fields:
            host = None
        if (
            host in self._hosts
            and head.count(b"\n") == count + 2
            and count <= self.fields_max
            and rest.startswith(b"HTTP/1.1\r\n")
            and method.isalpha()
            and target.startswith(b"/")
            # llhttp takes an HTTP/0.9 request line, after which our split would cross the line's end.
            and head.find(b"\n") == len(method) + len(target) + len(b"  HTTP/1.1\r")
            and _CR not in target
            and len(target) <= self.target_bytes_max
            and _HASH not in target
            and fields.get(b"Connection", b"keep-alive") in _PERSISTENT
            and fields.get(b"connection", b"keep-alive") in _PERSISTENT
        ):
            return RequestHead(method, target, 1, None, fields=single)
        self._feed = HttpRequestParser(self._callbacks).feed_data
        return None

    def _parse_exactly(self, head: bytes) -> RequestHead:
        """Judge any head, rule by rule; the definition of what is accepted."""
        method, target, minor_version = self._request_line(head)
        lines = self._field_lines(head, method)
        values: dict[bytes, list[bytes]] = {}
        for name, value in lines:
            if name in _WEIGHTY_NAMES:
                values.setdefault(name, []).append(value)
        self._check_host(values.get(b"host", []), minor_version)
        is_chunked = _is_chunked(values.get(b"transfer-encoding", []), minor_version)
        content_length = _content_length(values.get(b"content-length", []))
        # llhttp refuses this pair, and a repeated Content-Length, before we see them. They are what
        # request smuggling is made of, so no setting or release of llhttp may decide it alone.
        if is_chunked and b"content-length" in values:
            raise PeerError("both content-length and transfer-encoding")
        if method == b"CONNECT" and (is_chunked or content_length):
            raise PeerError("connect with content")
        return RequestHead(
            method,
            target,
            minor_version,
            lines,
            content_length=content_length,
            is_chunked=is_chunked,
            wants_close=_wants_close(values.get(b"connection", []), minor_version),
            expects_continue=_expects_continue(values.get(b"expect", []), minor_version),
        )

    def _request_line(self, head: bytes) -> tuple[bytes, bytes, int]:
        """Return method, request-target and minor version; refuse what is too long first."""
        if len(head) > self._line_bytes_max and head.find(b"\r\n", 0, self._line_bytes_max) < 0:
            raise PeerError("request-target too long", status_hint=414)
        if len(head) > self.head_bytes_max:
            raise PeerError("header section too long", status_hint=431)
        match = grammar.REQUEST_LINE.match(head)
        if match is None:
            raise PeerError("malformed request line")
        method, target, major_version, minor_version = match.groups()
        if major_version != b"1":
            raise PeerError("unsupported http version", status_hint=505)
        if len(target) > self.target_bytes_max:
            raise PeerError("request-target too long", status_hint=414)
        if not _is_target(target, method):
            raise PeerError("malformed request-target")
        if head.count(b"\n") - 2 > self.fields_max:
            raise PeerError("too many field lines", status_hint=431)
        return method, target, min(int(minor_version), 1)

    def _field_lines(self, head: bytes, method: bytes) -> list[FieldLine]:
        """Return the field lines that llhttp finds, names lowered and values stripped."""
        found: list[FieldLine] = []

        def on_header(name: bytes, value: bytes) -> None:
            found.append((name.lower(), value.rstrip(b" \t")))

        parser = HttpRequestParser(_Callbacks(on_header))
        try:
            parser.feed_data(_as_spoken_version(head))
        except HttpParserUpgrade:
            # Upgrade and CONNECT: llhttp stops behind the head, where our bytes end too.
            pass
        except HttpParserError as error:
            raise _refusal(head, method, error) from error
        if not head.endswith(b"\r\n\r\n") or head.count(b"\n") != len(found) + 2:
            raise PeerError("malformed header section")
        return found

    def _check_host(self, values: list[bytes], minor_version: int) -> None:
        """Refuse a missing, repeated or malformed Host (RFC 9112, 3.2)."""
        if not values:
            if minor_version == 0:
                return
            raise PeerError("missing host")
        if len(values) > 1:
            raise PeerError("repeated host")
        host = values[0]
        if host in self._hosts:
            return
        if grammar.HOST.fullmatch(host) is None:
            raise PeerError("malformed host")
        if len(host) <= _HOST_BYTES_MAX:
            if len(self._hosts) >= _HOSTS_MAX:
                self._hosts.clear()
            self._hosts.add(host)


def _is_target(target: bytes, method: bytes) -> bool:
    """Whether the target has the form that its method asks for (RFC 9112, 3.2)."""
    if method == b"CONNECT":
        return grammar.AUTHORITY_FORM.fullmatch(target) is not None
    if target == b"*":
        return method == b"OPTIONS"
    form = grammar.ORIGIN_FORM if target.startswith(b"/") else grammar.ABSOLUTE_FORM
    return form.fullmatch(target) is not None


def _as_spoken_version(head: bytes) -> bytes:
    """Return the head with HTTP/1.2 and above called 1.1, which llhttp knows."""
    end = head.index(b"\r\n")
    if head[end - 1] <= ord(b"1"):
        return head
    return head[: end - 1] + b"1" + head[end:]


def _refusal(head: bytes, method: bytes, error: HttpParserError) -> PeerError:
    """Return what to answer to a head that llhttp refused.

    llhttp names an unknown method in one of two ways, by the method and by its protocol (PLAY is
    RTSP's). So the head is tried again as a GET: if that passes, the method was all that was wrong
    with it (RFC 9110, 9.1: 501).
    """
    try:
        HttpRequestParser(_Callbacks(lambda _name, _value: None)).feed_data(
            b"GET" + _as_spoken_version(head)[len(method) :]
        )
    except HttpParserUpgrade:
        pass
    except HttpParserError:
        if isinstance(error, HttpParserInvalidMethodError):
            return PeerError("malformed head with an unknown method")
        return PeerError(f"malformed head: {str(error).lower()}")
    return PeerError("unknown method", status_hint=501)


def _is_chunked(values: list[bytes], minor_version: int) -> bool:
    """Whether the body is chunked; anything else that Transfer-Encoding could say is refused.

    RFC 9112, 6.1 and 6.3. A last coding that is not chunked earns a 400 (6.3: MUST), whether we
    know it or not, since the end of such a body cannot be told; a coding below chunked that we do
    not implement earns a 501.
    """
    if not values:
        return False
    if minor_version == 0:
        raise PeerError("transfer-encoding in http/1.0")
    codings = [coding.strip(b" \t").lower() for coding in b",".join(values).split(b",")]
    if codings == [b"chunked"]:
        return True
    if codings[-1] != b"chunked" or codings.count(b"chunked") > 1 or b"" in codings:
        raise PeerError("malformed transfer-encoding")
    raise PeerError("unknown transfer coding", status_hint=501)


def _content_length(values: list[bytes]) -> int:
    """Return the announced length, 0 without one (RFC 9112, 6.2)."""
    if not values:
        return 0
    if len(values) > 1 or grammar.CONTENT_LENGTH.fullmatch(values[0]) is None:
        raise PeerError("malformed content-length")
    return int(values[0])


def _wants_close(values: list[bytes], minor_version: int) -> bool:
    """Whether the connection ends after this exchange (RFC 9112, 9.3)."""
    options = {option.strip(b" \t").lower() for option in b",".join(values).split(b",")}
    if b"close" in options:
        return True
    return minor_version == 0 and b"keep-alive" not in options


def _expects_continue(values: list[bytes], minor_version: int) -> bool:
    """Whether a 100 is awaited (RFC 9110, 10.1.1); an HTTP/1.0 peer could not read one."""
    if not values or minor_version == 0:
        return False
    expectations = {member.strip(b" \t").lower() for member in b",".join(values).split(b",")}
    if expectations != {b"100-continue"}:
        raise PeerError("unknown expectation", status_hint=417)
    return True
