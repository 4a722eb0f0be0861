"""`listen`: listeners, and which server answers for hosts that none names.

nginx has a default server for each address, chute says of a site whether it is one; they agree unless a server is made
the default of one of its addresses and not of another. `listen 80` is about IPv4 and `listen [::]:80` about IPv6; where
the same servers say both, one listener for every address is the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from chute.config.bind import TcpBind, UnixBind, parse_bind
from chute.config.nginx.statements import Refused, Report, Statement
from chute.errors import ConfigError

_EVERY_V4, _EVERY_V6 = "0.0.0.0", "::"  # noqa: S104 - what nginx means
_PLAIN = re.compile(r"[^a-z0-9]+")
_USUAL_NAMES = {80: "http", 443: "https"}

_IMPLIED = frozenset({"reuseport", "deferred", "bind", "ipv6only=on", "backlog", "so_keepalive"})
_LOST = {
    "ssl": "TLS is not built yet",
    "http2": "chute speaks HTTP/1.1; clients that want HTTP/2 agree to that",
    "spdy": "chute speaks HTTP/1.1",
    "quic": "chute speaks HTTP/1.1",
    "proxy_protocol": "the PROXY protocol is not built yet: chute would take it for a broken request",
    "rcvbuf": "chute leaves the buffers of sockets to the kernel",
    "sndbuf": "chute leaves the buffers of sockets to the kernel",
    "setfib": "there is no such thing on Linux",
    "fastopen": "chute does not use TCP Fast Open",
    "accept_filter": "there is no such thing on Linux",
}

Address = TcpBind | UnixBind


class Listening(msgspec.Struct):
    """One address that one server listens at.

    Attributes:
        address: where.
        is_default: whether the server is said to be the default there.
        statement: that says so; None if none does.
        is_tls: whether TLS is spoken there.
    """

    address: Address
    is_default: bool = False
    statement: Statement | None = None
    is_tls: bool = False


def listening_of(report: Report, server: Statement) -> list[Listening]:
    """Return where `server` listens; at port 80 if it does not say."""
    found: list[Listening] = []
    for statement in server.inner:
        if statement.name != "listen":
            continue
        try:
            found.append(_read(report, statement))
        except Refused as refused:
            report.leave_out(statement, refused.why)
    if not any(statement.name == "listen" for statement in server.inner):
        report.note(server, "listens at port 80, for it does not say where")
        found.append(Listening(TcpBind(_EVERY_V4, 80)))
    return found


def _read(report: Report, statement: Statement) -> Listening:
    text, *words = statement.arguments or ("",)
    address = _address(text)
    listening = Listening(address, statement=statement)
    for word in words:
        name = word.partition("=")[0]
        if word in ("default_server", "default"):
            listening.is_default = True
        elif word == "ipv6only=off" and address == TcpBind(_EVERY_V6, getattr(address, "port", 0)):
            listening.address = TcpBind("", address.port)
        elif word not in _IMPLIED and name not in _IMPLIED:
            report.leave_out(statement, _LOST.get(name, f"{word!r} is not known"))
        listening.is_tls = listening.is_tls or word == "ssl"
    return listening


def _address(text: str) -> Address:
    if text.startswith("unix:"):
        return UnixBind(text.removeprefix("unix:"))
    if text.isdecimal():
        text = f"*:{text}"
    elif not re.search(r":[0-9]+$", text.rpartition("]")[2]):
        text = f"{text}:80"
    try:
        bind = parse_bind(text)
    except ConfigError as error:
        raise Refused(str(error)) from error
    assert isinstance(bind, TcpBind)
    return bind if bind.host else TcpBind(_EVERY_V4, bind.port)


class Listeners:
    """All addresses of a configuration, by the names of their listeners."""

    def __init__(self, report: Report, servers: Sequence[Statement]) -> None:
        """Find where `servers` listen."""
        self._report = report
        self._of_server = [listening_of(report, server) for server in servers]
        self._join_families()
        self.names: dict[Address, str] = {}
        for listening in self._all():
            if listening.address not in self.names:
                self.names[listening.address] = self._name(listening.address)
        self._defaults = self._find_defaults()

    def _all(self) -> Iterable[Listening]:
        return (listening for each in self._of_server for listening in each)

    def _join_families(self) -> None:
        """Make one address of `0.0.0.0:80` and `[::]:80` where the same servers say the same of both."""
        ports = {each.address.port for each in self._all() if isinstance(each.address, TcpBind)}
        for port in ports:
            if self._said_of(TcpBind(_EVERY_V4, port)) != self._said_of(TcpBind(_EVERY_V6, port)):
                continue
            for number, each in enumerate(self._of_server):
                joined = [one for one in each if one.address != TcpBind(_EVERY_V6, port)]
                for one in joined:
                    if one.address == TcpBind(_EVERY_V4, port):
                        one.address = TcpBind("", port)
                self._of_server[number] = joined

    def _said_of(self, address: Address) -> list[tuple[int, bool]]:
        return [
            (number, one.is_default)
            for number, each in enumerate(self._of_server)
            for one in each
            if one.address == address
        ]

    def _name(self, address: Address) -> str:
        if isinstance(address, UnixBind):
            name = "unix" + _PLAIN.sub("_", address.path.lower().removesuffix(".sock"))
        else:
            name = _USUAL_NAMES.get(address.port, f"port_{address.port}")
            if address.host not in ("", _EVERY_V4):
                host = "ipv6" if address.host == _EVERY_V6 else address.host.lower()
                name += "_" + _PLAIN.sub("_", host).strip("_")
        taken = set(self.names.values())
        number = 2
        unique = name
        while unique in taken:
            unique = f"{name}_{number}"
            number += 1
        return unique

    def _find_defaults(self) -> dict[Address, int]:
        """Return the number of the server that is the default of each address: the one that says so, or the first."""
        defaults: dict[Address, int] = {}
        for number, each in enumerate(self._of_server):
            for one in each:
                defaults.setdefault(one.address, number)
        for number, each in enumerate(self._of_server):
            defaults.update({one.address: number for one in each if one.is_default})
        return defaults

    def names_of(self, number: int) -> list[str]:
        """Return the names of the listeners of the server `number`."""
        return list(dict.fromkeys(self.names[one.address] for one in self._of_server[number]))

    def speaks_tls(self, number: int) -> bool:
        """Whether the server `number` speaks TLS anywhere."""
        return any(one.is_tls for one in self._of_server[number])

    def is_default_somewhere(self, number: int) -> bool:
        """Whether the server `number` is the default of one of its addresses."""
        return number in self._defaults.values()

    def must_be_default(self, number: int) -> bool:
        """Whether chute has to be told that the server `number` is a default; reports what cannot be told."""
        asked = [one for one in self._of_server[number] if one.is_default]
        others = [
            one for one in self._of_server[number] if self._defaults.get(one.address) != number
        ]
        for one in asked if others else []:
            assert one.statement is not None
            where = self.names[others[0].address]
            self._report.leave_out(
                one.statement,
                f"chute's site would be the default of {where} too, which it is not in nginx",
            )
        return bool(asked) and not others

    def tables(self) -> dict[str, object]:
        """Return the listeners, as chute is told of them."""
        return {name: {"bind": str(address)} for address, name in self.names.items()}
