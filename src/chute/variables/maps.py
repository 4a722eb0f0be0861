"""Variables whose values are looked up by those of others: nginx's map.

Texts are compared without regard to case, and come before regular expressions, which are tried in their order. With
`~` a regular expression minds case, with `~*` it does not. An empty value matches none of them, not even `~^$`, as in
nginx: it has the text `""`, or the default. The groups of one that matches can be used in its value, and nowhere else:
what `$1` means elsewhere is not changed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from chute.errors import ConfigError
from chute.exchange import Request
from chute.variables.lookup import Phase, Reader, Variable
from chute.variables.names import Names, remember_captures
from chute.variables.patterns import compile_pattern
from chute.variables.template import Template


def patterns_of(values: Mapping[str, str]) -> list[re.Pattern[bytes]]:
    """Return the regular expressions among the keys of a map.

    Raises:
        ConfigError: one is none.
    """
    return [_compile(key) for key in values if key.startswith("~")]


def _compile(key: str) -> re.Pattern[bytes]:
    if key.startswith("~*"):
        return compile_pattern(key[2:], ignores_case=True)
    return compile_pattern(key[1:])


def make_map(source: str, values: Mapping[str, str], default: str, names: Names) -> Variable:
    """Return the variable that a map defines.

    Args:
        source: what is looked up; contains variables.
        values: what it leads to, by text or regular expression. A text that begins with a tilde or a backslash is
            written with a backslash before it, as in nginx.
        default: the value when nothing matches.
        names: what variables there are.

    Raises:
        ConfigError: a variable is unknown, a regular expression is none, or two texts are the same but for case.
    """
    looked_up = Template(source, names, until=Phase.RESPONSE)
    fallback = Template(default, names, until=Phase.RESPONSE)
    texts: dict[bytes, Template] = {}
    patterns: list[tuple[re.Pattern[bytes], Template]] = []
    phase = max(looked_up.phase, fallback.phase)
    for key, value in values.items():
        template = Template(value, names, until=Phase.RESPONSE)
        phase = max(phase, template.phase)
        if key.startswith("~"):
            patterns.append((_compile(key), template))
            continue
        text = key.removeprefix("\\").encode("utf-8", "surrogateescape").lower()
        if text in texts:
            raise ConfigError(f"{key!r} is there twice, for case does not count")
        texts[text] = template
    return Variable(_reader(looked_up, texts, patterns, fallback), phase)


def _reader(
    looked_up: Template,
    texts: dict[bytes, Template],
    patterns: list[tuple[re.Pattern[bytes], Template]],
    fallback: Template,
) -> Reader:
    def read(request: Request) -> bytes:
        value = looked_up.render(request)
        found = texts.get(value.lower())
        if found is not None:
            return found.render(request)
        for pattern, template in patterns if value else ():
            match = pattern.search(value)
            if match is not None:
                outer = request.captures
                remember_captures(request, match)
                try:
                    return template.render(request)
                finally:
                    request.captures = outer
        return fallback.render(request)

    return read
