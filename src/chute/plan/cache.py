"""A bounded dictionary of things that were worth preparing.

Two generations stand in for a list in order of use, as in `files.open_files`: a look-up that hits the young one costs
one dictionary access and moves nothing. When the young one has reached half of a bound it becomes the old one, and
the old one is dropped; what is still used comes back on its next look-up.

Admission is on second sight: the first time a key is offered only its hash is noted, so a stream of unique heads (a
cookie or a query that never repeats) fills a small set of integers and evicts nothing. Two keys of one hash merely
admit the second one early.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class TwoGenerationCache(Generic[Key, Value]):
    """A cache bounded in entries and in bytes.

    Attributes:
        young: the dictionary to look into first; hot callers do so themselves and call `find_old` on a miss.
            It is another one after the generations have turned, so it must not be kept.
    """

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_entries_max",
        "_old",
        "_seen",
        "_seen_before",
        "young",
    )

    def __init__(self, *, entries_max: int, bytes_max: int) -> None:
        """Make an empty cache.

        Args:
            entries_max: bound on entries, both generations together.
            bytes_max: bound on the sum of the costs given to `admit`, both generations together.
        """
        self.young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._bytes = 0
        self._entries_max = max(1, entries_max // 2)
        self._bytes_max = bytes_max // 2
        self._seen: set[int] = set()
        self._seen_before: set[int] = set()

    def find_old(self, key: Key) -> Value | None:
        """Look into the old generation, after `young` had no answer."""
        return self._old.get(key)

    def offer(self, key: Key, value: Value, cost_bytes: int) -> bool:
        """Admit `value` if its key was offered before; otherwise note that it was seen.

        Returns:
            Whether the value is in the cache now.
        """
        mark = hash(key)
        if mark not in self._seen and mark not in self._seen_before:
            if len(self._seen) >= self._entries_max:
                self._seen_before, self._seen = self._seen, set()
            self._seen.add(mark)
            return False
        self.admit(key, value, cost_bytes)
        return True

    def admit(self, key: Key, value: Value, cost_bytes: int) -> None:
        """Put `value` into the young generation, turning the generations when it is full."""
        if len(self.young) >= self._entries_max or self._bytes + cost_bytes > self._bytes_max:
            self._old, self.young = self.young, {}
            self._bytes = 0
            if cost_bytes > self._bytes_max:
                return
        self._old.pop(key, None)
        self.young[key] = value
        self._bytes += cost_bytes

    def discard(self, key: Key) -> None:
        """Remove `key`, wherever it is. Its cost stays counted until the generations turn."""
        self.young.pop(key, None)
        self._old.pop(key, None)

    def clear(self) -> None:
        """Drop everything: the rules by which it was made have changed."""
        self.young.clear()
        self._old.clear()
        self._seen.clear()
        self._seen_before.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.young) + len(self._old)
