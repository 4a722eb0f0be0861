"""What cannot be carried over is told, and what it guarded stays shut."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_translation import LEVELS, Table, at_level, lines_of, translate_text

LEFT_OUT: list[tuple[str, str, Table, list[str]]] = [
    (
        "main",
        "user www-data;",
        {},
        [
            "user www-data: chute does not change its user: have the service manager start it as this one"
        ],
    ),
    ("main", "stream { server { listen 1; } }", {}, ["stream: chute speaks HTTP alone"]),
    (
        "http",
        "no_such_thing 1 'a b';",
        {},
        ['no_such_thing 1 "a b": chute knows no such directive'],
    ),
    (
        "http",
        "keepalive_timeout 0;",
        {},
        ["keepalive_timeout 0: 0 means that there is no bound, and chute always has one"],
    ),
    (
        "location",
        "client_max_body_size 1g;",
        {},
        [
            'client_max_body_size 1g: chute has one such bound for all sites: [limits] content_max = "1 GiB"'
        ],
    ),
    ("location", "root /srv/$host;", {}, ["root /srv/$host: chute takes no variables here"]),
    ("location", "limit_rate $arg_r;", {}, ["limit_rate $arg_r: chute takes no variables here"]),
    (
        "location",
        "try_files /always.html $uri =404;",
        {},
        ["try_files /always.html $uri =404: chute tries /always.html only as the last one"],
    ),
    (
        "location",
        "expires @15h;",
        {},
        ["expires @15h: chute counts from the request, and not to a time of day or from a file's"],
    ),
    (
        "location",
        "expires $arg_e;",
        {},
        ["expires $arg_e: chute takes no variables here; say [files.cache] by pattern"],
    ),
    (
        "server",
        "add_header X $upstream_addr;",
        {},
        ["add_header X $upstream_addr: chute has no variable $upstream_addr"],
    ),
    (
        "server",
        "add_header Content-Length 3;",
        {},
        [
            "add_header Content-Length 3: the field Content-Length cannot be set: it says how the message is made"
        ],
    ),
    (
        "server",
        "error_page 404 =200 /index.html;",
        {},
        [
            "error_page 404 =200 /index.html: chute shows a page with the status that there is, and no other"
        ],
    ),
    (
        "server",
        "error_page 404 https://example.org/;",
        {},
        [
            (
                "error_page 404 https://example.org/: chute shows a page with the status that there is,"
                " and sends nobody elsewhere"
            )
        ],
    ),
    (
        "server",
        "error_page 404 = @app;",
        {},
        ["error_page 404 = @app: chute shows a page with the status that there is, and no other"],
    ),
    (
        "location",
        "return 444;",
        {"respond": 400},
        ["return 444: chute has no answer 444; what it is for is answered with 400"],
    ),
    (
        "server",
        "set $args x;",
        {},
        ["set $args x: $args is a variable of every request, which chute does not change"],
    ),
    (
        "server",
        "set $a $geoip_city; set $b $a;",
        {},
        [
            "set $a $geoip_city: chute has no variable $geoip_city",
            "set $b $a: chute has no variable $a",
        ],
    ),
    (
        "server",
        "if (!-f $request_filename) { rewrite ^ /x last; }",
        {},
        ["if (!-f $request_filename): chute tests for no files here: try_files does, for paths"],
    ),
    (
        "server",
        "if ($arg_a) { root /x; return 403; }",
        {"rewrite": [{"when": "$arg_a", "respond": 403}]},
        ["root /x: in chute a condition is for rewrite, set, return and break alone"],
    ),
    (
        "server",
        "rewrite ^(a /x;",
        {},
        None,  # type: ignore[list-item] # what chute says about it is not ours
    ),
    (
        "http",
        "log_format up '$upstream_response_time'; access_log /a.log up;",
        {"log": "/a.log"},
        [
            "log_format up $upstream_response_time: chute has no variable $upstream_response_time",
            "access_log /a.log up: the format up was left out, and combined stands in its place",
        ],
    ),
    (
        "http",
        "access_log /a.log combined gzip;",
        {"log": "/a.log"},
        ["access_log /a.log combined gzip: chute does not compress logs"],
    ),
    (
        "http",
        "access_log syslog:server=unix:/dev/log;",
        {},
        [
            (
                "access_log syslog:server=unix:/dev/log: chute writes to files and to"
                " standard output, which a service manager collects"
            )
        ],
    ),
    (
        "http",
        "limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;",
        {},
        ["limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s: rates are not limited yet"],
    ),
    ("http", "geo $g { default 0; }", {}, ["geo $g: chute has no variables by address yet"]),
    # what guards something is never opened
    (
        "location",
        "allow 10.0.0.0/8; deny all;",
        {"respond": 403},
        [
            "allow 10.0.0.0/8: not built yet; what it guards answers 403 until you decide otherwise",
            "deny all: not built yet; what it guards answers 403 until you decide otherwise",
        ],
    ),
    (
        "location",
        "deny 10.0.0.1;",
        {},
        ["deny 10.0.0.1: not built yet, and what it keeps out is let in"],
    ),
    (
        "location",
        "auth_request /auth;",
        {"respond": 403},
        [
            "auth_request /auth: not built yet; what it guards answers 403 until you decide otherwise"
        ],
    ),
    (
        "location",
        "auth_basic x; auth_basic_user_file /users/$host;",
        {"respond": 403},
        [
            (
                "auth_basic_user_file /users/$host: chute takes no variables here;"
                " what it guards answers 403 until you decide otherwise"
            )
        ],
    ),
    (
        "location",
        "satisfy any; allow 10.0.0.0/8; deny all; auth_basic x; auth_basic_user_file /u;",
        {"auth": {"file": "/u", "realm": "x"}},
        [
            "satisfy any: addresses are not built yet: everybody is asked for the password",
            "allow 10.0.0.0/8: addresses are not built yet: everybody is asked",
            "deny all: addresses are not built yet: everybody is asked",
        ],
    ),
    # what another program answers is never sent as a file
    (
        "location",
        "root /y; fastcgi_pass localhost:9000;",
        {"respond": 501},
        [
            "fastcgi_pass localhost:9000: chute does not speak FastCGI; a Python application is hosted by `chute app`"
        ],
    ),
    (
        "location",
        "uwsgi_pass unix:/s;",
        {"respond": 501},
        [
            (
                "uwsgi_pass unix:/s: chute does not speak the uwsgi protocol;"
                " `chute app MODULE:ATTR` hosts the application itself"
            )
        ],
    ),
    (
        "location",
        "stub_status;",
        {"respond": 501},
        ["stub_status: chute has no page about its status yet"],
    ),
    (
        "location",
        "proxy_pass http://a:80;",
        {"proxy": "http://a:80"},
        [
            "proxy_pass http://a:80: chute does not pass requests on yet; carried over for the day it does"
        ],
    ),
    (
        "location",
        "proxy_pass http://$arg_h;",
        {"respond": 501},
        ["proxy_pass http://$arg_h: chute takes no variables here"],
    ),
]


@pytest.mark.parametrize(
    ("level", "text", "expected", "lines"), LEFT_OUT, ids=[f"{a}: {b}" for a, b, _, _ in LEFT_OUT]
)
def test_what_is_left_out_is_told(
    tmp_path: Path, level: str, text: str, expected: Table, lines: list[str] | None
):
    table, translation = translate_text(tmp_path, LEVELS[level].format(text))
    assert at_level(level, table) == expected
    assert translation.left_out
    if lines is not None:
        assert lines_of(translation) == lines


def test_left_out_tells_file_and_line(tmp_path: Path):
    _, translation = translate_text(tmp_path, "http {\n\n  ssi on;\n server { listen 80; }\n}\n")
    (only,) = translation.left_out
    assert str(only) == f"{tmp_path}/nginx.conf:3: ssi on: chute never changes content on its way"
    assert "#   nginx.conf:3: ssi on: chute never changes content on its way" in translation.text


BRIEFLY: list[tuple[str, str, str]] = [
    ("main", "worker_processes 0;", "'0' is no number of processes"),
    ("http", "large_client_header_buffers x 8k;", "'x' is no number"),
    ("http", "log_format a escape=x b;", "there is no escape 'x'"),
    ("http", "access_log /a.log combined x;", "'x' is not known"),
    ("http", "access_log a.log;", "is relative to nginx's own prefix; write the whole path"),
    ("http", "error_page 404 $uri;", "'$uri' is no path"),
    ("http", "error_page 404 /$uri;", "it needs a location of its own: say it in each server"),
    (
        "http",
        "map $arg_a $uri { }",
        "$uri is a variable of every request, which chute does not change",
    ),
    ("http", "map $arg_a $b { nonsense; }", "is no part of a map that chute knows"),
    ("http", "map $arg_a $b { a $nope; }", "chute has no variable $nope"),
    (
        "http",
        "gzip_types *;",
        "chute compresses what is worth it, and what is named, but not everything",
    ),
    ("http", "gzip_static always;", "chute sends `name.gz` to those who accept it"),
    ("http", "open_file_cache inactive=5s;", "'' is no number"),
    ("http", "types { }", "chute goes on to name the types that it knows"),
    ("http", "disable_symlinks x;", "'x' is not known"),
    ("http", "set $a b;", "nginx does not take it here either"),
    ("http", "send_timeout 5parsecs;", "'5parsecs' is no time"),
    ("http", "client_max_body_size huge;", "'huge' is no size"),
    (
        "server",
        "index /a.html;",
        "chute looks for an index page in the folder itself, and not for /a.html",
    ),
    ("server", "disable_symlinks on from=/a;", "chute looks at links beneath the root alone"),
    (
        "server",
        "autoindex_format json;",
        "clients ask for JSON with `?format=json` or an Accept field",
    ),
    ("server", "listen x:y:z;", "cannot listen at 'x:y:z:80'"),
    (
        "server",
        "default_type a/b;",
        "chute calls a file that it knows no type of application/octet-stream",
    ),
    ("server", "expires soon;", "'soon' is no time"),
    (
        "server",
        "add_header X $body_bytes_sent;",
        "chute does not know $body_bytes_sent at that time",
    ),
    (
        "server",
        "add_header Set-Cookie a; add_header Set-Cookie b;",
        "chute sends each field once, and cookies cannot be joined in one",
    ),
    ("server", "ssl_verify_client optional;", "TLS is not built yet"),
    ("server", "error_page 497 /x;", "497 is no status that chute shows a page for"),
    ("server", "error_page 404 x.html;", "'x.html' is no path"),
    ("server", "rewrite ^ /x sometimes;", "there is no flag 'sometimes'"),
    ("server", "rewrite ^ x;", "the new path does not begin with a slash"),
    ("server", "return a b;", "'a' is no status"),
    ("server", "return 301;", "a redirect needs somewhere to lead to, and 301 is one"),
    ("server", "if ($arg_a) { set $b $nope; }", "chute has no variable $nope"),
    ("server", "if ($arg_a > 1) { return 403; }", "chute has no comparison >"),
    ("server", "if ($arg_a =1) { return 403; }", "the condition cannot be understood"),
    ("server", "if (a = b) { return 403; }", "the condition cannot be understood"),
    (
        "location",
        "root data;",
        "is relative to nginx's own prefix, which `nginx -V` tells; write the whole path",
    ),
    (
        "location",
        "alias data/;",
        "is relative to nginx's own prefix, which `nginx -V` tells; write the whole path",
    ),
    ("location", "try_files $uri $uri/;", "nginx sends what is not found to $uri/ again, for ever"),
    ("location", "try_files $uri x;", "'x' is no path"),
    (
        "location",
        "try_files $uri /x$is_args;",
        "chute wants the query of a path behind a question mark",
    ),
    ("location", "try_files $uri$nope =404;", "chute has no variable $nope"),
    (
        "location",
        "auth_basic $arg_a;",
        "chute takes no variables here, and asks everybody for a password",
    ),
]


@pytest.mark.parametrize(
    ("level", "text", "why"), BRIEFLY, ids=[f"{a}: {b}" for a, b, _ in BRIEFLY]
)
def test_reason_is_told(tmp_path: Path, level: str, text: str, why: str):
    _, translation = translate_text(tmp_path, LEVELS[level].format(text))
    assert [each.why for each in translation.left_out] == [why]


def test_value_that_is_no_rule_about_caching_stays_a_field(tmp_path: Path):
    table, _ = translate_text(
        tmp_path, LEVELS["location"].format('add_header Cache-Control "a b c"; expires 1h;')
    )
    location = at_level("location", table)
    assert location == {"fields": {"Cache-Control": "max-age=3600, a b c"}}


def test_one_path_that_stands_for_a_folder_is_told(tmp_path: Path):
    _, translation = translate_text(tmp_path, "server { root /srv; location = /x { alias /y/; } }")
    assert lines_of(translation) == ["alias /y/: one path cannot stand for a folder in chute"]


def test_variable_that_is_a_map_is_not_set(tmp_path: Path):
    _, translation = translate_text(
        tmp_path, "http { map $arg_a $b { a 1; } server { root /srv; set $b 1; } }"
    )
    assert lines_of(translation) == ["set $b 1: $b is a map, and chute does not set those"]


def test_listeners_of_one_name_are_told_apart(tmp_path: Path):
    table, _ = translate_text(
        tmp_path, "server { listen unix:/a-b; listen unix:/a_b.sock; root /srv; }"
    )
    assert list(table["listener"]) == ["unix_a_b", "unix_a_b_2"]
