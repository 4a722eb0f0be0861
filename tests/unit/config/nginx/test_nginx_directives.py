"""Each directive by itself: what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_translation import LEVELS, Table, at_level, lines_of, translate_text

CARRIED: list[tuple[str, str, Table]] = [
    ("main", "worker_processes 4;", {"workers": 4}),
    ("main", "worker_processes auto;", {"workers": "auto"}),
    # bounds
    ("http", "client_header_timeout 5s;", {"limits": {"head_timeout": "5s"}}),
    ("http", "client_body_timeout 1m;", {"limits": {"body_timeout": "1m"}}),
    ("http", "keepalive_timeout 65;", {"limits": {"keep_alive_timeout": "65s"}}),
    ("server", "keepalive_timeout 65;", {}),
    ("http", "send_timeout 2m;", {"limits": {"send_timeout": "2m"}}),
    ("http", "lingering_timeout 500ms;", {"limits": {"linger_timeout": "500ms"}}),
    ("http", "client_max_body_size 10m;", {"limits": {"content_max": "10 MiB"}}),
    ("http", "sendfile_max_chunk 512k;", {"limits": {"chunk_max": "512 KiB"}}),
    (
        "http",
        "large_client_header_buffers 4 16k;",
        {"limits": {"target_max": "16 KiB", "head_max": "64 KiB"}},
    ),
    # files
    ("location", "root /srv/other/;", {"root": "/srv/other"}),
    ("location", "alias /srv/other/;", {"alias": "/srv/other/"}),
    ("location", "index a.html b.html;", {"files": {"index": ["a.html", "b.html"]}}),
    ("location", "autoindex on;", {"files": {"listing": True}}),
    ("http", "autoindex off;", {"files": {"listing": False}}),
    ("server", "charset utf-8;", {"files": {"charset": "utf-8"}}),
    ("location", "charset off;", {"files": {"charset": ""}}),
    ("server", "disable_symlinks if_not_owner;", {"files": {"links": "owner"}}),
    ("server", "disable_symlinks on;", {"files": {"links": "deny"}}),
    ("http", "gzip on;", {"files": {"compress": True}}),
    ("location", "gzip off;", {"files": {"compress": False}}),
    ("http", "gzip_static on;", {"files": {"sidecars": True}}),
    ("http", "gzip_min_length 1000;", {"files": {"compress_min": "1000"}}),
    ("http", "gzip_comp_level 6;", {"files": {"compress_level": {"gzip": 6}}}),
    ("http", "gzip_types a/b c/d;", {"files": {"compress_type": ["a/b", "c/d"]}}),
    (
        "location",
        "limit_rate 100k; limit_rate_after 1m;",
        {"files": {"limit_rate": "100 KiB/s", "limit_rate_after": "1 MiB"}},
    ),
    (
        "http",
        "open_file_cache max=1000 inactive=20s; open_file_cache_valid 30s;",
        {"files": {"open_files": 1000, "valid": "30s"}},
    ),
    ("http", "open_file_cache off;", {"files": {"valid": "0s"}}),
    ("http", "sendfile on;", {}),
    ("location", "sendfile off;", {"files": {"sendfile": "off"}}),
    ("location", "internal;", {"internal": True}),
    (
        "server",
        "types { application/x-thing thing; text/plain md; text/css css; }",
        {"files": {"media_type": {"thing": "application/x-thing", "md": "text/plain"}}},
    ),
    # what is tried
    ("location", "try_files $uri $uri/ =404;", {"files": {"try_files": ["$uri", "$uri/", "=404"]}}),
    (
        "location",
        "try_files $uri.html $uri =410;",
        {"files": {"try_files": ["$uri.html", "$uri", "=410"]}},
    ),
    (
        "location",
        "try_files /cache/$HOST$uri $uri/index.html =404;",
        {"files": {"try_files": ["/cache/$host$uri", "$uri/index.html", "=404"]}},
    ),
    # caching
    ("server", "expires 30d;", {"files": {"cache": {"*": "max-age=2592000"}}}),
    ("server", "expires -1;", {"files": {"cache": {"*": "no-cache"}}}),
    ("server", "expires epoch;", {"files": {"cache": {"*": "no-cache"}}}),
    ("server", "expires max;", {"files": {"cache": {"*": "max-age=315360000"}}}),
    ("server", "expires 1h30m;", {"files": {"cache": {"*": "max-age=5400"}}}),
    ("server", "expires off;", {}),
    (
        "location",
        "expires 1h; return 200 x;",
        {
            "fields": {"Cache-Control": "max-age=3600"},
            "respond": {"text": "x", "type": "text/plain"},
        },
    ),
    ("location", "expires 1h; return 404;", {"respond": 404}),
    (
        "location",
        'expires 1y; add_header Cache-Control "public, immutable";',
        {"files": {"cache": {"*": "max-age=31536000, public, immutable"}}},
    ),
    ("location", "add_header Cache-Control no-store;", {"files": {"cache": {"*": "no-store"}}}),
    (
        "location",
        "add_header Cache-Control no-store always;",
        {"fields": {"Cache-Control": "no-store"}},
    ),
    (
        "location",
        "expires 1h; add_header Cache-Control $arg_c;",
        {"fields": {"Cache-Control": "max-age=3600, $arg_c"}},
    ),
    # fields
    ("server", "add_header X-A b always;", {"fields": {"X-A": "b"}}),
    ("server", 'add_header X-Id "$Request_ID";', {"fields": {"X-Id": "$request_id"}}),
    ("server", "add_header X-S $status;", {"fields": {"X-S": "$status"}}),
    ("server", "add_header Link <a>; add_header link <b>;", {"fields": {"Link": "<a>, <b>"}}),
    ("server", 'add_header X-A "";', {}),
    # failures
    ("server", "error_page 404 /404.html;", {"error_pages": {"404": "/404.html"}}),
    ("server", "error_page 500 502 /50x.html;", {"error_pages": {"500 502": "/50x.html"}}),
    ("server", "error_page 404 /a; error_page 404 /b;", {"error_pages": {"404": "/a"}}),
    ("server", "error_page 404 @gone;", {"error_pages": {"404": "@gone"}}),
    ("server", "error_page 404 /e?code=404;", {"error_pages": {"404": "/e?code=404"}}),
    # answers
    ("location", "return 404;", {"respond": 404}),
    ("location", "return 204;", {"respond": 204}),
    (
        "location",
        'return 200 "a $host\\n";',
        {"respond": {"text": "a $host\n", "type": "text/plain"}},
    ),
    (
        "location",
        'return 403 "no";',
        {"respond": {"status": 403, "text": "no", "type": "text/plain"}},
    ),
    (
        "location",
        "default_type application/json; return 200 '{}';",
        {"respond": {"text": "{}", "type": "application/json"}},
    ),
    (
        "location",
        "return 200 x; default_type a/b;",
        {"respond": {"text": "x", "type": "a/b"}},
    ),
    (
        "location",
        "return 200 x; charset utf-8;",
        {"respond": {"text": "x"}},
    ),
    (
        "location",
        "default_type text/html; charset koi8-r; return 200 x;",
        {"respond": {"text": "x", "type": "text/html; charset=koi8-r"}},
    ),
    ("location", "return https://example.org/;", {"redirect": "https://example.org/"}),
    ("location", "return 302 /y;", {"redirect": "/y"}),
    (
        "location",
        "return 308 /y$is_args$args;",
        {"redirect": {"to": "/y$is_args$args", "status": 308}},
    ),
    ("server", "return 301 /y;", {"rewrite": [{"redirect": {"to": "/y", "status": 301}}]}),
    ("server", "return 410;", {"rewrite": [{"respond": 410}]}),
    # steps
    (
        "server",
        "rewrite ^/a/(.*)$ /b/$1 last;",
        {"rewrite": [{"match": "^/a/(.*)$", "to": "/b/$1", "then": "last"}]},
    ),
    (
        "location",
        "rewrite ^ /b? break;",
        {"rewrite": [{"match": "^", "to": "/b?", "then": "break"}]},
    ),
    ("server", "rewrite ^/a /b;", {"rewrite": [{"match": "^/a", "to": "/b"}]}),
    (
        "server",
        "rewrite ^/a https://x.org/;",
        {"rewrite": [{"match": "^/a", "to": "https://x.org/", "then": "redirect"}]},
    ),
    (
        "server",
        "rewrite ^/a $scheme://x.org/ permanent;",
        {"rewrite": [{"match": "^/a", "to": "$scheme://x.org/", "then": "permanent"}]},
    ),
    ("server", "set $a b$arg_c;", {"rewrite": [{"set": "a", "to": "b$arg_c"}]}),
    (
        "server",
        "set $A 1; set $b $A$a${A}x;",
        {"rewrite": [{"set": "a", "to": "1"}, {"set": "b", "to": "$a$a${a}x"}]},
    ),
    ("server", "break;", {"rewrite": [{"then": "break"}]}),
    (
        "location",
        "set $a 1; return 200 $a;",
        {"rewrite": [{"set": "a", "to": "1"}], "respond": {"text": "$a", "type": "text/plain"}},
    ),
    (
        "location",
        "rewrite ^ /a; return 200 x;",
        {"rewrite": [{"match": "^", "to": "/a"}, {"respond": {"text": "x", "type": "text/plain"}}]},
    ),
    (
        "location",
        "rewrite ^ /a break; return 404;",
        {"rewrite": [{"match": "^", "to": "/a", "then": "break"}, {"respond": 404}]},
    ),
    # conditions
    (
        "server",
        "if ($request_method = POST) { return 405; }",
        {"rewrite": [{"when": "$request_method = POST", "respond": 405}]},
    ),
    ("server", "if ($arg_a) { return 405; }", {"rewrite": [{"when": "$arg_a", "respond": 405}]}),
    (
        "server",
        'if ($arg_a != "") { return 405; }',
        {"rewrite": [{"when": '$arg_a != ""', "respond": 405}]},
    ),
    (
        "server",
        'if ($http_user_agent ~* "a b|c") { return 405; }',
        {"rewrite": [{"when": "$http_user_agent ~* a b|c", "respond": 405}]},
    ),
    (
        "server",
        "if ($host !~ ^www) { rewrite ^ /x last; }",
        {"rewrite": [{"when": "$host !~ ^www", "match": "^", "to": "/x", "then": "last"}]},
    ),
    (
        "server",
        "if ($host ~ ^(.*)\\.org$) { set $a $1; set $b 2; }",
        {
            "rewrite": [
                {"when": "$host ~ ^(.*)\\.org$", "set": "a", "to": "$1"},
                {"when": "$host ~ ^(.*)\\.org$", "set": "b", "to": "2"},
            ]
        },
    ),
    (
        "server",
        "set $a 1; if ($a = 1) { set $a 2; return 403; }",
        {
            "rewrite": [
                {"set": "a", "to": "1"},
                {"set": "if_line_1", "to": ""},
                {"when": "$a = 1", "set": "if_line_1", "to": "1"},
                {"when": "$if_line_1", "set": "a", "to": "2"},
                {"when": "$if_line_1", "respond": 403},
            ]
        },
    ),
    (
        "server",
        "if ($uri ~ ^/a) { rewrite ^ /b; rewrite ^/b /c last; }",
        {
            "rewrite": [
                {"set": "if_line_1", "to": ""},
                {"when": "$uri ~ ^/a", "set": "if_line_1", "to": "1"},
                {"when": "$if_line_1", "match": "^", "to": "/b"},
                {"when": "$if_line_1", "match": "^/b", "to": "/c", "then": "last"},
            ]
        },
    ),
    # maps
    (
        "http",
        "map $Host $B { default 0; a.org 1; ~^b 2; ~*^c $arg_x; '' 3; volatile; }",
        {
            "map": {
                "b": {
                    "source": "$host",
                    "default": "0",
                    "values": {"a.org": "1", "": "3", "~^b": "2", "~*^c": "$arg_x"},
                }
            }
        },
    ),
    (
        "http",
        "map $host $b { hostnames; .a.org 1; *.b.a.org 2; www.* 3; ~x 4; }",
        {
            "map": {
                "b": {
                    "source": "$host",
                    "values": {
                        "a.org": "1",
                        r"~*.\.b\.a\.org$": "2",
                        r"~*.\.a\.org$": "1",
                        r"~*^www\.": "3",
                        "~x": "4",
                    },
                }
            }
        },
    ),
    # logs
    ("http", "access_log off;", {"log": "off"}),
    ("http", "access_log /var/log/a.log;", {"log": "/var/log/a.log"}),
    ("http", "access_log /dev/stdout combined;", {"log": "-"}),
    (
        "http",
        "log_format short '$remote_addr ' '$status'; access_log /a.log short if=$arg_l buffer=4k;",
        {
            "log_format": {"short": "$remote_addr $status"},
            "log": [{"path": "/a.log", "format": "short", "when": "$arg_l"}],
        },
    ),
    (
        "http",
        'access_log /a.log json; log_format json escape=json \'{"u":"$uri"}\';',
        {
            "log_format": {"nginx_json": {"template": '{"u":"$uri"}', "escape": "json"}},
            "log": [{"path": "/a.log", "format": "nginx_json"}],
        },
    ),
    ("location", "access_log /a; access_log /b;", {"log": [{"path": "/a"}, {"path": "/b"}]}),
    # who may come in
    (
        "location",
        'auth_basic "A b"; auth_basic_user_file /etc/users;',
        {"auth": {"file": "/etc/users", "realm": "A b"}},
    ),
    ("location", "auth_basic x;", {}),
    ("location", "deny all;", {"respond": 403}),
    ("location", "allow all;", {}),
    ("location", "deny all; return 301 /;", {"redirect": {"to": "/", "status": 301}}),
]


@pytest.mark.parametrize(
    ("level", "text", "expected"), CARRIED, ids=[f"{a}: {b}" for a, b, _ in CARRIED]
)
def test_directive_is_carried_over(tmp_path: Path, level: str, text: str, expected: Table):
    table, translation = translate_text(tmp_path, LEVELS[level].format(text))
    assert at_level(level, table) == expected
    assert lines_of(translation) == []
