"""Listening sockets: opened once, by the parent, before anything else happens.

With several workers each gets a TCP socket of its own on the same port (`SO_REUSEPORT`), and the kernel spreads new
connections over them. Unix sockets and inherited ones are shared: every worker waits on the same queue, exclusively,
so that one connection wakes one worker.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat

from chute.config.bind import Bind, FdBind, TcpBind, UnixBind
from chute.config.model import Listener
from chute.engine.limits import LISTEN_BACKLOG
from chute.errors import ConfigError


class Listening:
    """The sockets of one bind.

    Attributes:
        asked: what was asked for.
        bind: the address, with the real port where 0 was asked for.
        sockets: one per worker, or more; the same object repeated where workers share a queue.
    """

    __slots__ = ("_name_identity", "asked", "bind", "sockets")

    def __init__(self, asked: Listener, bind: Bind, sockets: list[socket.socket]) -> None:
        self.asked = asked
        self.bind = bind
        self.sockets = sockets
        self._name_identity = _identity(bind.path) if isinstance(bind, UnixBind) else None

    def grow(self, workers: int) -> None:
        """Have sockets for `workers` at least.

        Raises:
            ConfigError: the address cannot be shared by more.
        """
        while len(self.sockets) < workers:
            self.sockets.append(self._another())

    def _another(self) -> socket.socket:
        first = self.sockets[0]
        if not isinstance(self.bind, TcpBind) or not _shares_port(first):
            return first
        family, address = first.family, first.getsockname()[:2]
        sock = _bind_tcp(self.bind, family, address, shares_port=True)
        sock.listen(LISTEN_BACKLOG)
        return sock

    def shrink(self, count: int) -> None:
        """Close the sockets beyond the first `count`, which nobody accepts from."""
        kept, rest = self.sockets[:count], self.sockets[count:]
        self.sockets = kept
        for sock in rest:
            if sock not in kept:
                sock.close()

    def close(self) -> None:
        """Close every socket, and remove the name of a Unix one if it still is ours."""
        for sock in self.sockets:
            sock.close()
        if isinstance(self.bind, UnixBind) and _identity(self.bind.path) == self._name_identity:
            with contextlib.suppress(OSError):
                os.unlink(self.bind.path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


def _shares_port(sock: socket.socket) -> bool:
    return hasattr(socket, "SO_REUSEPORT") and bool(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    )


def open_listening(listener: Listener, workers: int) -> Listening:
    """Open the sockets of `listener` for `workers` processes.

    With more than one, a TCP port is shared by a socket for each; more can be added later (`Listening.grow`).

    Raises:
        ConfigError: the address is in use, not ours, or not permitted.
    """
    bind = listener.bind
    match bind:
        case TcpBind():
            return _open_tcp(listener, bind, workers)
        case UnixBind():
            sock = _open_unix(bind, listener.mode, listener.owner)
            return Listening(listener, bind, [sock] * workers)
        case FdBind():
            return Listening(listener, bind, [_adopt(bind)] * workers)


def _open_tcp(listener: Listener, bind: TcpBind, workers: int) -> Listening:
    family, address = _resolve(bind)
    shares_port = workers > 1 and hasattr(socket, "SO_REUSEPORT")
    if shares_port and bind.port != 0:
        # A port that another server of this user shares would be shared with us, silently. Asking once without
        # SO_REUSEPORT finds that out.
        _bind_tcp(bind, family, address, shares_port=False).close()
    first = _bind_tcp(bind, family, address, shares_port=shares_port)
    port = first.getsockname()[1]
    real = TcpBind(bind.host, port)
    address = (address[0], port)
    sockets = [first] * workers
    if shares_port:
        others = (_bind_tcp(real, family, address, shares_port=True) for _ in range(workers - 1))
        sockets = [first, *others]
    for sock in sockets:
        sock.listen(LISTEN_BACKLOG)
    return Listening(listener, real, sockets)


def _resolve(bind: TcpBind) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if not bind.host:
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        return family, ("::" if family == socket.AF_INET6 else "0.0.0.0", bind.port)  # noqa: S104 - asked for
    try:
        found = socket.getaddrinfo(
            bind.host, bind.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (socket.gaierror, UnicodeError) as error:
        raise ConfigError(
            f"cannot listen at {bind}: no address is known for {bind.host!r}",
            hint="use an address of this machine, for example 127.0.0.1",
        ) from error
    # "localhost" may come back as ::1 first; people expect the address that they know.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    family, _, _, _, address = found[0]
    return family, (str(address[0]), bind.port)


def _bind_tcp(
    bind: TcpBind, family: socket.AddressFamily, address: tuple[str, int], *, shares_port: bool
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(bool(bind.host)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise _explain(error, bind) from error
    return sock


def _open_unix(bind: UnixBind, mode: int | None, owner: tuple[int, int]) -> socket.socket:
    try:
        status = os.lstat(bind.path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _explain(error, bind) from error
    else:
        _clear_away(bind, status)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(bind.path)
        # Before anybody is let in; connecting takes the permission to write (unix(7)).
        if owner != (-1, -1):
            os.chown(bind.path, *owner)
        if mode is not None:
            os.chmod(bind.path, mode)
        sock.listen(LISTEN_BACKLOG)
    except OSError as error:
        sock.close()
        raise _explain(error, bind) from error
    return sock


def _clear_away(bind: UnixBind, status: os.stat_result) -> None:
    """Remove a socket that nobody listens at any more; refuse to touch anything else (a link, too: T37)."""
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError(
            f"cannot listen at {bind}: something else has that name",
            hint="choose another path, or remove what is there",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(bind.path)
        except ConnectionRefusedError:
            os.unlink(bind.path)
            return
        except BlockingIOError:
            pass  # its queue is full, so there is one
        except OSError as error:
            raise _explain(error, bind) from error
    raise ConfigError(f"cannot listen at {bind}: a server is listening there already")


def _adopt(bind: FdBind) -> socket.socket:
    try:
        sock = socket.socket(fileno=bind.fd)
    except OSError as error:
        raise _explain(error, bind) from error
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        sock.detach()
        raise ConfigError(
            f"cannot listen at {bind}: the descriptor is no listening socket",
            hint="whoever starts chute must call listen() on it",
        )
    if sock.family != getattr(socket, "AF_UNIX", None):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _explain(error: OSError, bind: Bind) -> ConfigError:
    hint = ""
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        reason = "the address is in use"
        if isinstance(bind, TcpBind):
            hint = f"stop the other server, or try --bind {TcpBind(bind.host, bind.port + 1)}"
    elif error.errno in (errno.EACCES, errno.EPERM):
        hint = "ports below 1024 need a privilege; try one from 8000 up"
        if isinstance(bind, UnixBind):
            hint = "choose a folder that this user may write to"
    elif error.errno == errno.EADDRNOTAVAIL:
        hint = "use an address of this machine, or :PORT for all of them"
    elif error.errno == errno.ENOENT:
        hint = "the folder of the socket must exist"
    return ConfigError(f"cannot listen at {bind}: {reason}", hint=hint)
