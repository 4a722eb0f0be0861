"""One configuration as it is served: its sockets, and what its workers share.

When a configuration takes the place of another, sockets that both have are handed on: with them goes the queue of those
who have connected and have not been accepted, so nobody is turned away.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

from chute.compose.shared import Shared
from chute.config.model import Config
from chute.supervisor.sockets import Listening, open_listening


class Generation:
    """One configuration, and the sockets that it listens at.

    Attributes:
        number: counts them.
        config: the configuration.
        shared: what its workers share.
        listening: the sockets, for each listener in order.
    """

    def __init__(self, number: int, config: Config, earlier: Generation | None = None) -> None:
        """Open what `config` listens at, or take it over from `earlier`.

        Args:
            number: of this generation.
            config: the configuration.
            earlier: the one that it is to take the place of; stays as it is until `retire`.

        Raises:
            ConfigError: an address cannot be listened at; what was opened is closed again.
        """
        self.number = number
        self.config = config
        self.listening: list[Listening] = []
        known = {each.asked: each for each in (earlier.listening if earlier is not None else ())}
        self._opened: list[Listening] = []
        self._grown: list[tuple[Listening, int]] = []
        try:
            for listener in config.listeners:
                found = known.get(listener)
                if found is None:
                    found = open_listening(listener, config.workers)
                    self._opened.append(found)
                else:
                    self._grown.append((found, len(found.sockets)))
                    found.grow(config.workers)
                self.listening.append(found)
        except BaseException:
            self._give_back()
            raise
        self.shared = Shared(config)

    def sockets_of(self, slot: int) -> list[list[socket.socket]]:
        """Return the sockets of a worker, for each listener in order.

        Each socket has one worker, and there are as many as there have ever been workers: closing one would turn away
        who has connected to it and has not been accepted.
        """
        workers = self.config.workers
        return [list(dict.fromkeys(each.sockets[slot::workers])) for each in self.listening]

    def close_others(self, slot: int, also: Sequence[Listening]) -> None:
        """Close all sockets but those of `slot`, in the worker: its own ones must end when it does.

        Args:
            slot: of the worker.
            also: sockets of another generation.
        """
        mine = [sock for sockets in self.sockets_of(slot) for sock in sockets]
        for each in (*self.listening, *also):
            for sock in each.sockets:
                if sock not in mine:
                    sock.close()

    def retire(self, successor: Generation) -> None:
        """Give back what `successor` does not use."""
        for each in self.listening:
            if each not in successor.listening:
                each.close()
        self.shared.close()

    def abandon(self) -> None:
        """Give back what this generation has added: the earlier one goes on.

        A socket without a worker must not stay open: the kernel would give it its share of the connections.
        """
        self._give_back()
        self.shared.close()

    def _give_back(self) -> None:
        for each in self._opened:
            each.close()
        for each, workers in self._grown:
            each.shrink(workers)

    def close(self) -> None:
        """Close everything, and remove the names of Unix sockets."""
        for each in self.listening:
            each.close()
        self.shared.close()
