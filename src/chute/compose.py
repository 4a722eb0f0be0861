"""The only place that knows all parts: a configuration becomes a running server."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

from chute.clock import Clock
from chute.config.model import LOG_OFF, Config
from chute.engine.server import Server
from chute.engine.service import Service
from chute.engine.tally import Tally
from chute.errors import ConfigError
from chute.exchange import Handler
from chute.files.ledger import Ledger
from chute.middleware import basic_auth, cors
from chute.middleware.access_log import AccessLog, CombinedFormat, JsonFormat
from chute.middleware.basic_auth import BasicAuth, parse_htpasswd, parse_user
from chute.middleware.cors import with_cors
from chute.middleware.log_file import LogFile
from chute.middleware.options import AccessOptions
from chute.middleware.security_fields import with_security_fields
from chute.static import answers
from chute.static.handler import StaticHandler

logger = logging.getLogger("chute")

PASSWORD_FILE_BYTES_MAX = 4 * 1024 * 1024


class Shared:
    """What all workers share; made before they are forked."""

    def __init__(self, config: Config) -> None:
        """Make what `config` asks for."""
        uploads = config.static.uploads
        self.ledger = None if uploads is None else Ledger(quota_bytes=uploads.quota_bytes)

    def close(self) -> None:
        """Give it back, in this process. Idempotent."""
        if self.ledger is not None:
            self.ledger.close()
            self.ledger = None


class Composed:
    """A server and everything it was composed of; made in the worker, for one event loop."""

    def __init__(self, config: Config, shared: Shared) -> None:
        """Build what `config` describes; must be called inside a running asyncio loop.

        Args:
            config: what to serve.
            shared: what the workers share; stays the caller's.

        Raises:
            ConfigError: the folder or the log cannot be opened.
        """
        self._config = config
        self._clock = clock = Clock()
        self._static = StaticHandler(config.static, clock, shared.ledger)
        self._handler, self._depends_on = _guarded(self._static.handle, config.access)
        self._access_log = _open_access_log(config)
        self._tally = Tally()
        self._server = Server(
            clock,
            portable=config.poller == "portable",
            access_log=self._access_log,
            sweep=self._static.sweep,
            on_exhausted=self._static.give_back_descriptors,
        )

    def start(self, sockets: Sequence[socket.socket]) -> None:
        """Serve at listening `sockets`, which are taken over. Each listener has a plan cache of its own."""
        self._server.start([(sock, self._make_service()) for sock in sockets])

    def stop(self) -> None:
        """Close everything, and say how much was carried."""
        self._server.stop()
        if self._tally.answers:
            logger.info("answers: %s", self._tally)
        self._static.close()
        if self._access_log is not None:
            self._access_log.close()

    def _make_service(self) -> Service:
        config = self._config
        return Service(
            self._handler,
            self._depends_on,
            self._clock,
            config.limits,
            self._access_log,
            self._tally,
            debug_headers=config.debug_headers,
        )


def _guarded(handler: Handler, access: AccessOptions) -> tuple[Handler, frozenset[bytes]]:
    """Put around `handler` what `access` asks for; also return the fields that answers depend on.

    From the inside out: what every answer says; then the password; then CORS, whose preflights bring none.
    """
    depends_on = answers.DEPENDS_ON
    if access.security_fields is not None:
        handler = with_security_fields(handler, access.security_fields)
    if access.asks_for_passwords:
        handler = BasicAuth(users_of(access), access.realm).protect(handler)
        depends_on |= basic_auth.DEPENDS_ON
    if access.cors is not None:
        handler = with_cors(handler, access.cors)
        depends_on |= cors.depends_on(access.cors)
    return handler, depends_on


def users_of(access: AccessOptions) -> dict[bytes, bytes]:
    """Return the password hash of each user.

    Raises:
        ConfigError: the password file cannot be read, or an entry is none.
    """
    users: dict[bytes, bytes] = {}
    if access.password_file:
        try:
            with open(access.password_file, "rb") as file:
                users = parse_htpasswd(file.read(PASSWORD_FILE_BYTES_MAX), access.password_file)
        except OSError as error:
            raise ConfigError(
                f"cannot read the password file {access.password_file!r}: {error.strerror}"
            ) from error
    for text in access.users:
        user, hashed = parse_user(text)
        users[user] = hashed
    return users


def _open_access_log(config: Config) -> AccessLog | None:
    if config.access_log == LOG_OFF:
        return None
    line_format = JsonFormat() if config.log_format == "json" else CombinedFormat()
    return AccessLog(line_format, LogFile(config.access_log))
