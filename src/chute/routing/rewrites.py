"""Rewrites: steps that are taken before a location answers, or before one is looked for.

A step looks at the path (`match`), and at anything else (`when`); if both hold, it changes the path, sets a variable,
or answers. After nginx's rewrite module: `last` ends the steps, and a location is looked for anew; `break` ends them
and stays; without either the next step follows, and when the path has been changed by then, a location is looked for
anew. The path is decoded; the query is not. It stays, behind a query of the step's own, unless `to` ends with `?`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from chute.errors import ConfigError
from chute.exchange import Handler, Outcome, Request
from chute.routing.answers import make_redirect, make_respond
from chute.routing.options import RedirectOptions, RewriteOptions, Then
from chute.semantics.target import normalise_path
from chute.variables.conditions import Condition, compile_conditions, parse_condition
from chute.variables.names import Names, remember_captures
from chute.variables.patterns import compile_pattern
from chute.variables.template import Purpose, Template

_URL = re.compile(r"https?://|\$scheme|//")


class Ended(Enum):
    """What the steps have come to, short of an answer."""

    UNCHANGED = "the path is what it was"
    CHANGED = "a location is to be looked for anew"
    STAYS = "the path may be another, and the location answers for it"


class Step(NamedTuple):
    """One step, compiled.

    Attributes:
        text: as a person would tell it, for `chute explain`.
        condition: or None.
        pattern: or None.
        path: the new path, or None.
        query: of the new path, or None to leave it.
        keeps_query: whether the query that was there is appended.
        then: what comes next.
        variable: is set to `value`, or empty.
        value: or None.
        answer: or None.
    """

    text: str
    condition: Condition | None
    pattern: re.Pattern[bytes] | None
    path: Template | None = None
    query: Template | None = None
    keeps_query: bool = True
    then: Then = ""
    variable: str = ""
    value: Template | None = None
    answer: Handler | None = None


def announce(rewrites: Sequence[RewriteOptions], names: Names) -> None:
    """Tell `names` what variables the steps set, before anything that may name them is compiled.

    Raises:
        ConfigError: a name cannot be used, or a regular expression is none.
    """
    for rewrite in rewrites:
        if rewrite.variable:
            names.add_set(rewrite.variable)
        if rewrite.match is not None:
            names.add_captures(compile_pattern(rewrite.match))
        for text in rewrite.when:
            pattern = parse_condition(text).pattern
            if pattern is not None:
                names.add_captures(pattern)


class Steps:
    """The steps of one site or location."""

    def __init__(self, rewrites: Sequence[RewriteOptions], names: Names) -> None:
        """Compile `rewrites`.

        Raises:
            ConfigError: one of them can never be meant.
        """
        self._steps = [compile_step(rewrite, names) for rewrite in rewrites]

    def run(self, request: Request) -> Ended | Outcome:
        """Take the steps for `request`; its path, query and variables may be others afterwards."""
        ended = Ended.UNCHANGED
        for step in self._steps:
            if not _applies(step, request):
                continue
            if request.trace is not None:
                request.trace(f"rewrite {step.text}")
            if step.answer is not None:
                return step.answer(request)
            if step.value is not None:
                if request.variables is None:
                    request.variables = {}
                request.variables[step.variable] = step.value.render(request)
            if step.path is not None:
                _change_path(step, request)
                ended = Ended.CHANGED
            if step.then == "break":
                # Without a new path nobody was led anywhere: what is internal stays so.
                return Ended.UNCHANGED if ended is Ended.UNCHANGED else Ended.STAYS
            if step.then == "last":
                return ended
        return ended


def _applies(step: Step, request: Request) -> bool:
    if step.condition is not None and not step.condition(request):
        return False
    if step.pattern is not None:
        match = step.pattern.search(request.path)
        if match is None:
            request.captures = ()  # as in nginx: `$1` is never of an expression before the last one
            return False
        remember_captures(request, match)
    return True


def _change_path(step: Step, request: Request) -> None:
    assert step.path is not None
    query = None if step.query is None else step.query.render(request)[1:]
    path = step.path.render(request)
    # A value that was never a path (an argument, a field) may climb, or bring slashes of its own.
    request.path = request.subpath = normalise_path(b"/" + path.lstrip(b"/"))
    if query is not None or not step.keeps_query:
        rest = request.query if step.keeps_query else None
        request.query = b"&".join([part for part in (query, rest) if part]) or None
    if request.trace is not None:
        request.trace(f"the path is now {request.path.decode('utf-8', 'backslashreplace')}")


def compile_step(options: RewriteOptions, names: Names) -> Step:
    """Compile one step.

    Raises:
        ConfigError: it can never be meant.
    """
    condition = compile_conditions(options.when, names)
    pattern = None if options.match is None else compile_pattern(options.match)
    step = Step(describe(options), condition, pattern)
    if options.answer is not None:
        answer = options.answer
        if isinstance(answer, RedirectOptions):
            return step._replace(answer=make_redirect(answer, names))
        return step._replace(answer=make_respond(answer, names))
    if options.variable:
        return step._replace(
            variable=options.variable,
            value=Template(options.to or "", names),
            then=options.then,
        )
    if options.to is None:
        if options.then == "":
            raise ConfigError("this step does nothing", hint="add to, set, redirect or respond")
        return step._replace(then=options.then)
    if options.then in ("redirect", "permanent") or _URL.match(options.to):
        return step._replace(answer=_redirect(options, options.to, names))
    if not options.to.startswith(("/", "$")):
        raise ConfigError(f"{options.to!r} is no path", hint="begin it with a slash")
    path, mark, query = options.to.partition("?")
    return step._replace(
        path=Template(path, names, purpose=Purpose.PATH),
        query=_query_template(query.removesuffix("?"), names),
        keeps_query=not (mark and options.to.endswith("?")),
        then=options.then,
    )


def _query_template(query: str, names: Names) -> Template | None:
    return Template("?" + query, names, purpose=Purpose.URL) if query else None


def _redirect(options: RewriteOptions, to: str, names: Names) -> Handler:
    """Return a redirect to `to`, with the query of the request behind it unless `to` ends with `?`."""
    status = 301 if options.then == "permanent" else 302
    redirect = RedirectOptions(to=to.removesuffix("?"), status=status)
    return make_redirect(redirect, names, appends_query=not to.endswith("?"))


def describe(options: RewriteOptions) -> str:
    """Return the step in words."""
    words = [f"if {text}" for text in options.when]
    if options.match is not None:
        words.append(options.match)
    if options.variable:
        words.append(f"sets ${options.variable}")
    elif options.to is not None:
        words.append(f"-> {options.to}")
    if options.then:
        words.append(f"({options.then})")
    return " ".join(words)
