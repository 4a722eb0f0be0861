"""The model of `nginx_routing`, written down for nginx and for chute, one independently of the other; and requests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nginx_locations import quoted
from nginx_routing import NAMES, Answer, Asked, Assign, Break, Map, Place, Rewrite, Site, Step

VARIABLES = (
    "uri", "document_uri", "args", "query_string", "is_args", "arg_x", "arg_y", "http_x_y", "cookie_c", "host",
    "request_uri", "request_method", "scheme", "server_name", "server_protocol", "v", "w", "m0", "m1", "who", "tail",
    "head",
)  # fmt: skip
"""What every answer tells, in this order; the two maps, and the groups if the site shows them, stand for the site's."""

SEEN = ("uri", "args", "v", "w", "tail", "request_method")
"""What the field X-Seen of every answer tells."""


def shown(name: str, site: Site) -> str:
    """Return the text that an echo consists of, in the notation of both."""
    groups = ["$1", "$2"] if site.shows_groups else []
    return "|".join([name, *(f"${{{variable}}}" for variable in VARIABLES), *groups])


def seen(site: Site) -> str:
    groups = ["$1"] if site.shows_groups else []
    return "|".join(["seen", *(f"${{{variable}}}" for variable in SEEN), *groups])


def own(text: str, number: int, site: Site) -> str:
    """Return `text` with the maps of a site: those with regular expressions if it uses no groups.

    In nginx such a map changes what `$1` means in all that comes after it, in chute it does not.
    """
    kind = "t" if site.shows_groups else "r"
    if not site.shows_groups:
        text = text.replace("$1", "$host").replace("$2", "$arg_x")
    for index in (0, 1):
        map_name = f"{kind}{(number * 2 + index) % 8}"
        text = text.replace(f"$m{index}", f"${map_name}").replace(
            f"${{m{index}}}", f"${{{map_name}}}"
        )
    return text


def names_of(number: int, site: Site) -> list[str]:
    return [NAMES[kind][0].format(number) for kind in site.kinds]


NAMED_GROUPS = "~^(?<who>1)(?<tail>2)(?<head>3)(?<part>4)$"
"""A host that nobody asks for, so that what names a group is right even if no expression of that batch has it."""


# ------------------------------------------------------------------ for nginx


def _nginx_act(act: Rewrite | Assign | Answer | Break) -> str:
    match act:
        case Rewrite(regex, to, then):
            return f"rewrite {quoted(regex)} {quoted(to)} {then};"
        case Assign(name, value):
            return f"set ${name} {quoted(value)};"
        case Answer(status, None):
            return f"return {status};"
        case Answer(status, text):
            return f"return {status} {quoted(text or '')};"
        case _:
            return "break;"


def _nginx_steps(steps: Sequence[Step]) -> str:
    lines = []
    for condition, act in steps:
        line = _nginx_act(act)
        if condition is not None:
            left, operator, right = condition
            inside = f"{left} {operator} {quoted(right)}" if operator else left
            line = f"if ({inside}) {{ {line} }}"
        lines.append(line)
    return "\n".join(lines)


def _nginx_pages(pages: Sequence[tuple[int, str]]) -> str:
    return " ".join(f"error_page {status} {page};" for status, page in pages)


def _nginx_place(place: Place, name: str, site: Site) -> str:
    modifier, _, path = (
        place.match.partition(" ") if place.match[0] in "=~^" else ("", "", place.match)
    )
    match place.answer:
        case None:
            answer = f"return 200 {quoted(shown(name, site))};"
        case str() as target:
            answer = f"try_files $uri/none {target};"
        case Answer() as given:
            answer = _nginx_act(given)
    inner = [_nginx_place(each, f"{name}.{at}", site) for at, each in enumerate(place.within)]
    return "\n".join(
        [
            f"location {modifier} {quoted(path)} {{",
            "internal;" if place.is_internal else "",
            _nginx_pages(place.pages),
            _nginx_steps(place.steps),
            answer,
            *inner,
            "}",
        ]
    )


def nginx_text(
    sites: Sequence[Site], texts: Sequence[Map], regexes: Sequence[Map], path: Path
) -> str:
    """Return what stands within `http`; the first site is the default."""
    written = []
    for kind, some in (("t", texts), ("r", regexes)):
        for at, (source, values, default) in enumerate(some):
            # Without `volatile` a value is looked up once, and stays when a rewrite changes what it depends on.
            pairs = "".join(f"{quoted(key)} {quoted(value)};\n" for key, value in values)
            written.append(
                f"map {source} ${kind}{at} {{ volatile; default {quoted(default)}; {pairs} }}"
            )
    for number, site in enumerate(sites):
        places = [_nginx_place(place, f"L{at}", site) for at, place in enumerate(site.places)]
        names = " ".join(map(quoted, names_of(number, site)))
        text = "\n".join(
            [
                f'add_header X-Seen {quoted(seen(site))} always; set $v ""; set $w "";',
                _nginx_pages(site.pages),
                f"location @page {{ return 200 {quoted(shown('@page', site))}; }}",
                f"location @other {{ return 200 {quoted(shown('@other', site))}; }}",
                f"location = /page {{ return 200 {quoted(shown('page', site))}; }}",
                f"location = /inner {{ internal; return 200 {quoted(shown('inner', site))}; }}",
                _nginx_steps(site.steps),
                *places,
            ]
        )
        default = "default_server" if number == 0 else ""
        written.append(
            f"server {{ listen unix:{path} {default}; server_name {names}; absolute_redirect off;\n"
            f"{own(text, number, site)} }}"
        )
    written.append(f"server {{ listen unix:{path}; server_name {quoted(NAMED_GROUPS)}; }}")
    return "\n".join(written)


# ------------------------------------------------------------------ for chute

_text = json.dumps


def _chute_answer(answer: Answer) -> str:
    if answer.text is None:
        return f"respond = {answer.status}"
    if 300 <= answer.status < 400:
        return f"redirect = {{ to = {_text(answer.text)}, status = {answer.status} }}"
    return f"respond = {{ status = {answer.status}, text = {_text(answer.text)} }}"


def _chute_step(step: Step) -> str:
    keys = []
    if step.condition is not None:
        left, operator, right = step.condition
        when = f'{left} {operator} "{right}"' if operator else left
        keys.append(f"when = {_text(when)}")
    match step.act:
        case Rewrite(regex, to, then):
            keys.append(f"match = {_text(regex)}, to = {_text(to)}")
            if then:
                keys.append(f"then = {_text(then)}")
        case Assign(name, value):
            keys.append(f"set = {_text(name)}, to = {_text(value)}")
        case Answer() as answer:
            keys.append(_chute_answer(answer))
        case _:
            keys.append('then = "break"')
    return f"{{ {', '.join(keys)} }}"


def _chute_steps(steps: Sequence[str]) -> list[str]:
    return [f"rewrite = [{', '.join(steps)}]"] if steps else []


def _chute_pages(pages: Sequence[tuple[int, str]]) -> list[str]:
    pairs = ", ".join(f"{_text(str(status))} = {_text(page)}" for status, page in pages)
    return [f"error_pages = {{ {pairs} }}"] if pages else []


def _chute_place(
    place: Place, name: str, site: Site, table: str, *, is_within_internal: bool = False
) -> list[str]:
    lines = [f"[[{table}]]", f"match = {_text(place.match)}", *_chute_pages(place.pages)]
    steps = [_chute_step(step) for step in place.steps]
    is_internal = place.is_internal or is_within_internal
    if is_internal:
        lines.append("internal = true")
    if isinstance(place.answer, str):
        lines.append(
            f'root = "www"\nfiles = {{ try_files = ["$uri/none", {_text(place.answer)}] }}'
        )
    else:
        answer = place.answer or Answer(200, shown(name, site))
        if any(isinstance(step.act, Rewrite | Break) for step in place.steps):
            # A return takes its turn among the steps, and is not there for what breaks them off.
            steps.append(f"{{ {_chute_answer(answer)} }}")
            lines.append("respond = 404")
        else:
            lines.append(_chute_answer(answer))
    lines += _chute_steps(steps)
    for at, each in enumerate(place.within):
        lines += _chute_place(
            each, f"{name}.{at}", site, f"{table}.location", is_within_internal=is_internal
        )
    return lines


def chute_text(
    sites: Sequence[Site], texts: Sequence[Map], regexes: Sequence[Map], path: Path
) -> str:
    """Return a `chute.toml`; the first site is the default."""
    written = [f'[listener.main]\nbind = "unix:{path}"\n[defaults]\nlog = "off"']
    for kind, some in (("t", texts), ("r", regexes)):
        for at, (source, values, default) in enumerate(some):
            pairs = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in values)
            written.append(
                f"[map.{kind}{at}]\nsource = {_text(source)}\ndefault = {_text(default)}\nvalues = {{ {pairs} }}"
            )
    unset = [_chute_step(Step(None, Assign(name, ""))) for name in ("v", "w")]
    for number, site in enumerate(sites):
        lines = [
            f"fields = {{ X-Seen = {_text(seen(site))} }}",
            *_chute_pages(site.pages),
            *_chute_steps([*unset, *map(_chute_step, site.steps)]),
        ]
        for match, name in (("@page", "@page"), ("@other", "@other"), ("= /page", "page")):
            answer = _chute_answer(Answer(200, shown(name, site)))
            lines.append(f"[[site.location]]\nmatch = {_text(match)}\n{answer}")
        answer = _chute_answer(Answer(200, shown("inner", site)))
        lines.append(f'[[site.location]]\nmatch = "= /inner"\ninternal = true\n{answer}')
        for at, place in enumerate(site.places):
            lines += _chute_place(place, f"L{at}", site, "site.location")
        default = "default = true\n" if number == 0 else ""
        written.append(
            f"[[site]]\nnames = {_text(names_of(number, site))}\n{default}"
            + own("\n".join(lines), number, site)
        )
    groups = f"names = [{_text(NAMED_GROUPS)}]"
    written.append(f'[[site]]\n{groups}\n[[site.location]]\nmatch = "/"\nrespond = 404')
    return "\n".join(written)


# ------------------------------------------------------------------ requests


def head_of(number: int, site: Site, asked: Asked) -> bytes:
    """Return the request head for site `number`."""
    kind = site.kinds["abcde".index(asked.host[0]) % len(site.kinds)]
    hosts = NAMES[kind][1]
    host = hosts["abcd".index(asked.host[1]) % len(hosts)].format(number)
    target = f"http://{host}{asked.target}" if asked.is_absolute else asked.target
    method = asked.method if asked.method == "HEAD" or not site.tries_files else "GET"
    lines = [f"{method} {target} HTTP/{asked.version}", f"Host: {host}", *asked.lines]
    if method == "POST":
        lines.append("Content-Length: 0")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
