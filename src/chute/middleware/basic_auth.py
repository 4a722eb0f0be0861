"""Basic authentication: who may come in, by a field that every client can send and a file that `htpasswd` makes.

RFC 7617. A password that is kept well is slow to check: bcrypt takes 50 ms, and must not take them from everyone else.
So there are two questions. `look_up` is asked in the loop, for every request that no plan answers, and never computes a
password hash: it knows a credential that was verified before, denies what is no credential at all, and otherwise says
UNKNOWN. Then `blocking_verify` is asked, in a thread, and what it finds to be true is remembered. (bcrypt and argon2
let the loop run meanwhile; SHA-crypt is computed in Python and slows it down, 5 ms for each attempt.)

What is remembered is a hash of the credential, keyed with a secret of this process, and a bounded number of them. A
peer cannot know that hash, so looking for it in a dictionary tells nothing by the time that it takes. It stays true for
as long as its `BasicAuth` lives, for users never change: a file that has changed makes a new one, and a new generation
of the rules (`Service.change_rules`), which drops the prepared answers too.

Whether a user exists cannot be told from how long an answer takes: a name that nobody has is checked against the hash
of somebody, always the same one for the same name, and denied whatever comes out.

Passwords are compared as the bytes that came. Both `htpasswd` and clients write UTF-8 (which the challenge asks for),
though not always in the same normal form, and changing the form would change the hash of somebody's old password.

Answers are a function of the Authorization field (`DEPENDS_ON`): a prepared answer is found again only by a request
with the very field that was verified, which is therefore among the keys of that cache. Refusals are never prepared.
CORS goes around this and not inside, since a preflight carries no credential. Absent: a limit on attempts; they wait
in a lane of their own, and cost nobody else's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Final

from chute.errors import ConfigError
from chute.exchange import Deferred, Handler, Outcome, Request, Response, Resumption, failure
from chute.middleware.mapping import add_missing, map_response
from chute.middleware.password_hashes import EXAMPLE, Check, check_of, is_weak

DEPENDS_ON: Final = frozenset({b"authorization"})
"""The fields, beside those of the handler within, that a reusable answer is a function of."""

AUTHORIZATION_BYTES_MAX: Final = 1024
"""A longer field is denied unread: it bounds what a password can cost, for some hashes grow with its length."""

VERIFIED_MAX: Final = 4096
"""Credentials remembered at once; some 200 bytes each."""

LANE: Final = "auth"

# credentials = "Basic" 1*SP token68; of token68, what base64 has (RFC 7617, 2; RFC 9110, 11.4). Several fields, joined
# by a comma, are none.
_CREDENTIALS = re.compile(rb"[Bb][Aa][Ss][Ii][Cc] +([A-Za-z0-9+/]+={0,2})")
# "The user-id and password MUST NOT contain any control characters" (RFC 7617, 2).
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


class Decision(Enum):
    """What is known of the sender of an Authorization field without computing anything slow."""

    ALLOWED = "the credential was verified before"
    DENIED = "there is no credential, or nothing that could be one"
    UNKNOWN = "it must be verified, in a thread"


class BasicAuth:
    """Knows who has which password, for one realm. Asked by one loop and by any number of threads.

    Attributes:
        challenge: the value of WWW-Authenticate for a 401.
        warning: what an operator should be told about the hashes, or an empty string.
    """

    def __init__(self, users: Mapping[bytes, bytes], realm: str) -> None:
        """Prepare to check the passwords of `users`.

        Args:
            users: password hashes by name, as `parse_htpasswd` and `parse_user` return them.
            realm: shown by some clients; printable ASCII.

        Raises:
            ConfigError: there is no user, a hash cannot be checked here (see `check_of`), or the realm cannot be sent.
        """
        if not users:
            raise ConfigError("there is no user who could be let in", hint=EXAMPLE)
        if not (realm.isascii() and realm.isprintable()):
            raise ConfigError(f"the realm {realm!r} is not printable ASCII")
        quoted = re.sub(r'(["\\])', r"\\\1", realm).encode()
        self.challenge = b'Basic realm="%b", charset="UTF-8"' % quoted
        self.warning = _warning(users.values())
        self._checks = {user: check_of(hashed) for user, hashed in users.items()}
        self._stand_ins = list(self._checks.values())
        self._secret = secrets.token_bytes(32)
        self._verified: dict[bytes, None] = {}
        self._lock = threading.Lock()

    def protect(self, handler: Handler) -> Handler:
        """Return a handler that answers as `handler` does to those who may come in, and with 401 to the others.

        `handler` is only ever called in the loop's thread. A response that says nothing about caching is given
        `Cache-Control: private`. The standard does not ask for it: a shared cache uses no answer to an Authorization
        field again unless the answer allows that, by public, s-maxage or must-revalidate (RFC 9111, 3.5), and one that
        does is left as it is. But not every cache looks at the request (that of nginx has to be told to, by
        `proxy_no_cache $http_authorization`), and `private` is heeded by those too.
        """
        guarded = map_response(handler, _keep_private)

        def handle(request: Request) -> Outcome:
            authorization = request.head.field_value(b"authorization")
            decision = self.look_up(authorization)
            if decision is Decision.ALLOWED:
                return guarded(request)
            if decision is Decision.DENIED or authorization is None:
                return self._refuse()

            def blocking_respond() -> Response | Resumption:
                if self.blocking_verify(authorization):
                    return lambda: guarded(request)
                return self._refuse()

            return Deferred(blocking_respond, LANE)

        return handle

    def look_up(self, authorization: bytes | None) -> Decision:
        """Decide what can be decided at once about a field value, or about None when the field is absent."""
        encoded = _encoded(authorization)
        if encoded is None:
            return Decision.DENIED
        if self._mark(encoded) in self._verified:
            return Decision.ALLOWED
        return Decision.DENIED if _decoded(encoded) is None else Decision.UNKNOWN

    def blocking_verify(self, authorization: bytes) -> bool:
        """Check a credential that `look_up` does not know, in a thread, and remember it if it is right."""
        encoded = _encoded(authorization)
        credential = None if encoded is None else _decoded(encoded)
        if encoded is None or credential is None:
            return False
        mark = self._mark(encoded)
        # It may have been verified while this one waited for a thread: a browser asks six times at once.
        if mark in self._verified:
            return True
        user, password = credential
        is_known = user in self._checks
        check = self._checks[user] if is_known else self._stand_in_for(user)
        if not (check(password) and is_known):
            return False
        with self._lock:
            if len(self._verified) >= VERIFIED_MAX:
                del self._verified[next(iter(self._verified))]
            self._verified[mark] = None
        return True

    def _refuse(self) -> Response:
        return failure(
            401, "This needs a name and a password.", [(b"WWW-Authenticate", self.challenge)]
        )

    def _mark(self, encoded: bytes) -> bytes:
        return hashlib.blake2b(encoded, key=self._secret, digest_size=32).digest()

    def _stand_in_for(self, user: bytes) -> Check:
        return self._stand_ins[int.from_bytes(self._mark(user), "big") % len(self._stand_ins)]


def _keep_private(request: Request, response: Response) -> Response:
    del request  # all are treated alike
    return add_missing(response, [(b"Cache-Control", b"private")])


def _encoded(authorization: bytes | None) -> bytes | None:
    """Return what stands for user and password in a field value, or None when it has not the form."""
    if authorization is None or len(authorization) > AUTHORIZATION_BYTES_MAX:
        return None
    match = _CREDENTIALS.fullmatch(authorization)
    return None if match is None else match[1]


def _decoded(encoded: bytes) -> tuple[bytes, bytes] | None:
    """Return user and password, or None when `encoded` stands for none."""
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    return None if not colon or _CONTROL.search(decoded) else (user, password)


def parse_htpasswd(content: bytes, path: str) -> dict[bytes, bytes]:
    """Read a password file: `user:hash` per line; empty lines, and those that begin with `#`, are skipped.

    What follows a second colon is a comment, as for nginx.

    Args:
        content: of the file.
        path: what to call it in errors.

    Returns:
        The hash by user, in the order of the file.

    Raises:
        ConfigError: a line is no entry, repeats a user or has a hash that cannot be checked; the text names the line,
            and repeats nothing of it.
    """
    users: dict[bytes, bytes] = {}
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        entry = line.strip()
        if not entry or entry.startswith(b"#"):
            continue
        where = f"{path}, line {number}"
        user, hashed = _parse_entry(entry, where)
        if user in users:
            raise ConfigError(f"{where}: the user was named before")
        users[user] = hashed
    return users


def parse_user(text: str) -> tuple[bytes, bytes]:
    """Read one `user:hash` of the command line.

    Raises:
        ConfigError: it is none, or has a hash that cannot be checked. The text repeats nothing of it: that may be a
            password.
    """
    try:
        return _parse_entry(os.fsencode(text), "USER:HASH")
    except ConfigError as error:
        # Without quotes, a shell puts nothing in the place of `$2y`.
        hint = error.hint.replace(EXAMPLE, f"{EXAMPLE}, and write it in single quotes")
        raise ConfigError(str(error), hint=hint) from None


def _parse_entry(entry: bytes, where: str) -> tuple[bytes, bytes]:
    user, colon, rest = entry.partition(b":")
    if not colon or not user:
        raise ConfigError(f"{where}: there is no user:hash", hint=EXAMPLE)
    if _CONTROL.search(user):
        raise ConfigError(f"{where}: there is a control character in the name of the user")
    hashed = rest.partition(b":")[0]
    try:
        check_of(hashed)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}", hint=error.hint) from None
    return user, hashed


def _warning(hashes: Iterable[bytes]) -> str:
    count = sum(map(is_weak, hashes))
    if not count:
        return ""
    return f"{count} of the passwords would soon be guessed from their hashes ({EXAMPLE})"
