"""From what TOML says to a `Document`: all of it, or everything that is wrong with it.

msgspec decodes fast and stops at the first mistake. So it goes first, and only where it finds one, the value is walked
again, against the same types, by somebody with more patience. Which of the two decides is never a question: a value is
right if msgspec says so, and a test sees that the walk complains about exactly the others.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

import msgspec
from msgspec.inspect import (
    BoolType,
    CustomType,
    DictType,
    FloatType,
    IntType,
    LiteralType,
    StrType,
    StructType,
    Type,
    VarTupleType,
)

from chute.config.descriptions import (
    ANY_NAME,
    Key,
    alternatives,
    any_of,
    first_places,
    in_words,
    keys_of,
    places_in,
    show_header,
)
from chute.config.document import Document
from chute.config.problems import Path, Problem
from chute.config.quantities import decode_quantity
from chute.config.spelling import SYNONYMS, nearest
from chute.errors import ConfigError

_YES, _NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")

_SHOWN_MAX = 40

_KEYS_SHOWN_MAX = 12

_PLACES_SHOWN_MAX = 3


def decode(value: object) -> tuple[Document | None, list[Problem]]:
    """Decode a TOML file, as tomllib returns it.

    Returns:
        the document and no problem, or None and all problems, in the order of the file.
    """
    try:
        return msgspec.convert(value, Document, dec_hook=decode_quantity, strict=True), []
    except (msgspec.ValidationError, ConfigError, RecursionError) as error:
        walk = _Walk()
        try:
            walk.table(value, Document, ())
        except RecursionError:
            return None, [Problem((), "tables are nested too deeply", "write fewer levels")]
        # Never without a word, should the walk ever be the more lenient of the two.
        return None, walk.problems or [Problem((), str(error))]


class _Walk:
    """Compares a value with the types, all the way down.

    Attributes:
        problems: what was found.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def table(self, value: object, table: type[msgspec.Struct], path: Path) -> None:
        """Look at a table, key by key."""
        if not isinstance(value, dict):
            self._complain(path, f"expected a table, found {_found(value)}")
            return
        keys = keys_of(table)
        meant: set[str] = set()
        for name, inner in value.items():
            key = keys.get(name)
            if key is None:
                noun = "table" if isinstance(inner, dict) else "key"
                what = f"{_shown_table(path)} has no {noun} {name!r}"
                self._complain((*path, name), what, _where_it_belongs(name, table, path))
                meant.add(nearest(name, keys) or "")
            else:
                self._value(inner, key.kinds, (*path, name), key)
        for key in keys.values():
            if key.is_required and key.name not in value and key.name not in meant:
                what = f"{_shown_table(path)} needs a key {key.name!r}"
                self._complain(path, what, _meaning(key))

    def _value(self, value: object, kinds: Sequence[Type], path: Path, key: Key) -> None:
        """Look at a value at `path`, which `key` is or leads to."""
        fitting = [kind for kind in kinds if _may_be(value, kind)]
        if not fitting:
            what = f"expected {in_words(kinds)} for {_named(path)}, found {_found(value)}"
            self._complain(path, what, _advice(value, kinds, path) or _meaning(key))
            return
        kind = fitting[0]
        if isinstance(kind, StructType):
            self.table(value, kind.cls, path)
        elif isinstance(value, list | tuple) and isinstance(kind, VarTupleType):
            for index, inner in enumerate(value):
                self._value(inner, alternatives(kind.item_type), (*path, index), key)
        elif isinstance(value, dict) and isinstance(kind, DictType):
            for name, inner in value.items():
                self._value(inner, alternatives(kind.value_type), (*path, name), key)
        elif isinstance(kind, CustomType):
            self._quantity(value, kind.cls, path)
        elif isinstance(kind, LiteralType) and len(fitting) == 1:
            self._word(value, kind, kinds, path)

    def _quantity(self, value: object, kind: type, path: Path) -> None:
        try:
            decode_quantity(kind, value)
        except ConfigError as error:
            self._complain(path, f"{error} for {_named(path)}", error.hint)

    def _word(self, value: object, kind: LiteralType, kinds: Sequence[Type], path: Path) -> None:
        """Look at a word of which only some are known."""
        if value in kind.values:
            return
        near = nearest(str(value), map(str, kind.values))
        meant = "" if near is None else f'did you mean "{near}"? '
        what = f"{_named(path)} cannot be {_written(value)}"
        advice = _advice(value, kinds, path)
        self._complain(path, what, advice or f"{meant}expected {in_words(kinds)}")

    def _complain(self, path: Path, what: str, hint: str = "") -> None:
        self.problems.append(Problem(path, what, hint))


def _may_be(value: object, kind: Type) -> bool:
    """Whether `value` is written as something of `kind` is, right or not."""
    if isinstance(value, bool):
        return isinstance(kind, BoolType)
    return isinstance(value, _WRITTEN_AS[type(kind)])


_WRITTEN_AS: dict[type[Type], type | tuple[type, ...]] = {
    StrType: str,
    BoolType: bool,
    IntType: int,
    FloatType: (int, float),
    LiteralType: str,
    CustomType: (str, int, float),
    StructType: dict,
    DictType: dict,
    VarTupleType: (list, tuple),
}


# ------------------------------------------------------------------ keys that nobody knows


def _where_it_belongs(name: str, table: type[msgspec.Struct], path: Path) -> str:
    """Return what to do about a key that `table`, at `path`, does not have."""
    keys = keys_of(table)
    written = name.lower().replace("-", "_")
    beneath = [place for key in keys.values() for place in places_in(key, _keys_in(path))]
    headers = [place.header for place in beneath if written in keys_of(place.table)]
    if headers:
        return f"{written!r} belongs under {any_of(headers)}"
    near = nearest(name, keys)
    if near is not None:
        return f"did you mean {near!r}?"
    home = _home_of(written)
    if home:
        return f"{written!r} belongs {home}"
    for place in beneath:
        near = nearest(name, keys_of(place.table))
        if near is not None:
            return f"did you mean {near!r}, under {place.header}?"
    meant = SYNONYMS.get(written, "")
    home = _home_of(meant)
    if home:
        return f"did you mean {meant!r}, {home}?"
    return f"there are {_all_of(keys)}" if len(keys) <= _KEYS_SHOWN_MAX else "check the spelling"


def _home_of(name: str) -> str:
    """Return where the key `name` belongs, wherever that is; empty if there is none of that name."""
    headers = [place.header for place in first_places() if name in keys_of(place.table)]
    if "" in headers:
        return "before all tables"
    return f"under {any_of(headers[:_PLACES_SHOWN_MAX])}" if headers else ""


# ------------------------------------------------------------------ values of another kind


def _advice(value: object, kinds: Sequence[Type], path: Path) -> str:
    """Return how to write what was probably meant; empty where nobody knows."""
    if isinstance(value, dict | list | tuple):
        return _advice_on_brackets(value, kinds, path)
    meant = _meant(value, kinds)
    if meant:
        return f"write {meant}" if isinstance(path[-1], int) else f"write {path[-1]} = {meant}"
    if any(isinstance(kind, StructType) for kind in kinds) and _lacks_a_name(path):
        return f"each {path[0]} has a name: write [{path[0]}.{ANY_NAME}] above"
    return ""


def _meant(value: object, kinds: Sequence[Type]) -> str:
    """Return what was meant by a scalar, as TOML has it."""
    taken = {type(kind) for kind in kinds}
    text = str(value).lower()
    if taken == {BoolType} and text in (*_YES, *_NO):
        return "true" if text in _YES else "false"
    if isinstance(value, str) and value.isdecimal() and IntType in taken:
        return value
    if isinstance(value, bool | int | float) and StrType in taken and IntType not in taken:
        return f'"{_written(value)}"'
    if isinstance(value, str) and any(
        isinstance(kind, VarTupleType) and isinstance(kind.item_type, StrType) for kind in kinds
    ):
        return f"[{_written(value)}]"
    return ""


def _advice_on_brackets(value: object, kinds: Sequence[Type], path: Path) -> str:
    """Return what to do where one table is written and many are expected, or many and one is."""
    keys = _keys_in(path)
    for kind in kinds:
        if isinstance(kind, VarTupleType) and isinstance(kind.item_type, StructType):
            if isinstance(value, dict):
                return f"write {show_header(keys, is_repeated=True)}, in double brackets"
        elif isinstance(value, dict):
            continue
        elif isinstance(kind, StructType):
            return f"write {show_header(keys)}, in single brackets"
        elif isinstance(kind, DictType) and isinstance(kind.value_type, StructType):
            return f"write {show_header((*keys, ANY_NAME))}, in single brackets"
    return ""


def _lacks_a_name(path: Path) -> bool:
    """Whether a key stands where the name of a table is expected: `[listener]` with `bind = ":80"` in it."""
    return any(
        place.path == (*path[:-1], ANY_NAME) and path[-1] in keys_of(place.table)
        for place in first_places()
    )


# ------------------------------------------------------------------ values and places in words


def _keys_in(path: Path) -> tuple[str, ...]:
    return tuple(step for step in path if isinstance(step, str))


def _shown_table(path: Path) -> str:
    is_repeated = bool(path) and isinstance(path[-1], int)
    return show_header(_keys_in(path), is_repeated=is_repeated) or "a configuration"


def _named(path: Path) -> str:
    key = repr(_keys_in(path)[-1])
    return f"an element of {key}" if isinstance(path[-1], int) else key


def _meaning(key: Key) -> str:
    return f"{key.name}: {key.first_sentence}"


def _all_of(words: Iterable[str]) -> str:
    *others, last = (repr(word) for word in words)
    return f"{', '.join(others)} and {last}" if others else last


def _written(value: object) -> str:
    """Return a scalar as TOML has it, shortened."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if len(text) > _SHOWN_MAX:
        text = f"{text[:_SHOWN_MAX]}..."
    return msgspec.json.encode(text).decode() if isinstance(value, str) else text


def _found(value: object) -> str:
    """Return what a value is called in TOML."""
    if isinstance(value, bool):
        return _written(value)
    if isinstance(value, dt.date | dt.time):
        return "a date or time"
    for kind, word in _FOUND.items():
        if isinstance(value, kind):
            return f"{word} {_written(value)}"
    return "an array" if isinstance(value, list | tuple) else "a table"


_FOUND: dict[type, str] = {str: "the string", int: "the integer", float: "the number"}
