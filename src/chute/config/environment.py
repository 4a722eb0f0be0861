"""The environment in a configuration: `${NAME}` and `${NAME:-default}` in any string.

As in a shell, a default stands for what is not set and for what is empty. Names are in upper case: `${name}` is a
variable of the request, and left alone. So is `$${NAME}`, which a template, where `$$` is a dollar sign, takes for
the text `${NAME}`. What is put in is not looked at again, and neither are keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

# Dollar signs before it come in pairs, each of which is one for a template; an odd one belongs to `$${`.
_NAME = re.compile(r"(?<!\$)((?:\$\$)*)\$\{([A-Z_][A-Z0-9_]*)(?::-([^}]*))?\}")


def expand(
    value: object, environ: Mapping[str, str], path: Path = ()
) -> tuple[object, list[tuple[Path, str]]]:
    """Return `value` with the environment put in, and what is not set, each with its path.

    Args:
        value: as tomllib returns it.
        environ: names and values.
        path: of `value`.
    """
    unset: list[tuple[Path, str]] = []
    return _expand(value, environ, path, unset), unset


def _expand(
    value: object, environ: Mapping[str, str], path: Path, unset: list[tuple[Path, str]]
) -> object:
    if isinstance(value, str):
        return value if "${" not in value else _expand_text(value, environ, path, unset)
    if isinstance(value, dict):
        return {key: _expand(each, environ, (*path, key), unset) for key, each in value.items()}
    if isinstance(value, list):
        return [_expand(each, environ, (*path, index), unset) for index, each in enumerate(value)]
    return value


def _expand_text(
    text: str, environ: Mapping[str, str], path: Path, unset: list[tuple[Path, str]]
) -> str:
    def replaced(match: re.Match[str]) -> str:
        pairs, name = match[1], match[2]
        default: str | None = match[3]
        value = environ.get(name)
        if default is not None:
            value = value or default
        if value is None:
            unset.append((path, f"the environment variable {name} is not set"))
            return ""
        return f"{pairs}{value}"

    return _NAME.sub(replaced, text)
