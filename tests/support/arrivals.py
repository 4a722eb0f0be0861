"""File systems that lack what uploads would like to have, calls that fail, and works that are done at once."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable

import pytest

WAYS = ("unnamed", "without procfs", "hidden", "without hard links")

real_open = os.open


def refuse_unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(path: bytes, flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no unnamed files")
        return real_open(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refusing)


def refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links")

    monkeypatch.setattr(os, "link", refusing)


def fail_once(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> Callable[[], bool]:
    """Let the next call of `os.<name>` raise `number`; return a function that tells whether it did."""
    real = getattr(os, name)
    left = [number]

    def failing(*arguments: object, **options: object) -> object:
        if left:
            raise OSError(left[0], os.strerror(left.pop()))
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, failing)
    return lambda: not left


def in_threads(*works: Callable[[], object]) -> list[object]:
    """Do all of these at once; return what they returned or raised."""
    outcomes: list[object] = [None] * len(works)
    start = threading.Barrier(len(works))

    def perform(number: int) -> None:
        start.wait(10)
        try:
            outcomes[number] = works[number]()
        except Exception as error:  # noqa: BLE001 - it is the outcome
            outcomes[number] = error

    threads = [threading.Thread(target=perform, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return outcomes
