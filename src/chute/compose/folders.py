"""The static handlers of one process: one for each set of options, made when it is first needed.

A configuration may have thousands of folders, most of which nobody asks for in the life of a process. A folder was
looked at when the configuration was checked; it is opened for the first request that leads to it. Where there are
only a few, all of them are opened at once, so that a fault shows at the start.
"""

from __future__ import annotations

import logging
from typing import Final

from chute.clock import Clock
from chute.compose.shared import Shared
from chute.errors import ConfigError
from chute.exchange import Handler, Outcome, Request, failure
from chute.static.handler import StaticHandler
from chute.static.options import StaticOptions
from chute.variables.names import Names

logger = logging.getLogger("chute")

OPENED_AT_ONCE_MAX: Final = 32


class _Folder:
    """A handler that is made for its first request."""

    __slots__ = ("_folders", "_options", "_static")

    def __init__(self, folders: Folders, options: StaticOptions) -> None:
        self._folders = folders
        self._options = options
        self._static: StaticHandler | None = None

    def handle(self, request: Request) -> Outcome:
        if self._static is None:
            try:
                self._static = self._folders.open(self._options)
            except ConfigError as error:
                logger.error("%s", error)  # noqa: TRY400 - the operator's, not ours
                return failure(503, "What is served here cannot be opened at the moment.")
        return self._static.handle(request)


class Folders:
    """Every folder that is served."""

    def __init__(self, clock: Clock, shared: Shared, names: Names) -> None:
        """Serve none yet.

        Args:
            clock: the engine's clock.
            shared: what the workers share.
            names: what variables there are.
        """
        self._names = names
        self._clock = clock
        self._shared = shared
        self._handlers: dict[StaticOptions, Handler] = {}
        self._opened: list[StaticHandler] = []

    def handler(self, options: StaticOptions) -> Handler:
        """Return the handler for `options`.

        Raises:
            ConfigError: the folder cannot be opened.
        """
        known = self._handlers.get(options)
        if known is None:
            if len(self._opened) < OPENED_AT_ONCE_MAX:
                known = self.open(options).handle
            else:
                known = _Folder(self, options).handle
            self._handlers[options] = known
        return known

    def open(self, options: StaticOptions) -> StaticHandler:
        """Open a folder.

        Raises:
            ConfigError: it cannot be opened.
        """
        ledger = self._shared.ledger_of(options)
        static = StaticHandler(options, self._clock, ledger, self._names)
        self._opened.append(static)
        return static

    def sweep(self) -> None:
        """Give back files that have not been used lately; called on a timer."""
        for static in self._opened:
            static.sweep()

    def give_back_descriptors(self) -> None:
        """Close every file that is not being sent: the process has run out of descriptors."""
        for static in self._opened:
            static.give_back_descriptors()

    def close(self) -> None:
        """Release everything. Idempotent."""
        for static in self._opened:
            static.close()
        self._opened.clear()
        self._handlers.clear()
