"""How many answers were carried, how, and how many bytes they came to: counters of one worker.

The two usual methods have counters of their own, so that the hot path looks nothing up.
"""

from __future__ import annotations

from chute.transfer.carrier import BUFFER, SENDFILE

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Amount:
    """Answers of one kind.

    Attributes:
        answers: how many, complete or not.
        bytes: of heads and content, as far as the kernel accepted them.
    """

    __slots__ = ("answers", "bytes")

    def __init__(self) -> None:
        self.answers = 0
        self.bytes = 0


class Tally:
    """Amounts by how they were carried.

    Attributes:
        buffer: answers that left from memory.
        sendfile: answers whose file content was carried by sendfile(2).
        by_method: all amounts, by the name that the access log has for the method.
    """

    __slots__ = ("buffer", "by_method", "sendfile")

    def __init__(self) -> None:
        self.buffer = Amount()
        self.sendfile = Amount()
        self.by_method = {BUFFER: self.buffer, SENDFILE: self.sendfile}

    def note(self, carried: bytes, sent: int) -> None:
        """Count an answer of which `sent` bytes have left."""
        amount = self.by_method.get(carried)
        if amount is None:
            amount = self.by_method[carried] = Amount()
        amount.answers += 1
        amount.bytes += sent

    def __str__(self) -> str:
        methods = [
            f"{amount.answers} by {method.decode()} ({readable_bytes(amount.bytes)})"
            for method, amount in self.by_method.items()
            if amount.answers
        ]
        return ", ".join(methods) or "none"

    @property
    def answers(self) -> int:
        """All answers."""
        return sum(amount.answers for amount in self.by_method.values())


def readable_bytes(count: int) -> str:
    """Return `count` in the largest unit that it fills, with one decimal."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1024 or unit == _UNITS[-1]:
            return f"{amount:.1f} {unit}" if unit != "bytes" else f"{count} bytes"
        amount /= 1024
    raise AssertionError("the last unit takes everything")
