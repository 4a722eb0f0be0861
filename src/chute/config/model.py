"""The whole configuration as one frozen value. Every command builds one; nothing else reaches `compose`."""

from __future__ import annotations

from typing import Literal

import msgspec

from chute.config.bind import Bind
from chute.engine.limits import Limits
from chute.middleware.options import AccessOptions
from chute.static.options import StaticOptions

LogFormat = Literal["combined", "json"]
PollerChoice = Literal["auto", "portable"]

LOG_OFF = "off"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set.

    Attributes:
        binds: where to listen.
        static: what is served.
        access: who may come in, and what every answer says.
        workers: processes that serve; each has an engine of its own.
        access_log: a file, `-` for standard output, or `off`.
        log_format: how a line of it looks.
        debug_headers: whether answers tell how they are carried.
        poller: `auto` takes epoll where there is one; `portable` does without.
        limits: bounds for peers.
    """

    binds: tuple[Bind, ...]
    static: StaticOptions
    access: AccessOptions = AccessOptions()
    workers: int = 1
    access_log: str = "-"
    log_format: LogFormat = "combined"
    debug_headers: bool = False
    poller: PollerChoice = "auto"
    limits: Limits = Limits()
