"""chute: an HTTP server that serves files as fast as nginx, in pure Python.

Python decides, the kernel carries. `chute serve DIR` is the server. For programs that have sockets of their own there
are `chute.sendfile`, for blocking sockets in threads, and `chute.sock_sendfile`, for asyncio; both are described in
docs/sendfile.md.

Names are loaded when they are used first (PEP 562), so that a program that wants to send a file loads nothing of the
server.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chute.errors import (
        ChuteError,
        FileShrank,
        MisuseError,
        NotSendable,
        PeerGone,
        SendTimeout,
        TransferError,
    )
    from chute.transfer.aio import sock_sendfile
    from chute.transfer.arguments import Carried
    from chute.transfer.blocking import sendfile

__version__ = "0.1.0"

__all__ = [
    "Carried",
    "ChuteError",
    "FileShrank",
    "MisuseError",
    "NotSendable",
    "PeerGone",
    "SendTimeout",
    "TransferError",
    "__version__",
    "sendfile",
    "sock_sendfile",
]

_HOMES = {
    "Carried": "chute.transfer.arguments",
    "sendfile": "chute.transfer.blocking",
    "sock_sendfile": "chute.transfer.aio",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOMES.get(name, "chute.errors")), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
