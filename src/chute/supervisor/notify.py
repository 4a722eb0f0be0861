"""Telling systemd how it goes (sd_notify(3)): one datagram to the socket that the environment names.

Where there is no such socket nothing is told, and nothing goes wrong if there is none any more.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

from chute.clock import monotonic_s

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"

_VARIABLE: Final = "NOTIFY_SOCKET"


def reloading() -> str:
    """Return what is told when a configuration is read again: systemd compares the time with that of its own signal."""
    return f"RELOADING=1\nMONOTONIC_USEC={int(monotonic_s() * 1_000_000)}"


def notify(state: str) -> None:
    """Tell `state` to whoever has started us, if they want to know."""
    address = os.environ.get(_VARIABLE, "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # a name that is in no file system (unix(7))
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.connect(address)
        sock.send(state.encode())
