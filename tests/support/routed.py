"""What a configuration answers, without sockets: its text in, answers and log lines out.

The time stands still unless a test moves it; what would be done in threads is done at once.
"""

from __future__ import annotations

import os
import pathlib
from dataclasses import dataclass
from typing import Self

from chute.clock import Clock
from chute.compose.serving import Generation
from chute.compose.shared import Shared
from chute.config.resolve import load_text
from chute.engine.limits import Limits
from chute.engine.pending import Pending
from chute.engine.service import Service
from chute.engine.tally import Tally
from chute.exchange import Ends, FieldLines, Request
from chute.plan.plan import KnownHead
from chute.semantics.messages import RequestHead
from chute.transfer.source import FileSpan

ENDS = Ends("192.0.2.1", 50000, "198.51.100.1", 80)

WORKS_MAX = 20


def request_of(
    target: bytes = b"/a",
    *lines: tuple[bytes, bytes],
    method: bytes = b"GET",
    path: bytes | None = None,
    ends: Ends = ENDS,
    authority: bytes = b"h",
) -> Request:
    """Return a request as the engine makes them; `path` is the decoded one."""
    before, mark, query = target.partition(b"?")
    head = RequestHead(method, target, 1, [(b"host", authority), *lines])
    return Request(head, before if path is None else path, query if mark else None, authority, ends)


class StillClock(Clock):
    """A clock that tests move."""

    __slots__ = ()

    def refresh(self) -> float:
        self.now_s, self.second = 100.0, 1_795_412_728
        return self.now_s


@dataclass
class Answer:
    """One answer, as it would be on the wire."""

    status: int
    fields: FieldLines
    content: bytes

    def __getitem__(self, name: str) -> bytes:
        values = self.all(name)
        assert len(values) == 1, f"{name}: {values}"
        return values[0]

    def all(self, name: str) -> list[bytes]:
        """Return the values of every field of that name."""
        return [value for each, value in self.fields if each.lower() == name.lower().encode()]


def head_of(
    target: str | bytes, *lines: str | bytes, method: str = "GET", host: str | bytes | None = "h"
) -> bytes:
    """Return a request head."""
    host_line = [] if host is None else [b"Host: " + _bytes(host)]
    all_lines = [b"%b %b HTTP/1.1" % (_bytes(method), _bytes(target)), *host_line]
    return b"\r\n".join([*all_lines, *map(_bytes, lines), b"", b""])


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


class Routed:
    """One configuration, built; a context manager that leaves nothing open."""

    def __init__(self, folder: pathlib.Path, text: str) -> None:
        self.config = load_text(str(folder / "chute.toml"), text, {})
        self.clock = StillClock()
        self.shared = Shared(self.config)
        self.generation = Generation(self.config, self.clock, self.shared)
        self.services = [
            Service(
                built.handler,
                built.depends_on,
                self.clock,
                Limits(),
                built.journal,
                Tally(),
                line_format=built.line_format,
            )
            for built in self.generation.built
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.generation.close()
        self.shared.close()

    def forget(self) -> None:
        """Drop every answer that was prepared; files stay open."""
        for service, built in zip(self.services, self.generation.built, strict=True):
            service.change_rules(built.handler, built.depends_on)

    def get(self, target: str | bytes, *lines: str | bytes, **more: str) -> Answer:
        """Answer a plain request."""
        return self.ask(head_of(target, *lines, **more))

    def ask(self, raw_head: bytes, ends: Ends = ENDS, *, listener: int = 0) -> Answer:
        """Answer a request head as a connection does, and note it."""
        service = self.services[listener]
        known = self.look_at(raw_head, ends, listener=listener)
        answer = answer_of(known)
        sent = known.plan.head_bytes + len(answer.content)
        noting = service.noting
        peer = noting.peer(ends)
        if known.log_extend is not None:
            # What a connection does where a line was made in advance.
            service.tally.note(b"buffer", sent)
            known.log_extend((peer, noting.moment, known.log_rest))
        else:
            started_s = self.clock.now_s
            noting.note(ends, peer, known, started_s, sent, b"buffer", is_complete=True)
        known.plan.let_go()
        return answer

    def look_at(self, raw_head: bytes, ends: Ends = ENDS, *, listener: int = 0) -> KnownHead:
        """Return what is known of a request head, rendered."""
        service = self.services[listener]
        known = service.recall(raw_head) or service.answer(raw_head, ends)
        for _ in range(WORKS_MAX):
            if isinstance(known, KnownHead):
                break
            assert isinstance(known, Pending), "content is not sent here"
            known = service.complete(known, _outcome(known))
        assert isinstance(known, KnownHead), "it is worked for without an end"
        service.render(known.plan)
        return known

    def log(self, name: str = "access.log") -> list[bytes]:
        """Write what is pending, and return the lines of a log beside the configuration."""
        self.generation.logs.flush()
        folder = pathlib.Path(self.config.sites[0].rest.logs[0].path).parent
        return (folder / name).read_bytes().splitlines()


def _outcome(pending: Pending) -> object:
    try:
        return pending.blocking_work()
    except Exception as error:  # noqa: BLE001 - as the threads of the engine do
        return error


def answer_of(known: KnownHead) -> Answer:
    """Return what `known` would send."""
    plan = known.plan
    head = plan.payload[: plan.head_bytes].removesuffix(b"\r\n\r\n").split(b"\r\n")
    fields = [(name, value) for name, _, value in (line.partition(b": ") for line in head[1:])]
    content = plan.payload[plan.head_bytes :]
    for piece in plan.rest:
        if isinstance(piece, FileSpan):
            content += os.pread(piece.file.fd, piece.count, piece.offset)
        else:
            content += piece
    return Answer(plan.status, fields, content)
