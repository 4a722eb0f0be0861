"""A server and everything that it was composed of."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence

from chute import collection
from chute.clock import Clock
from chute.compose.folders import Folders
from chute.compose.shared import Shared
from chute.compose.sites import Built, SitesBuilder, announced_names
from chute.config.model import Config
from chute.engine.server import Server
from chute.engine.service import Service
from chute.engine.tally import Tally
from chute.middleware.access_log import AccessLogs

logger = logging.getLogger("chute")


class Generation:
    """What was built from one configuration; building it succeeds whole, or leaves nothing behind.

    Attributes:
        built: what answers, for each listener in order.
        folders: what is served.
        logs: where answers are noted.
    """

    def __init__(self, config: Config, clock: Clock, shared: Shared) -> None:
        """Build what `config` describes.

        Args:
            config: what to serve.
            clock: the engine's clock.
            shared: what the workers share; stays the caller's.

        Raises:
            ConfigError: a folder or a log cannot be opened.
        """
        names = announced_names(config)
        self.folders = Folders(clock, shared, names)
        self.logs = AccessLogs()
        self.built: list[Built] = []
        try:
            with collection.paused():
                builder = SitesBuilder(config, names, clock, self.folders, self.logs)
                for listener in config.listeners:
                    self.built.append(builder.build(listener.name))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release everything. Idempotent."""
        self.folders.close()
        self.logs.close()


class Composed:
    """A server and everything it was composed of; made in the worker, for one event loop."""

    def __init__(self, config: Config, shared: Shared) -> None:
        """Build what `config` describes; must be called inside a running asyncio loop.

        Args:
            config: what to serve.
            shared: what the workers share; stays the caller's.

        Raises:
            ConfigError: a folder or a log cannot be opened.
        """
        self._config = config
        self._clock = clock = Clock()
        self._generation = generation = Generation(config, clock, shared)
        self._tally = Tally()
        self._server = Server(
            clock,
            portable=config.poller == "portable",
            logs=generation.logs,
            sweep=generation.folders.sweep,
            on_exhausted=generation.folders.give_back_descriptors,
        )

    def start(self, sockets: Sequence[Sequence[socket.socket]]) -> None:
        """Serve at listening `sockets`, some for each listener of the configuration, which are taken over.

        Each listener has a plan cache of its own.
        """
        served: list[tuple[socket.socket, Service]] = []
        for of_listener, built in zip(sockets, self._generation.built, strict=True):
            service = self._make_service(built)
            served.extend((sock, service) for sock in of_listener)
        self._server.start(served)

    def drain(self, on_drained: Callable[[], None]) -> None:
        """Accept no more, and let what is on its way end, as long as `shutdown_timeout`; then call `on_drained`."""

        def on_server_drained(cut: int) -> None:
            if cut:
                logger.warning("%d connections did not end in time and are cut", cut)
            on_drained()

        self._server.drain(self._config.shutdown_timeout_s, on_server_drained)

    def reopen_logs(self) -> None:
        """Write to the files that the names of the logs lead to now: the old ones were moved away."""
        self._generation.logs.reopen()

    def stop(self) -> None:
        """Close everything, and say how much was carried."""
        self._server.stop()
        if self._tally.answers:
            logger.info("answers: %s", self._tally)
        self._generation.close()

    def _make_service(self, built: Built) -> Service:
        return Service(
            built.handler,
            built.depends_on,
            self._clock,
            self._config.limits,
            built.journal,
            self._tally,
            line_format=built.line_format,
            debug_headers=self._config.debug_headers,
        )
