"""The socket's side of the public functions: what can be sent to, and how to offer bytes to it.

A plain stream socket takes sendfile. A TLS socket of `ssl` does not (its bytes would leave unencrypted:
aio-libs/aiohttp#512), so content is copied through it. Nothing here changes a socket: neither its blocking mode nor its
time-out.

A program may close a socket while another of its threads or tasks sends to it, and the number of the descriptor may be
another's in the next moment. So a target holds a file object of the socket, which puts the closing off until it is let
go of (`socket.close` with `socket.makefile`): what is being sent goes on, and reaches nobody else.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Self

from chute.errors import NotSendable, TransferError
from chute.transfer.outbox import Outbox
from chute.transfer.progress import Progress
from chute.transfer.source import Piece

if TYPE_CHECKING:
    import ssl


class Target:
    """A plain stream socket, borrowed; a context manager that keeps its descriptor from being closed.

    Attributes:
        fd: its descriptor.
        copy_reason: why sendfile cannot reach it, or None.
        waits_for_input: whether it must be readable, and not writable, before it takes more; only TLS ever asks that.
    """

    copy_reason: bytes | None = None

    def __init__(self, sock: socket.socket) -> None:
        """Borrow `sock`."""
        self._socket = sock
        self._hold = sock.makefile("rb", buffering=0)
        self.fd = sock.fileno()
        self.waits_for_input = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the socket, which really closes it if the program has closed it meanwhile."""
        self._hold.close()

    def send(self, content: bytes | memoryview, flags: int) -> int:
        """Offer `content`; see `sending.Send`.

        By write(2), and not by `socket.send`, which would wait by itself for as long as the socket's own time-out says.
        """
        del flags  # one piece is all there is: nothing follows that could share its segment
        return os.write(self.fd, content)

    def flush(self, outbox: Outbox, budget: int) -> Progress:
        """Take one turn of `outbox`; see `Outbox.flush`.

        Raises:
            TransferError: what `Outbox.flush` raises; or the program has detached the socket meanwhile.
        """
        if self._socket.fileno() != self.fd:
            raise TransferError("the socket was detached while it was sent to", sent=outbox.sent)
        return outbox.flush(budget)

    def outbox_for(self, piece: Piece, *, may_wait: bool) -> Outbox:
        """Return an outbox with `piece` in it; acquires the file."""
        return Outbox(
            self.fd,
            self.send,
            (piece,),
            copy_reason=self.copy_reason,
            holds_unsent=self.copy_reason is not None,
            may_wait=may_wait,
        )


class TlsTarget(Target):
    """A TLS socket, borrowed."""

    copy_reason = b"tls"

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)

    def send(self, content: bytes | memoryview, flags: int) -> int:
        """Offer `content` to the TLS layer, which takes all of it or none."""
        import ssl  # noqa: PLC0415 - imported long ago, by whoever made the socket

        del flags
        self.waits_for_input = False
        try:
            return self._socket.send(content)
        except ssl.SSLWantWriteError:
            raise BlockingIOError from None
        except TimeoutError as error:
            if error.errno is not None:
                raise  # ETIMEDOUT: the kernel has given the peer up
            raise BlockingIOError from None
        except ssl.SSLWantReadError:
            self.waits_for_input = True
            raise BlockingIOError from None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise ConnectionResetError(errno.ECONNRESET, str(error)) from error
        except ssl.SSLError as error:
            # The number of such an error is OpenSSL's, and would be taken for one of errno's.
            raise OSError(errno.EPROTO, str(error)) from error


def target_for(sock: socket.socket) -> Target:
    """Return `sock` as a target.

    Raises:
        NotSendable: it is no stream socket, or it is closed.
    """
    if not isinstance(sock, socket.socket):
        raise NotSendable(f"{sock!r} is no socket that files can be sent to")
    if sock.fileno() < 0:
        raise NotSendable("the socket is closed")
    if sock.type != socket.SOCK_STREAM:
        raise NotSendable(f"files can be sent over stream sockets only, and this is {sock.type!r}")
    tls = sys.modules.get("ssl")  # a socket of that kind cannot exist before its module does
    if tls is not None and isinstance(sock, tls.SSLSocket):
        return TlsTarget(sock)
    return Target(sock)
