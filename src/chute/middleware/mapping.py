"""One change to every answer of a handler, however the answer comes about.

A response may be there at once, be made in a thread, be made in the loop after a thread has done its part, or follow
the content of the request. Whoever only wants to change responses should not have to know, so that is known here.

A change is a pure function of the request and of the response: it may run in the loop or in a thread. It is given the
response and returns it, with other fields; it never copies one, for a response owns its files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from chute.exchange import (
    Deferred,
    FieldLines,
    Handler,
    Intake,
    Outcome,
    Receiving,
    Redispatch,
    Request,
    Response,
    Resumption,
)

Change = Callable[[Request, Response], Response]


def map_response(handler: Handler, change: Change) -> Handler:
    """Return a handler that answers as `handler` does, with `change` applied to each response.

    What the engine answers by itself (a head that cannot be parsed, a fault of the handler) is not seen here.

    Args:
        handler: answers requests.
        change: must not block and must not raise.
    """

    def handle(request: Request) -> Outcome:
        return _changed(handler(request), partial(change, request))

    return handle


def add_missing(response: Response, fields: FieldLines) -> Response:
    """Return `response` with those of `fields` whose names it does not have."""
    present = {name.lower() for name, _ in response.fields}
    missing = [(name, value) for name, value in fields if name.lower() not in present]
    # A new list: the one before may belong to whoever made the response, and be used again.
    response.fields = [*response.fields, *missing]
    return response


def _changed(answer: Outcome, change: Callable[[Response], Response]) -> Outcome:
    if isinstance(answer, Response):
        return change(answer)
    if isinstance(answer, Redispatch):
        return answer  # somebody else's response, and somebody else's changes
    if isinstance(answer, Deferred):
        return Deferred(
            partial(_blocking_respond, answer, change), answer.lane, on_dropped=answer.on_dropped
        )
    intake = _ChangedIntake(answer.intake, change)
    return Receiving(intake, answer.lane, content_bytes_max=answer.content_bytes_max)


def _blocking_respond(
    deferred: Deferred, change: Callable[[Response], Response]
) -> Response | Resumption:
    outcome = deferred.blocking_respond()
    if isinstance(outcome, Response):
        # Here, and not in the loop: a response that nobody waits for any more is given back only as itself.
        return change(outcome)
    return lambda: _changed(outcome(), change)


class _ChangedIntake:
    """An intake whose responses are changed."""

    __slots__ = ("_change", "_intake")

    def __init__(self, intake: Intake, change: Callable[[Response], Response]) -> None:
        self._intake = intake
        self._change = change

    def blocking_take(self, block: bytes) -> Response | None:
        response = self._intake.blocking_take(block)
        return None if response is None else self._change(response)

    def blocking_finish(self) -> Response:
        return self._change(self._intake.blocking_finish())

    def blocking_give_up(self) -> None:
        self._intake.blocking_give_up()
