"""The text of an `nginx.conf` with all that it includes, as statements.

crossplane knows the grammar and finds the files; what it leaves to its callers is done here: the escapes within words
(`ngx_conf_read_token`), and files that include each other for ever.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chute.config.nginx.statements import Statement
from chute.errors import ConfigError

_ESCAPE = re.compile(r"\\([\"'\\trn])")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}

BLOCKS_DEPTH_MAX = 100
"""Blocks and files within each other; whoever needs more includes a file in itself."""


def read(path: str) -> tuple[Statement, ...]:
    """Return the statements of the file `path`, with those of included files in their places.

    Raises:
        ConfigError: crossplane is not installed, a file cannot be read, or the text is no configuration.
    """
    try:
        crossplane = importlib.import_module("crossplane")
    except ImportError as error:
        raise ConfigError(
            "reading an nginx.conf needs crossplane, which is not installed",
            hint="pip install 'chute[nginx]'",
        ) from error
    read_as = crossplane.parse(path, check_ctx=False)
    if read_as["errors"]:
        raise _syntax_error(read_as["errors"][0])
    files: Sequence[Mapping[str, Any]] = read_as["config"]
    return tuple(_statements(files, 0, files[0]["parsed"], 0))


def _syntax_error(error: Mapping[str, Any]) -> ConfigError:
    file, line = error["file"], error["line"]
    where = file if line is None else f"{file}:{line}"
    # crossplane says where at the end, too; and nothing at all when the text ends within a directive.
    what = str(error["error"]).removesuffix(f" in {where}")
    return ConfigError(f"{where}: {what or 'the file ends within a directive'}")


def _statements(
    files: Sequence[Mapping[str, Any]], index: int, parsed: Sequence[Mapping[str, Any]], depth: int
) -> Iterator[Statement]:
    """Yield the statements `parsed` of the file `index`, each include replaced by what it includes."""
    file = files[index]["file"]
    for entry in parsed:
        if depth > BLOCKS_DEPTH_MAX:
            raise ConfigError(f"{file}:{entry['line']}: files include each other without an end")
        if "includes" in entry:
            for included in entry["includes"]:
                yield from _statements(files, included, files[included]["parsed"], depth + 1)
            continue
        block = entry.get("block")
        yield Statement(
            file,
            entry["line"],
            _unescape(entry["directive"]),
            tuple(_unescape(argument) for argument in entry["args"]),
            None if block is None else tuple(_statements(files, index, block, depth + 1)),
        )


def _unescape(word: str) -> str:
    return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), word)
