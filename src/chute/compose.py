"""The only place that knows all parts: a configuration becomes a running server."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

from chute.clock import Clock
from chute.config.model import LOG_OFF, Config
from chute.engine.server import Server
from chute.engine.service import Service
from chute.engine.tally import Tally
from chute.middleware.access_log import AccessLog, CombinedFormat, JsonFormat
from chute.middleware.log_file import LogFile
from chute.static.handler import DEPENDS_ON, StaticHandler

logger = logging.getLogger("chute")


class Composed:
    """A server and everything it was composed of; made in the worker, for one event loop."""

    def __init__(self, config: Config) -> None:
        """Build what `config` describes; must be called inside a running asyncio loop.

        Raises:
            ConfigError: the folder or the log cannot be opened.
        """
        self._config = config
        self._clock = clock = Clock()
        self._static = StaticHandler(config.static, clock)
        self._access_log = _open_access_log(config)
        self._tally = Tally()
        self._server = Server(
            clock,
            portable=config.poller == "portable",
            access_log=self._access_log,
            sweep=self._static.sweep,
            on_exhausted=self._static.give_back_descriptors,
        )

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve at listening `sockets`, which are taken over. Each listener has a plan cache of its own."""
        self._server.start([(sock, self._make_service()) for sock in sockets])

    def stop(self) -> None:
        """Close everything, and say how much was carried."""
        self._server.stop()
        if self._tally.answers:
            logger.info("answers: %s", self._tally)
        self._static.close()
        if self._access_log is not None:
            self._access_log.close()

    def _make_service(self) -> Service:
        config = self._config
        return Service(
            self._static.handle,
            DEPENDS_ON,
            self._clock,
            config.limits,
            self._access_log,
            self._tally,
            debug_headers=config.debug_headers,
        )


def _open_access_log(config: Config) -> AccessLog | None:
    if config.access_log == LOG_OFF:
        return None
    line_format = JsonFormat() if config.log_format == "json" else CombinedFormat()
    return AccessLog(line_format, LogFile(config.access_log))
