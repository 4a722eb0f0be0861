"""Where the answers of a site are noted: one log or several, all answers or some of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, NamedTuple

from chute.clock import Clock
from chute.exchange import Answered
from chute.middleware.access_log import AccessLog
from chute.variables.conditions import LogCondition

FAULTS: Final = 500
"""From this status on an answer is our fault, and is noted however small the sample is."""


class Entry(NamedTuple):
    """One log of a site.

    Attributes:
        log: where lines go; others may write to it too.
        condition: which answers are noted; None for all of them.
        sample: the part of them that is, from 0 to 1.
    """

    log: AccessLog
    condition: LogCondition | None = None
    sample: float = 1.0


class SiteJournal:
    """The logs of one site.

    Attributes:
        main: see `exchange.Journal`.
        is_silent: whether there is none.
    """

    __slots__ = ("_clock", "_entries", "is_silent", "main")

    def __init__(self, entries: Sequence[Entry], clock: Clock) -> None:
        """Note answers in `entries`.

        Args:
            entries: their logs belong to somebody else.
            clock: the engine's clock.
        """
        self._entries = tuple(entries)
        self._clock = clock
        self.is_silent = not self._entries
        self.main: AccessLog | None = None
        if len(self._entries) == 1:
            (entry,) = self._entries
            if entry.condition is None and entry.sample >= 1.0:
                self.main = entry.log

    def note(self, answered: Answered) -> None:
        """Add a line to each log that is for such an answer."""
        for log, condition, sample in self._entries:
            if sample < 1.0 and answered.status < FAULTS and random.random() >= sample:  # noqa: S311 - a sample
                continue
            if condition is None or condition(answered):
                line_format = log.format
                log.extend(
                    (
                        line_format.peer(answered.ends),
                        line_format.moment(self._clock.second),
                        line_format.rest(answered),
                    )
                )
