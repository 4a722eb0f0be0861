"""From a parsed head to a plan, by way of the handler: what is asked of it, and what becomes of its faults.

A handler may answer at once, or leave it to a thread (`Deferred`), or ask for the content of the request first
(`Receiving`). What a thread has made of it comes back here as an outcome.
"""

from __future__ import annotations

import logging
from functools import partial

from chute.engine.debugging import tell_method
from chute.engine.limits import Limits
from chute.errors import MisuseError, PeerError
from chute.exchange import (
    Deferred,
    Ends,
    Handler,
    Receiving,
    Redispatch,
    Request,
    Response,
    Resumption,
    failure,
)
from chute.middleware.error_pages import with_page
from chute.plan.compile import compile_plan
from chute.plan.plan import Plan
from chute.semantics.messages import RequestHead
from chute.semantics.target import RequestTargetForm, decode_path, split_target

logger = logging.getLogger("chute.engine")

MISTAKE = "The server made a mistake; its log says which."

FAILURES = 400
"""The first status that means one (RFC 9110, 15)."""

_TOO_LARGE = PeerError("the content is larger than the limit", status_hint=413)

Answer = Plan | Deferred | Receiving


class Answering:
    """Asks one handler."""

    def __init__(self, handler: Handler, limits: Limits, *, debug_headers: bool) -> None:
        """Ask `handler`.

        Args:
            handler: answers requests.
            limits: bounds for peers.
            debug_headers: whether answers say how they are carried; none is then used again.
        """
        self._handler = handler
        self._limits = limits
        self._debug_headers = debug_headers

    def begin(self, head: RequestHead, ends: Ends) -> tuple[Request, Answer]:
        """Return a request, and the plan that answers it, or what has to be done before there is one.

        Args:
            head: of the request.
            ends: of the connection.
        """
        try:
            target = split_target(head.method, head.request_target)
            path = target.path
            if target.form is RequestTargetForm.ORIGIN or target.form is RequestTargetForm.ABSOLUTE:
                path = decode_path(path)
        except PeerError as error:
            return Request(head, b"", None, b"", ends), self.refuse(head, error)
        authority = target.authority or head.field_value(b"host") or b""
        request = Request(head, path, target.query, authority, ends)
        if target.form is RequestTargetForm.ASTERISK:
            return request, self._settle(head, Response(204, [(b"Allow", b"GET, HEAD, OPTIONS")]))
        if target.form is RequestTargetForm.AUTHORITY:
            refusal = failure(405, "This server does not open tunnels.", [(b"Allow", b"GET, HEAD")])
            return request, self._settle(head, refusal)
        return request, self._call(head, partial(self._handler, request))

    def go_on(self, head: RequestHead, outcome: object) -> Answer:
        """Return the plan for what a thread has made of `head`, or what has to be done next.

        Args:
            head: the request head.
            outcome: a response, a function that makes one in this thread (see `Deferred`), or an exception.
        """
        if isinstance(outcome, Response):
            return self._settle(head, outcome)
        if callable(outcome):
            return self._call(head, outcome)
        return self._settle(head, _failed(head, outcome))

    def end_taking(self, head: RequestHead, outcome: object, *, is_whole: bool) -> Plan:
        """Return the plan for what has become of content: a response or an exception.

        Args:
            head: the request head.
            outcome: what the intake has answered, or raised.
            is_whole: whether all of the content was read; else the rest cannot be told from the next request.
        """
        response = outcome if isinstance(outcome, Response) else _failed(head, outcome)
        return self.compile(head, response, keeps_alive=is_whole and not head.wants_close)

    def compile(self, head: RequestHead | None, response: Response, *, keeps_alive: bool) -> Plan:
        """Prepare `response`, with a page where its handler left that to us."""
        accept = None if head is None else head.field_value(b"accept")
        if self._debug_headers and head is not None:
            tell_method(response, head)
        try:
            return compile_plan(with_page(response, accept), head, keeps_alive=keeps_alive)
        except MisuseError:
            target = None if head is None else head.request_target
            logger.exception("the answer to %r cannot be sent", target)
            response.release()
            page = with_page(failure(500, MISTAKE), accept)
            return compile_plan(page, head, keeps_alive=keeps_alive)

    def _call(self, head: RequestHead, respond: Resumption) -> Answer:
        try:
            response = respond()
        except PeerError as error:
            return self.refuse(head, error)
        except Exception as error:  # noqa: BLE001 - the wall: the next request is another one
            return self._settle(head, _failed(head, error))
        if isinstance(response, Response):
            return self._settle(head, response)
        if isinstance(response, Redispatch):
            misuse = MisuseError(f"nobody routes {response.target!r} anew")
            return self._settle(head, _failed(head, misuse))
        if isinstance(response, Receiving) and head.content_length > response.content_bytes_max:
            return self.refuse(head, _TOO_LARGE)
        return response

    def refuse(self, head: RequestHead | None, error: PeerError) -> Plan:
        """Return the answer to a peer that broke the rules; the connection ends with it."""
        return self.compile(head, failure(error.status_hint, _sentence(error)), keeps_alive=False)

    def _settle(self, head: RequestHead, response: Response) -> Plan:
        """Prepare an answer that leaves the content of the request unread; it is read away, up to the limit."""
        if head.content_length > self._limits.content_bytes_max:
            if response.status < FAILURES:
                response.release()
                return self.refuse(head, _TOO_LARGE)
            return self.compile(head, response, keeps_alive=False)
        keeps_alive = not (head.wants_close or head.expects_continue)
        return self.compile(head, response, keeps_alive=keeps_alive)


def _failed(head: RequestHead, error: object) -> Response:
    logger.error("answering %r failed: %r", head.request_target, error, exc_info=error)  # type: ignore[arg-type]
    return failure(500, MISTAKE)


def _sentence(error: PeerError) -> str:
    text = str(error)
    return text[:1].upper() + text[1:] + "."
