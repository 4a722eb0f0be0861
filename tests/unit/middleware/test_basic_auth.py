"""Who is let in, who is asked again, and what it costs everyone else."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable

import pytest

from chute.clock import Clock
from chute.engine.limits import Limits
from chute.engine.pending import Pending
from chute.engine.service import Service
from chute.engine.tally import Tally
from chute.errors import ConfigError
from chute.exchange import NOWHERE, Deferred, FieldLines, Request, Response
from chute.middleware import basic_auth
from chute.middleware.basic_auth import (
    AUTHORIZATION_BYTES_MAX,
    DEPENDS_ON,
    BasicAuth,
    Decision,
    parse_htpasswd,
    parse_user,
)
from chute.plan.plan import KnownHead
from chute.semantics.messages import RequestHead

SECRET = b"{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="  # of "secret"
SALTED = b"{SSHA}gVK8WC9YyFT1gMsQHTGCgT3sSv5zYWx0"  # of "secret" too
USERS = {b"ann": SECRET, "zoë".encode(): SALTED}


def credential(user: str, password: str, scheme: bytes = b"Basic ") -> bytes:
    return scheme + base64.b64encode(f"{user}:{password}".encode())


RIGHT = credential("ann", "secret")
WRONG = credential("ann", "Secret")


def asking(authorization: bytes | None) -> Request:
    fields = [] if authorization is None else [(b"authorization", authorization)]
    return Request(RequestHead(b"GET", b"/", 1, fields), b"/", None, b"h")


@pytest.fixture
def auth() -> BasicAuth:
    return BasicAuth(USERS, "the realm")


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The passwords that were compared with a hash."""
    passwords: list[bytes] = []

    def check_of(hashed: bytes) -> Callable[[bytes], bool]:
        def check(password: bytes) -> bool:
            passwords.append(password)
            return password == b"secret"

        return check

    monkeypatch.setattr(basic_auth, "check_of", check_of)
    return passwords


# ---------------------------------------------------------------------------- what is decided


@pytest.mark.parametrize(
    "authorization",
    [
        RIGHT,
        credential("ann", "secret", b"bAsIc   "),
        credential("zoë", "secret"),
    ],
    ids=["usual", "another spelling of the scheme", "name in UTF-8"],
)
def test_right_credential_is_unknown_until_it_was_verified(auth: BasicAuth, authorization: bytes):
    assert auth.look_up(authorization) is Decision.UNKNOWN
    assert auth.blocking_verify(authorization)
    assert auth.look_up(authorization) is Decision.ALLOWED


@pytest.mark.parametrize(
    "authorization",
    [WRONG, credential("bob", "secret"), credential("ann", ""), credential("ann", "secret:")],
    ids=["password", "user", "empty password", "colon behind it"],
)
def test_wrong_credential_is_never_let_in(auth: BasicAuth, authorization: bytes):
    for _ in range(2):
        assert auth.look_up(authorization) is Decision.UNKNOWN
        assert not auth.blocking_verify(authorization)


NO_CREDENTIALS = {
    "no field": None,
    "nothing": b"",
    "scheme alone": b"Basic",
    "another scheme": b"Bearer " + RIGHT[6:],
    "two fields": RIGHT + b", " + RIGHT,
    "no base64": b"Basic an#$%",
    "base64 of no length": b"Basic abcde",
    "no colon": b"Basic " + base64.b64encode(b"annsecret"),
    "control character": b"Basic " + base64.b64encode(b"ann:sec\0ret"),
    "too long": b"Basic " + b"YTph" * AUTHORIZATION_BYTES_MAX,
    "too long by one": b"Basic" + b" " * (AUTHORIZATION_BYTES_MAX - len(RIGHT) + 2) + RIGHT[6:],
}


@pytest.mark.parametrize(
    "authorization", NO_CREDENTIALS.values(), ids=[str(key) for key in NO_CREDENTIALS]
)
def test_what_is_no_credential_is_denied_at_once_and_by_threads(
    auth: BasicAuth, checked: list[bytes], authorization: bytes | None
):
    assert auth.look_up(authorization) is Decision.DENIED
    assert not auth.blocking_verify(authorization or b"")
    assert checked == []


def test_longest_field_is_still_read(auth: BasicAuth):
    padded = b"Basic" + b" " * (AUTHORIZATION_BYTES_MAX - len(RIGHT) + 1) + RIGHT[6:]
    assert len(padded) == AUTHORIZATION_BYTES_MAX
    assert auth.blocking_verify(padded)


def test_unknown_user_costs_a_check_and_is_denied_even_if_it_fits(checked: list[bytes]):
    auth = BasicAuth(USERS, "r")
    assert not auth.blocking_verify(credential("bob", "secret"))
    assert checked == [b"secret"]


def test_unknown_user_is_always_checked_against_the_same_hash(monkeypatch: pytest.MonkeyPatch):
    """Otherwise the time of an answer would vary for unknown names only."""
    asked: list[bytes] = []

    def check_of(hashed: bytes) -> Callable[[bytes], bool]:
        return lambda password: asked.append(hashed) is not None

    monkeypatch.setattr(basic_auth, "check_of", check_of)
    auth = BasicAuth({b"user %d" % number: b"%d" % number for number in range(50)}, "r")
    for name in ("a", "b", "c", "d", "e", "f", "g", "h"):
        asked.clear()
        for password in ("1", "2", "3"):
            auth.blocking_verify(credential(name, password))
        assert len(asked) == 3
        assert len(set(asked)) == 1


def test_password_is_not_computed_again_while_it_is_remembered(checked: list[bytes]):
    auth = BasicAuth(USERS, "r")
    assert auth.blocking_verify(RIGHT)
    assert auth.blocking_verify(RIGHT)
    assert checked == [b"secret"]


def test_number_of_remembered_credentials_is_bounded(
    auth: BasicAuth, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(basic_auth, "VERIFIED_MAX", 1)
    assert auth.blocking_verify(RIGHT)
    assert auth.blocking_verify(credential("zoë", "secret"))
    assert auth.look_up(RIGHT) is Decision.UNKNOWN
    assert auth.look_up(credential("zoë", "secret")) is Decision.ALLOWED


def test_password_is_not_among_what_is_remembered(auth: BasicAuth):
    assert auth.blocking_verify(RIGHT)
    remembered = repr(auth._verified).encode()
    for part in (b"secret", RIGHT[6:]):
        assert part not in remembered


# ---------------------------------------------------------------------------- what is answered


class Site:
    """A handler that notes in which threads it was called."""

    def __init__(self, fields: FieldLines | None = None, promise: object = None) -> None:
        self.threads: list[int] = []
        self._fields = fields or []
        self._promise = promise

    def __call__(self, request: Request) -> Response:
        self.threads.append(threading.get_ident())
        return Response(200, list(self._fields), (b"inside",), validity=self._promise)  # type: ignore[arg-type]


def in_a_thread(deferred: object) -> object:
    assert isinstance(deferred, Deferred)
    outcomes: list[object] = []
    thread = threading.Thread(target=lambda: outcomes.append(deferred.blocking_respond()))
    thread.start()
    thread.join(10)
    return outcomes[0]


def assert_challenged(response: object) -> None:
    assert isinstance(response, Response)
    assert response.status == 401
    assert response.fields == [(b"WWW-Authenticate", b'Basic realm="the realm", charset="UTF-8"')]
    assert response.validity is None


def test_request_without_a_credential_is_challenged_at_once(auth: BasicAuth):
    site = Site()
    assert_challenged(auth.protect(site)(asking(None)))
    assert site.threads == []


def test_wrong_password_is_challenged_by_a_thread(auth: BasicAuth):
    site = Site()
    deferred = auth.protect(site)(asking(WRONG))
    assert isinstance(deferred, Deferred)
    assert deferred.lane == "auth"
    assert_challenged(in_a_thread(deferred))
    assert site.threads == []


def test_handler_within_is_asked_in_the_thread_of_the_loop_only(auth: BasicAuth):
    site = Site()
    protected = auth.protect(site)
    rest = in_a_thread(protected(asking(RIGHT)))
    assert site.threads == []
    assert callable(rest)
    assert rest().status == 200
    answer = protected(asking(RIGHT))
    assert isinstance(answer, Response)
    assert answer.status == 200
    assert site.threads == [threading.get_ident()] * 2


@pytest.mark.parametrize("field", [None, b"public, max-age=60", b"no-store"])
def test_answer_is_kept_from_shared_caches_unless_it_speaks_of_caching_itself(
    auth: BasicAuth, field: bytes | None
):
    fields = [] if field is None else [(b"cache-control", field)]
    protected = auth.protect(Site(fields))
    first = in_a_thread(protected(asking(RIGHT)))
    assert callable(first)
    for answer in (first(), protected(asking(RIGHT))):
        assert isinstance(answer, Response)
        assert answer.fields == (fields or [(b"Cache-Control", b"private")])


class Promise:
    """A validity that holds."""

    valid_until_s = float("inf")

    def still_holds(self, now_s: float) -> bool:
        return True


def test_prepared_answer_is_found_only_with_the_credential_that_was_verified(auth: BasicAuth):
    """The whole way through the caches of the engine, as often as it takes to be remembered."""
    site = Site(promise=Promise())
    service = Service(auth.protect(site), DEPENDS_ON, Clock(), Limits(), None, Tally())

    def status(authorization: bytes | None, another: bytes = b"") -> int:
        field = b"" if authorization is None else b"Authorization: %b\r\n" % authorization
        raw_head = b"GET / HTTP/1.1\r\nHost: h\r\n" + field + another + b"\r\n"
        known = service.recall(raw_head) or service.answer(raw_head, NOWHERE)
        while isinstance(known, Pending):
            known = service.complete(known, known.blocking_work())
        assert isinstance(known, KnownHead)
        return known.plan.status

    for _ in range(4):
        assert [status(RIGHT), status(RIGHT, b"Cookie: a\r\n"), status(WRONG), status(None)] == [
            200,
            200,
            401,
            401,
        ]
    assert len(site.threads) < 8, "an answer must have been prepared, or this shows nothing"


# ---------------------------------------------------------------------------- what is configured


def test_realm_is_quoted():
    auth = BasicAuth(USERS, 'a "b" \\')
    assert auth.challenge == b'Basic realm="a \\"b\\" \\\\", charset="UTF-8"'


@pytest.mark.parametrize("realm", ["zoë", "a\r\nb", "a\tb", "\x7f"])
def test_realm_that_cannot_be_sent_is_refused(realm: str):
    with pytest.raises(ConfigError, match="realm"):
        BasicAuth(USERS, realm)


def test_nobody_is_not_enough():
    with pytest.raises(ConfigError, match="no user"):
        BasicAuth({}, "r")


def test_weak_hashes_are_told_of_and_others_are_not():
    assert BasicAuth(USERS, "r").warning.startswith("2 of the passwords")
    strong = b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
    assert BasicAuth({b"ann": strong}, "r").warning == ""


def test_htpasswd_file_is_read():
    content = (
        b"\xef\xbb\xbf# who may come in\r\n\r\nann:" + SECRET + b"\r\n"
        b"  zo\xc3\xab:" + SALTED + b":a comment\n#bob:secret\n"
    )
    assert parse_htpasswd(content, "users") == USERS


def test_empty_htpasswd_file_has_no_users():
    assert parse_htpasswd(b"\n# nobody\n", "users") == {}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"annsecret", "no user:hash"),
        (b":" + SECRET, "no user:hash"),
        (b"bob:secret", "not kept as bcrypt"),
        (b"bob:", "not kept as bcrypt"),
        (b"bo\x01b:" + SECRET, "control character"),
        (b"ann:" + SALTED, "named before"),
        (SECRET + b":bob", "not kept as bcrypt"),
    ],
    ids=["no colon", "no name", "plain", "empty", "control", "twice", "the wrong way round"],
)
def test_fault_in_a_file_is_told_by_its_line_and_nothing_of_it(line: bytes, what: str):
    with pytest.raises(ConfigError, match=f"^users, line 3: .*{what}") as caught:
        parse_htpasswd(b"ann:" + SECRET + b"\n\n" + line + b"\n", "users")
    shown = f"{caught.value} {caught.value.hint}"
    for part in line.split(b":"):
        assert not part or part.decode() not in shown


def test_user_of_the_command_line_is_read():
    assert parse_user("zoë:" + SALTED.decode()) == ("zoë".encode(), SALTED)


@pytest.mark.parametrize("text", ["ann:hunter2", "hunter2", ":hunter2", "ann:y0hunter2"])
def test_plain_password_on_the_command_line_is_refused_with_a_hint(text: str):
    with pytest.raises(ConfigError) as caught:
        parse_user(text)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert "htpasswd -nBC 10 USER" in caught.value.hint
    assert "single quotes" in caught.value.hint
