"""What a person sees when the server starts: addresses to click, and what is behind them.

Goes to standard error, because standard output may carry the access log. On a terminal it is a panel; elsewhere (a
file, a pipe, systemd) it is one line per address, so that a script can wait for it and no line is ever wrapped.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from chute import __version__
from chute.cli.qr_code import render_qr_code
from chute.cli.sizes import shown
from chute.config.bind import Bind, TcpBind
from chute.config.model import Config
from chute.static.options import StaticOptions, UploadOptions
from chute.supervisor.sockets import Listening


def show_panel(config: Config, listening: Sequence[Listening]) -> None:
    """Say what is served, and where; that nobody can read it is no reason not to serve."""
    with contextlib.suppress(OSError):
        _show(config, listening)


def _show(config: Config, listening: Sequence[Listening]) -> None:
    addresses = [address for each in listening for address in addresses_of(each.bind)]
    served = what_is_served(config)
    workers = f"{config.workers} worker{'s' if config.workers > 1 else ''}"
    if not sys.stderr.isatty():
        for address in addresses:
            print(f"chute {__version__} serves {served} at {address} ({workers})", file=sys.stderr)
        sys.stderr.flush()
        return
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right")
    rows.add_column(overflow="fold")
    rows.add_row("serves", Text(served))
    for address in addresses:
        rows.add_row(
            "at", Text(address, style=f"bold cyan link {address}" if "://" in address else "bold")
        )
    rows.add_row("with", Text(workers))
    for uploads in _uploads(config):
        rows.add_row("takes", Text(f"uploads of up to {shown(uploads.content_bytes_max)}"))
    rows.add_row("stop", Text("Ctrl-C"))
    phone = address_for_a_phone(addresses)
    if phone is not None:
        rows.add_row("", "")
        rows.add_row("scan", render_qr_code(phone))
    title = f"[bold]chute[/] {__version__}"
    Console(stderr=True).print(
        Panel(rows, title=title, title_align="left", expand=False, padding=(1, 3))
    )


def what_is_served(config: Config) -> str:
    """Return the one folder or file that is served, or how many sites there are."""
    site = config.sites[0]
    action = site.locations[0].action if site.locations else site.rest.action
    if len(config.sites) == 1 and isinstance(action, StaticOptions):
        return action.root if action.only is None else os.path.join(action.root, action.only)
    count = len(config.sites)
    return f"{count} site{'s' if count > 1 else ''}"


def _uploads(config: Config) -> list[UploadOptions]:
    """Return how files are received, each way once."""
    found: list[UploadOptions] = []
    for location in config.all_locations():
        action = location.action
        if isinstance(action, StaticOptions) and action.uploads not in (None, *found):
            assert action.uploads is not None
            found.append(action.uploads)
    return found


def address_for_a_phone(addresses: Sequence[str]) -> str | None:
    """Return the first of `addresses` that another device in the network can reach, or None."""
    for address in addresses:
        host = urlsplit(address).hostname
        if host is None or host == "localhost":
            continue
        try:
            if not ipaddress.ip_address(host).is_loopback:
                return address
        except ValueError:
            return address
    return None


def addresses_of(bind: Bind) -> list[str]:
    """Return what to type into a browser to reach `bind`; for a Unix socket or a descriptor, its own name."""
    if not isinstance(bind, TcpBind):
        return [str(bind)]
    is_everywhere = bind.host in ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound
    hosts = ["127.0.0.1", *_own_addresses()] if is_everywhere else [bind.host]
    return [f"http://{TcpBind(host, bind.port)}/" for host in hosts]


def _own_addresses() -> list[str]:
    """Return this machine's address in its network, if it has one.

    Connecting a datagram socket sends nothing; it only makes the kernel choose a source address. 192.0.2.1 is
    reserved for documentation (RFC 5737), so nobody is there.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            address = str(probe.getsockname()[0])
        except OSError:
            return []
    return [] if address.startswith("127.") else [address]
