"""The states of a connection.

    READING ──head──► CARRYING ──last byte──► READING                   (keep-alive)
       │                 │  └──content left──► DISCARDING ──► READING
       │                 └──────no keep-alive─► LINGERING ──► CLOSED
       └──end of input, time-out─► CLOSED          any state ──peer gone──► CLOSED

A head whose answer takes work that may block leads to WAITING first, and from there to CARRYING or back to READING. One
whose content somebody wants leads to TAKING, and on in the same way. An answer that leaves in one go never makes its
connection leave READING.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """What a connection is doing."""

    READING = "waiting for a request head, or assembling one"
    WAITING = "a thread works for the answer"
    TAKING = "content arrives that somebody asked for"
    CARRYING = "an answer is on its way"
    DISCARDING = "the answer has left, the request's content has not all arrived"
    LINGERING = "the last answer has left; waiting for the peer to stop sending"
    CLOSED = "over"
