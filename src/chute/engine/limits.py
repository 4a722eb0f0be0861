"""Every bound of the engine, in one place: those that can be set, and those that only measuring should change."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what a peer may send, and on how long it may take.

    Attributes:
        head_timeout_s: for a whole request head, from its first byte (on a new connection: from the accept).
        body_timeout_s: between two reads of request content.
        keep_alive_timeout_s: for a connection to stay open between two requests.
        send_timeout_s: between two moments at which the peer accepted bytes of an answer.
        linger_timeout_s: for a peer to finish sending after the last answer was sent.
        target_bytes_max: a longer request-target is answered with 414.
        head_bytes_max: a longer head is answered with 431.
        fields_max: more field lines are answered with 431.
        content_bytes_max: more request content is answered with 413.
        chunk_bytes_max: bytes carried for one connection before the others have their turn.
    """

    head_timeout_s: float = 60.0
    body_timeout_s: float = 60.0
    keep_alive_timeout_s: float = 75.0
    send_timeout_s: float = 60.0
    linger_timeout_s: float = 5.0
    target_bytes_max: int = 8 * 1024
    head_bytes_max: int = 32 * 1024
    fields_max: int = 100
    content_bytes_max: int = 1024 * 1024
    chunk_bytes_max: int = 1024 * 1024


RECEIVE_BYTES = 16 * 1024
"""One read from a socket: many heads at once, and small enough to come from the allocator's cheap classes."""

CONTENT_RECEIVE_BYTES = 128 * 1024
"""One read of content that somebody asked for."""

CONTENT_BLOCK_BYTES = 512 * 1024
"""Content is handed over in blocks of about this size; two of them are in memory for one request at most."""

STOP_PATIENCE_S = 2.0
"""How long the end of the server waits for a thread: an upload that is given up wants to clean up behind it."""

DRAIN_GRACE_S = 1.0
"""How long a connection that was in use a moment ago stays open for another request, when the server is to end."""

EVENTS_PER_BATCH = 512
"""Events taken from the inner epoll at once."""

BATCHES_PER_WAKE = 8
"""Batches handled before asyncio's own callbacks and timers get a turn."""

IDLE_WAKES_MAX = 1000
"""Wakes in a row that find no event: more than a few would be a spin, and so a defect."""

STEPS_PER_TURN = 32
"""Steps (reads, answers, chunks) one connection may take before the others: bounds what pipelining can hold up."""

ACCEPTS_PER_EVENT = 64
"""Connections accepted per event of a listener; the rest stays in its queue for the next batch."""

ACCEPT_PAUSE_S = 0.25
"""How long a listener rests when no descriptor is left (EMFILE, ENFILE)."""

LISTEN_BACKLOG = 4096
"""Length of the accept queue; the kernel caps it at net.core.somaxconn."""

LINGER_BYTES_MAX = 4 * 1024 * 1024
"""Bytes thrown away for a peer that goes on sending after its last answer."""

TIMER_RESOLUTION_S = 0.25
"""Deadlines are met this much too late at worst."""

WORK_THREADS_MAX = 8
"""Threads that work for deferred answers (listings, compression)."""

WORK_TIMEOUT_S = 600.0
"""How long a deferred answer may take; the connection is then closed."""

WORK_THREADS_PER_LANE_MAX = 4
"""Of them, for one kind of work."""

KNOWN_HEADS_MAX = 8192
"""Request heads remembered with their plans, per listener."""

KNOWN_HEADS_BYTES_MAX = 48 * 1024 * 1024
"""Memory for them, their plans counted once per head."""

PLANS_MAX = 4096
"""Plans remembered by what they depend on, per listener."""

PLANS_BYTES_MAX = 32 * 1024 * 1024
"""Memory for them, including the content of small files."""
