"""The descriptions of tables and keys, read from the docstrings of their classes.

There is one text for each key: the manual, the JSON schema and the hints of `chute check` have it from here.
"""

from __future__ import annotations

import functools
import inspect
import re

_ATTRIBUTE = re.compile(r"    (\w+): (.*)")


@functools.cache
def describe(table: type) -> dict[str, str]:
    """Return the description of each key of `table`, those that it has from wider ones first."""
    found: dict[str, str] = {}
    for each in reversed(table.__mro__):
        if each.__doc__ and each.__module__ == table.__module__:
            found.update(_attributes_in(inspect.cleandoc(each.__doc__)))
    return found


def summary(table: type) -> str:
    """Return what `table` is, in one paragraph."""
    return " ".join(inspect.cleandoc(table.__doc__ or "").partition("\n\n")[0].split())


def _attributes_in(text: str) -> dict[str, str]:
    _, _, section = text.partition("Attributes:\n")
    found: dict[str, str] = {}
    key = ""
    for line in section.splitlines():
        match = _ATTRIBUTE.fullmatch(line)
        if match is not None:
            key = match[1]
            found[key] = match[2]
        elif key and line.strip():
            found[key] += f" {line.strip()}"
    return found
