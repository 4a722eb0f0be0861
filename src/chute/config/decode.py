"""From parsed TOML to the tables of a document, with every problem at once.

What is right is decoded by msgspec, in one go. Only when that fails are the values gone through one by one, for msgspec
stops at the first problem.
"""

from __future__ import annotations

import functools
import types
import typing
from typing import Any, Literal, get_args, get_origin

import msgspec

from chute.config import document as tables
from chute.config.descriptions import describe
from chute.config.document import Document, Table
from chute.config.problems import Path, Problem
from chute.config.quantities import Quantity, decode_quantity
from chute.config.spelling import did_you_mean, nearest
from chute.errors import ConfigError

_WORDS = {
    bool: "true or false",
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "a table",
    list: "an array",
    tuple: "an array",
}


def decode(value: object) -> tuple[Document | None, list[Problem]]:
    """Return the document that `value`, as tomllib returns it, is; or None, and what is wrong with it."""
    try:
        return msgspec.convert(value, Document, dec_hook=decode_quantity), []
    except (msgspec.ValidationError, ConfigError) as error:
        problems: list[Problem] = []
        _check(value, Document, (), problems)
        if not problems:
            problems.append(Problem((), str(error)))
        return None, problems


def _check(value: object, kind: Any, path: Path, problems: list[Problem]) -> None:  # noqa: ANN401 - a type
    """Add what keeps `value` from being of `kind`."""
    options = _options(kind)
    fitting = [option for option in options if _has_shape(value, option)]
    if not fitting:
        _complain_of_kind(value, options, path, problems)
        return
    option = fitting[0]
    origin = get_origin(option)
    if isinstance(option, type) and issubclass(option, Table):
        assert isinstance(value, dict)
        _check_table(value, option, path, problems)
    elif isinstance(option, type) and issubclass(option, Quantity):
        try:
            option.parse(value)
        except ConfigError as error:
            problems.append(Problem(path, str(error), error.hint))
    elif origin is dict:
        assert isinstance(value, dict)
        for key, each in value.items():
            _check(each, get_args(option)[1], (*path, key), problems)
    elif origin is tuple:
        assert isinstance(value, list)
        for index, each in enumerate(value):
            _check(each, get_args(option)[0], (*path, index), problems)


def _check_table(
    value: dict[str, object], kind: type[Table], path: Path, problems: list[Problem]
) -> None:
    hints = _types_of(kind)
    for key, each in value.items():
        if key in hints:
            _check(each, hints[key], (*path, key), problems)
        else:
            what = f"there is no key {key!r} {_where(kind)}"
            problems.append(Problem((*path, key), what, _hint_for_key(key, kind)))
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in value:
            first_line = describe(kind)[field.name].removeprefix("required: ")
            problems.append(Problem(path, f"{field.name} is missing", first_line))


def _hint_for_key(key: str, kind: type[Table]) -> str:
    """Return what was meant: a key of this table, or one of another."""
    known = _types_of(kind)
    if nearest(key, known) is not None:
        return did_you_mean(key, known)
    for name, inner in known.items():
        for option in _options(inner):
            within = get_args(option)[0] if get_origin(option) is tuple else option
            if isinstance(within, type) and issubclass(within, Table) and key in _types_of(within):
                return f"{key} belongs into {name}"
    return did_you_mean(key, known)


def _where(kind: type[Table]) -> str:
    name = _NAMES.get(kind)
    return "at the top" if kind is Document else f"in {name}" if name else "here"


_NAMES = {
    tables.SiteTable: "a site",
    tables.LocationTable: "a location",
    tables.FilesTable: "files",
    tables.ListenerTable: "a listener",
    tables.RewriteTable: "a rewrite step",
    tables.LogTable: "a log",
    tables.LimitsTable: "limits",
    tables.MapTable: "a map",
    tables.AuthTable: "auth",
    tables.CorsTable: "cors",
    tables.UploadTable: "upload",
    tables.RedirectTable: "a redirect",
    tables.RespondTable: "respond",
    tables.Scope: "defaults",
    tables.TlsTable: "tls",
    tables.UpstreamTable: "an upstream",
    tables.LogFormatTable: "a log format",
}


def _complain_of_kind(
    value: object, options: list[Any], path: Path, problems: list[Problem]
) -> None:
    words: list[str] = []
    for option in options:
        if get_origin(option) is Literal:
            known = [each for each in get_args(option) if isinstance(each, str)]
            if isinstance(value, str):
                what = f"{value!r} is not one of {', '.join(map(repr, known))}"
                meant = nearest(value, known)
                if len(options) == 1:
                    hint = f"did you mean {meant!r}?" if meant else ""
                    problems.append(Problem(path, what, hint))
                    return
            words.extend(map(repr, known))
        else:
            words.append(_word_for(option))
    found = _WORDS.get(type(value), type(value).__name__)
    shown = f"{found} ({value!r})" if isinstance(value, str | int | float) else found
    expected = " or ".join(dict.fromkeys(words))
    problems.append(Problem(path, f"this should be {expected}, and is {shown}"))


def _word_for(option: Any) -> str:  # noqa: ANN401 - a type
    if isinstance(option, type) and issubclass(option, Quantity):
        return f"a {option.__name__.lower()} ({option.example})"
    if isinstance(option, type) and issubclass(option, Table):
        return "a table"
    return _WORDS.get(get_origin(option) or option, "something else")


def _has_shape(value: object, option: Any) -> bool:  # noqa: ANN401 - a type
    """Whether `value` can be meant for `option`, right or not."""
    origin = get_origin(option)
    if origin is Literal:
        return value in get_args(option)
    if isinstance(option, type) and issubclass(option, Quantity):
        return isinstance(value, str | int | float) and not isinstance(value, bool)
    if origin is dict or (isinstance(option, type) and issubclass(option, Table)):
        return isinstance(value, dict)
    if origin is tuple:
        return isinstance(value, list)
    if option is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if option is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, option)


def _options(kind: Any) -> list[Any]:  # noqa: ANN401 - a type
    """Return the members of a union, without None."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        return [option for option in get_args(kind) if option is not type(None)]
    return [kind]


@functools.cache
def _types_of(kind: type[Table]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in kind.__struct_fields__}
