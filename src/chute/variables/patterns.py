"""Regular expressions of a configuration: as people write them for nginx, compiled for bytes."""

from __future__ import annotations

import functools
import re

from chute.errors import ConfigError

_GROUP = re.compile(r"\(\?<(?=[A-Za-z_])")


@functools.lru_cache(maxsize=4096)
def compile_pattern(text: str, *, ignores_case: bool = False) -> re.Pattern[bytes]:
    """Return `text` compiled.

    Raises:
        ConfigError: it is no regular expression.
    """
    try:
        return re.compile(
            _GROUP.sub("(?P<", text).encode(), re.IGNORECASE if ignores_case else re.NOFLAG
        )
    except re.error as error:
        raise ConfigError(f"{text!r} is no regular expression: {error}") from error
