"""What pages of other origins are told that they may read and ask for."""

from __future__ import annotations

import msgspec
import pytest

from chute.errors import ConfigError
from chute.exchange import Deferred, FieldLines, Handler, Receiving, Request, Response, failure
from chute.middleware.cors import DEPENDS_ON, EXPOSED, CorsOptions, depends_on, with_cors
from chute.semantics.messages import RequestHead

APP = "https://app.example.org"
OTHER = "https://evil.example"
LISTED = CorsOptions(origins=(APP, "http://localhost:3000"), exposed=("ETag", "X-Own"))
OPEN = CorsOptions(exposed=("ETag",))


def asking(method: str = "GET", **fields: str) -> Request:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return Request(RequestHead(method.encode(), b"/a", 1, lines), b"/a", None, b"h")


def preflight(origin: str, method: str = "GET", **fields: str) -> Request:
    return asking("OPTIONS", origin=origin, access_control_request_method=method, **fields)


def answering(*fields: tuple[bytes, bytes]) -> Handler:
    return lambda request: Response(200, list(fields))


def fields_told(options: CorsOptions, request: Request, *own: tuple[bytes, bytes]) -> FieldLines:
    answer = with_cors(answering(*own), options)(request)
    assert isinstance(answer, Response)
    assert answer.status == 200
    return answer.fields


EVERYONE = [(b"Access-Control-Allow-Origin", b"*"), (b"Access-Control-Expose-Headers", b"ETag")]
VARY = (b"Vary", b"Origin")
APP_ALLOWED = [
    VARY,
    (b"Access-Control-Allow-Origin", APP.encode()),
    (b"Access-Control-Expose-Headers", b"ETag, X-Own"),
]


def test_all_origins_are_told_the_same_and_so_is_who_has_none():
    assert fields_told(OPEN, asking()) == EVERYONE
    assert fields_told(OPEN, asking(origin=OTHER)) == EVERYONE


def test_listed_origin_may_read():
    assert fields_told(LISTED, asking(origin=APP)) == APP_ALLOWED


@pytest.mark.parametrize(
    "origin",
    [
        OTHER,
        "null",
        "*",
        "",
        APP.upper(),
        APP + "/",
        APP + ":443",
        APP + ".evil.example",
        "http://app.example.org",
        "https://xapp.example.org",
        f"{APP}, {APP}",
        f"{APP} {OTHER}",
    ],
)
def test_any_other_origin_is_told_nothing_but_that_it_matters(origin: str):
    assert fields_told(LISTED, asking(origin=origin)) == [VARY]


def test_request_without_origin_is_told_that_it_matters_for_a_cache_may_hand_the_answer_on():
    assert fields_told(LISTED, asking()) == [VARY]


def test_vary_of_the_answer_is_kept_beside_ours():
    told = fields_told(LISTED, asking(origin=APP), (b"Vary", b"Accept"))
    assert told == [(b"Vary", b"Accept"), *APP_ALLOWED]


def test_answer_that_speaks_for_itself_is_left_alone():
    own = (b"access-control-allow-origin", b"https://its.own")
    assert fields_told(OPEN, asking(origin=APP), own) == [own]
    assert fields_told(LISTED, asking(origin=APP), own) == [own, VARY]


def test_errors_may_be_read_too():
    answer = with_cors(lambda request: failure(404, "No."), OPEN)(asking(origin=APP))
    assert isinstance(answer, Response)
    assert (answer.status, answer.explanation, answer.fields) == (404, "No.", EVERYONE)


def test_answer_of_a_thread_and_one_left_to_the_loop_are_told_alike():
    def in_loop() -> Response:
        return Response(200, [])

    at_once = with_cors(lambda request: Deferred(in_loop, "lane"), OPEN)(asking())
    later = with_cors(lambda request: Deferred(lambda: in_loop, "lane"), OPEN)(asking())
    assert isinstance(at_once, Deferred)
    assert isinstance(later, Deferred)
    response, rest = at_once.blocking_respond(), later.blocking_respond()
    assert callable(rest)
    for answer in (response, rest()):
        assert isinstance(answer, Response)
        assert answer.fields == EVERYONE


class Intake:
    def blocking_take(self, block: bytes) -> Response | None:
        return None

    def blocking_finish(self) -> Response:
        return Response(201, [(b"Location", b"/a")])

    def blocking_give_up(self) -> None:
        pass


def test_answer_to_an_upload_is_told_alike():
    receiving = Receiving(Intake(), "disk", content_bytes_max=1)
    answer = with_cors(lambda request: receiving, OPEN)(asking("PUT", origin=APP))
    assert isinstance(answer, Receiving)
    assert answer.intake.blocking_finish().fields == [(b"Location", b"/a"), *EVERYONE]


# ---------------------------------------------------------------------------- preflights


def answer_preflight(options: CorsOptions, request: Request) -> FieldLines:
    def never(request: Request) -> Response:
        raise AssertionError("a preflight has reached the handler")

    answer = with_cors(never, options)(request)
    assert isinstance(answer, Response)
    assert (answer.status, answer.pieces, answer.validity) == (204, (), None)
    return answer.fields


def permissions(methods: bytes, max_age: bytes) -> FieldLines:
    return [
        (b"Access-Control-Allow-Methods", methods),
        (b"Access-Control-Allow-Headers", b"*, Authorization"),
        (b"Access-Control-Max-Age", max_age),
    ]


def test_preflight_is_told_what_is_allowed():
    options = CorsOptions(methods=("GET", "PUT"), max_age_s=60)
    assert answer_preflight(options, preflight(APP, "PUT")) == [
        (b"Access-Control-Allow-Origin", b"*"),
        *permissions(b"GET, PUT", b"60"),
    ]


def test_preflight_of_a_listed_origin_is_told_its_own():
    assert answer_preflight(LISTED, preflight(APP)) == [
        VARY,
        (b"Access-Control-Allow-Origin", APP.encode()),
        *permissions(b"GET, HEAD", b"7200"),
    ]


def test_preflight_of_another_origin_is_told_nothing():
    assert answer_preflight(LISTED, preflight(OTHER)) == [VARY]


@pytest.mark.parametrize(
    "junk", ["a\x01b", "x" * 30_000, "<script>", "a: b", ",,,,", "X-A\r\nX-Evil: 1", "DELETE"]
)
def test_nothing_that_a_preflight_asks_for_is_repeated(junk: str):
    plain = answer_preflight(OPEN, preflight(APP))
    for request in (
        preflight(junk),
        preflight(APP, junk),
        preflight(APP, access_control_request_headers=junk),
    ):
        assert answer_preflight(OPEN, request) == plain
    assert answer_preflight(LISTED, preflight(junk)) == [VARY]


@pytest.mark.parametrize(
    "request_",
    [
        asking("OPTIONS"),
        asking("OPTIONS", origin=APP),
        asking("OPTIONS", access_control_request_method="GET"),
        asking("GET", origin=APP, access_control_request_method="GET"),
    ],
    ids=["options alone", "no method asked for", "no origin", "another method"],
)
def test_what_is_no_preflight_reaches_the_handler(request_: Request):
    """tus asks with OPTIONS what a server can do."""
    assert fields_told(OPEN, request_, (b"Tus-Version", b"1.0.0"))[0] == (b"Tus-Version", b"1.0.0")


# ---------------------------------------------------------------------------- options


def test_answers_depend_on_the_origin_only_where_origins_differ():
    assert depends_on(OPEN) == frozenset()
    assert depends_on(LISTED) == DEPENDS_ON == frozenset({b"origin"})


def test_nothing_exposed_is_no_empty_field():
    assert fields_told(CorsOptions(exposed=()), asking()) == [EVERYONE[0]]


def test_fields_for_parts_and_uploads_are_exposed_by_default():
    for name in (
        "Content-Length",
        "Content-Range",
        "Accept-Ranges",
        "ETag",
        "Last-Modified",
        "Content-Disposition",
        "Repr-Digest",
        "Location",
        "Upload-Offset",
        "Tus-Resumable",
    ):
        assert name in EXPOSED
    told = dict(fields_told(CorsOptions(), asking()))
    assert told[b"Access-Control-Expose-Headers"] == ", ".join(EXPOSED).encode()


@pytest.mark.parametrize(
    "origin",
    [
        "https://a.example",
        "http://localhost",
        "http://127.0.0.1:8000",
        "http://[::1]:8000",
        "https://xn--bcher-kva.example",
        "http://a.example:443",
        "capacitor://localhost",
    ],
)
def test_origin_as_browsers_write_it_is_taken(origin: str):
    request = asking(origin=origin)
    assert (b"Access-Control-Allow-Origin", origin.encode()) in fields_told(
        CorsOptions(origins=(origin,)), request
    )


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "*",
        "null",
        "a.example",
        "https://",
        "https://a.example/",
        "https://a.example/path",
        "https://A.example",
        "HTTPS://a.example",
        "https://a.example:443",
        "http://a.example:80",
        "https://a.example:",
        "https://*.a.example",
        "https://bücher.example",
        "https://user@a.example",
        "https://a.example\r\nX: y",
        "://a.example",
    ],
)
def test_origin_that_no_browser_sends_is_refused(origin: str):
    with pytest.raises(ConfigError, match="no origin as browsers send it"):
        with_cors(answering(), CorsOptions(origins=(APP, origin)))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (CorsOptions(origins=()), "no origin"),
        (CorsOptions(methods=()), "no method is allowed"),
        (CorsOptions(methods=("GET, PUT",)), "'GET, PUT' is no method"),
        (CorsOptions(methods=("",)), "is no method"),
        (CorsOptions(exposed=("ETag:",)), "'ETag:' is no field name"),
        (CorsOptions(exposed=("Zoë",)), "is no field name"),
        (CorsOptions(max_age_s=-1), "0 to 86400"),
        (CorsOptions(max_age_s=86_401), "0 to 86400"),
    ],
    ids=["origins", "methods", "method", "empty method", "field", "umlaut", "below", "above"],
)
def test_options_that_mean_nothing_are_refused(options: CorsOptions, what: str):
    with pytest.raises(ConfigError, match=what):
        with_cors(answering(), options)


@pytest.mark.parametrize("origins", ["*", [APP]])
def test_options_can_be_decoded_from_a_configuration(origins: object):
    options = msgspec.convert({"origins": origins}, CorsOptions)
    assert options.origins == ("*" if origins == "*" else (APP,))
