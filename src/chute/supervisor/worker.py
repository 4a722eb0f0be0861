"""One serving process: an asyncio loop with one engine in it, until a signal ends it."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence

from chute.compose.serving import Composed
from chute.compose.shared import Shared
from chute.config.model import Config


def run_worker(
    config: Config,
    shared: Shared,
    sockets: Sequence[Sequence[socket.socket]],
    *,
    on_ready: Callable[[], None] | None = None,
    parent_alive_fd: int | None = None,
) -> None:
    """Serve at `sockets` until SIGTERM or SIGINT, when answers on their way are cut, or SIGQUIT, when they are awaited.

    SIGUSR1 has the logs opened anew.

    Args:
        config: what to serve.
        shared: what the workers share.
        sockets: listening sockets of this worker, for each listener in order; taken over.
        on_ready: called when requests are answered and signals are heeded.
        parent_alive_fd: the reading end of a pipe that the parent holds; its end means that the parent is gone.

    Raises:
        ConfigError: something that the configuration names cannot be opened.
    """
    asyncio.run(_serve(config, shared, sockets, on_ready, parent_alive_fd))


async def _serve(
    config: Config,
    shared: Shared,
    sockets: Sequence[Sequence[socket.socket]],
    on_ready: Callable[[], None] | None,
    parent_alive_fd: int | None,
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if parent_alive_fd is not None:
        loop.add_reader(parent_alive_fd, stopped.set)
    composed = Composed(config, shared)
    loop.add_signal_handler(signal.SIGQUIT, composed.drain, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, composed.reopen_logs)
    try:
        composed.start(sockets)
        if on_ready is not None:
            on_ready()
        await stopped.wait()
    finally:
        if parent_alive_fd is not None:
            loop.remove_reader(parent_alive_fd)
        # We are ending: another signal tells us nothing, and asyncio would complain of one that comes while it closes.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)
        composed.stop()
