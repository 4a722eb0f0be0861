"""Every directive of nginx is carried over, implied or reported, whatever its arguments, and wherever it stands.

Invariants: nothing but `Refused` leaves the function for a directive, and that not further than the report; a directive
that left no trace in the configuration left one in the report; what comes out is a document that chute knows.
"""

from __future__ import annotations

import tomllib

import msgspec
import pytest
from crossplane.analyzer import DIRECTIVES
from hypothesis import given, settings
from hypothesis import strategies as st

from chute.config.document import Document
from chute.config.nginx.directives import CARRIED, carry_over, finish
from chute.config.nginx.levels import Level, Migration
from chute.config.nginx.names import Variables
from chute.config.nginx.reasons import IMPLIED, UNKNOWN, why_left_out
from chute.config.nginx.statements import Statement
from chute.config.nginx.translation import translate_statements
from chute.config.quantities import decode_quantity

# Read by the levels themselves, and by `upstream`.
ELSEWHERE = frozenset(
    {
        *("http", "server", "location", "include", "listen", "server_name"),
        *("ssl_certificate", "ssl_certificate_key"),
        *("hash", "ip_hash", "keepalive", "least_conn", "random", "zone", "state", "queue"),
        *("least_time", "ntlm", "sticky", "sticky_cookie_insert"),
    }
)
# Of the commercial edition, of `mail` and of `stream`; and what has long been taken out of nginx.
FOREIGN = frozenset(
    {
        *("health_check", "keyval", "keyval_zone", "match", "status", "status_format"),
        *("status_zone", "upstream_conf", "session_log", "session_log_format", "limit_zone"),
        *("session_log_zone", "hls_buffers", "hls_forward_args", "hls_fragment"),
        *("hls_mp4_buffer_size", "hls_mp4_max_buffer_size", "f4f_buffer_size"),
    }
)

_WITHIN_MAIL_OR_STREAM = (1 << 20) | (1 << 21) | (1 << 22) | (1 << 23) | (1 << 24)
NAMES = sorted(
    name
    for name, masks in DIRECTIVES.items()
    if name not in FOREIGN and any(mask & 0xFFFC0000 & ~_WITHIN_MAIL_OR_STREAM for mask in masks)
)

ARGUMENTS = [
    *[(), ("on",), ("off",), ("1",), ("0",), ("a",), ("$a",), ("/x",), ("=404",), ("",), ("~",)],
    *[("a", "b"), ("$a", "$b"), ("404", "/x"), ("/x", "=404"), ("$uri", "/x?$args"), ("~(", "b")],
    *[("$a", "~", "("), ("a", "b", "c"), ("^/(.*)$", "/$1", "last"), ("$host", "=", "a")],
]

KINDS = ("http", "server", "location")


def test_list_is_one_of_nginx():
    assert len(NAMES) > 500
    assert {"root", "try_files", "proxy_pass", "worker_processes", "map", "if"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_there_is_something_to_say_about(name: str):
    if name not in ELSEWHERE and name not in CARRIED and name not in IMPLIED:
        assert why_left_out(name) != UNKNOWN


def level_of(migration: Migration, kind: str) -> Level:
    if kind == "http":
        return migration.defaults
    server = Level("server", None, migration.defaults)
    if kind == "server":
        return server
    location = Level("location", Statement("nginx.conf", 1, "location", ("/a/",)), server)
    location.table["match"] = "/a/"
    return location


def trace_of(migration: Migration, level: Level) -> str:
    return repr(
        (
            *(level.table, level.said, level.steps, level.server.locations),
            *(migration.limits, migration.workers, migration.maps, migration.upstreams),
            migration.log_formats,
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_dropped_in_silence(name: str):
    for arguments in ARGUMENTS:
        for kind in KINDS:
            for block in (None, ()) if name in CARRIED else (None,):
                statement = Statement("nginx.conf", 2, name, arguments, block)
                migration = Migration(Variables([statement]), "/etc/nginx", 1)
                level = level_of(migration, kind)
                before = trace_of(migration, level)
                carry_over(migration, level, statement)
                is_traced = trace_of(migration, level) != before
                assert is_traced or migration.report.left_out or migration.report.notes, statement
                finish(migration, level)


WORDS = st.sampled_from(
    [word for arguments in ARGUMENTS for word in arguments]
    + ["1m", "10s", "default_server", "ssl", "80", "[::]:80", "unix:/x", "@a", "all", "301", "any"]
    + ["https://example.org$request_uri", "always", "~*", "^~", ".example.org", "_", "$scheme"]
)
STATEMENTS = st.deferred(
    lambda: st.builds(
        Statement,
        file=st.just("nginx.conf"),
        line=st.integers(1, 50),
        name=st.sampled_from(
            sorted({*CARRIED, "location", "listen", "server_name", "ssl_certificate"})
        ),
        arguments=st.lists(WORDS, max_size=4).map(tuple),
        block=st.one_of(st.none(), st.lists(STATEMENTS, max_size=4).map(tuple)),
    )
)
SERVERS = st.builds(
    Statement,
    file=st.just("nginx.conf"),
    line=st.integers(1, 50),
    name=st.just("server"),
    block=st.lists(STATEMENTS, max_size=8).map(tuple),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(SERVERS, STATEMENTS), max_size=6))
def test_whatever_is_written_becomes_a_document(statements: list[Statement]):
    http = Statement("nginx.conf", 1, "http", (), tuple(statements))
    translation = translate_statements([http], "nginx.conf")
    table = tomllib.loads(translation.text)
    msgspec.convert(table, Document, dec_hook=decode_quantity)
