"""What the tables of a document say about themselves: their keys, where they stand, and what can be written there.

The docstrings of `document` are the only text there is about a key. What a mistake is answered with, the manual and the
schema for editors are all made of what is read here, so that they can never say different things.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import msgspec
from msgspec.inspect import (
    BoolType,
    CustomType,
    DictType,
    FloatType,
    IntType,
    LiteralType,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
)

from chute.config.document import Document

REQUIRED = "required: "
"""How the description of a key begins that cannot be left out."""

ANY_NAME = "NAME"
"""Stands for the name that a user gives to a table."""

_ENTRY = re.compile(r"    (?P<key>\w+): (?P<text>.*)")

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

_SENTENCE_END = re.compile(r"\.(?:\s|$)")


@cache
def describe(table: type) -> dict[str, str]:
    """Return what the docstrings of `table`, and of what it is derived from, say about each key."""
    found: dict[str, str] = {}
    for each in reversed(table.__mro__):
        found.update(_attributes(each))
    return found


def summary(table: type) -> str:
    """Return what `table` is, in a sentence or two."""
    text = inspect.cleandoc(table.__doc__ or "")
    return " ".join(text.partition("\nAttributes:")[0].split())


@cache
def _attributes(table: type) -> dict[str, str]:
    """Return the `Attributes:` section of one class."""
    text = inspect.cleandoc(table.__dict__.get("__doc__") or "")
    found: dict[str, str] = {}
    key = ""
    for line in text.partition("\nAttributes:\n")[2].splitlines():
        entry = _ENTRY.fullmatch(line)
        if entry is not None:
            key = entry["key"]
            found[key] = entry["text"]
        elif key:
            found[key] += f" {line.strip()}"
    return {key: text.strip().removesuffix(".") for key, text in found.items()}


# ------------------------------------------------------------------ keys


class Key(NamedTuple):
    """A key of a table.

    Attributes:
        name: as it is written.
        kinds: what it can be set to: one of these.
        is_required: whether it must be.
        text: what it means.
        is_inherited: whether it comes from a wider kind of table.
    """

    name: str
    kinds: tuple[Type, ...]
    is_required: bool
    text: str
    is_inherited: bool

    @property
    def first_sentence(self) -> str:
        """What it means, without the rest."""
        return _SENTENCE_END.split(self.text, maxsplit=1)[0]


@cache
def keys_of(table: type[msgspec.Struct]) -> dict[str, Key]:
    """Return the keys of `table`, by name, in the order of the docstrings; those that it inherits come last."""
    info = msgspec.inspect.type_info(table)
    if not isinstance(info, StructType):
        raise TypeError(table)
    fields = {field.name: field for field in info.fields}
    texts = describe(table)
    own = _attributes(table)
    keys = {}
    for name in (*own, *(each for each in texts if each not in own)):
        keys[name] = Key(
            name=name,
            kinds=alternatives(fields[name].type),
            is_required=fields[name].required,
            text=texts[name].removeprefix(REQUIRED),
            is_inherited=name not in own,
        )
    return keys


def alternatives(kind: Type) -> tuple[Type, ...]:
    """Return what a value of `kind` can be, one by one. None is nothing that TOML could say."""
    each = kind.types if isinstance(kind, UnionType) else (kind,)
    return tuple(one for one in each if not isinstance(one, NoneType))


# ------------------------------------------------------------------ where tables stand


class Place(NamedTuple):
    """Where a kind of table stands in a document.

    Attributes:
        path: the keys that lead there.
        is_repeated: whether it is one of an array of tables.
        table: what stands there.
    """

    path: tuple[str, ...]
    is_repeated: bool
    table: type[msgspec.Struct]

    @property
    def header(self) -> str:
        """How the table begins: `[[site.location]]`; empty for what stands before all tables."""
        return show_header(self.path, is_repeated=self.is_repeated)


def show_header(path: Sequence[str], *, is_repeated: bool = False) -> str:
    """Return how a table at `path` begins in a file; empty if `path` is."""
    if not path:
        return ""
    steps = (step if _BARE_KEY.fullmatch(step) else f"'{step}'" for step in path)
    header = f"[{'.'.join(steps)}]"
    return f"[{header}]" if is_repeated else header


def places_in(key: Key, path: tuple[str, ...]) -> Iterator[Place]:
    """Return the kinds of tables that `key` can hold, a key of the table at `path`."""
    for kind in key.kinds:
        if isinstance(kind, StructType):
            yield Place((*path, key.name), is_repeated=False, table=kind.cls)
        elif isinstance(kind, VarTupleType) and isinstance(kind.item_type, StructType):
            yield Place((*path, key.name), is_repeated=True, table=kind.item_type.cls)
        elif isinstance(kind, DictType):
            for each in alternatives(kind.value_type):
                if isinstance(each, StructType):
                    yield Place((*path, key.name, ANY_NAME), is_repeated=False, table=each.cls)


@cache
def places() -> tuple[Place, ...]:
    """Return every place of a document where a table stands, in order; no table again within itself."""
    return tuple(_places_beneath(Place((), is_repeated=False, table=Document), ()))


def _places_beneath(place: Place, above: tuple[type, ...]) -> Iterator[Place]:
    yield place
    for key in keys_of(place.table).values():
        for inner in places_in(key, place.path):
            if inner.table not in (*above, place.table):
                yield from _places_beneath(inner, (*above, place.table))


def first_places() -> tuple[Place, ...]:
    """Return for every kind of table the place where it stands first."""
    first: dict[type, Place] = {}
    for place in places():
        first.setdefault(place.table, place)
    return tuple(first.values())


# ------------------------------------------------------------------ kinds of values in words


def any_of(words: Sequence[str]) -> str:
    """Return `a, b or c`."""
    return " or ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def in_words(kinds: Sequence[Type], *, quote: str = "") -> str:
    """Return what a value of one of `kinds` is called: `a string or an array of tables`.

    Args:
        kinds: at least one.
        quote: put around what is to be written literally.
    """
    return any_of([word for kind in kinds for word in _words(kind, quote)])


def _words(kind: Type, quote: str) -> list[str]:
    if isinstance(kind, LiteralType):
        return [f'{quote}"{value}"{quote}' for value in kind.values]
    if isinstance(kind, CustomType):
        return [f"a {kind.cls.__name__.lower()}"]
    if isinstance(kind, BoolType):
        return [f"{quote}{value}{quote}" for value in ("true", "false")]
    if isinstance(kind, VarTupleType | DictType):
        whole = "an array" if isinstance(kind, VarTupleType) else "a table"
        inner = kind.item_type if isinstance(kind, VarTupleType) else kind.value_type
        return [f"{whole} of {any_of([_PLURALS[type(each)] for each in alternatives(inner)])}"]
    return [_SINGULARS[type(kind)]]


_SINGULARS: dict[type[Type], str] = {
    StrType: "a string",
    IntType: "an integer",
    FloatType: "a number",
    StructType: "a table",
}

_PLURALS: dict[type[Type], str] = {
    StrType: "strings",
    IntType: "integers",
    StructType: "tables",
    DictType: "tables",
}
