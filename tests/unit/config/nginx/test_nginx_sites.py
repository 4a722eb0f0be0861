"""Servers as sites: where they listen, what they are called, and which one is asked when nobody is."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_translation import Table, lines_of, translate_text


@pytest.mark.parametrize(
    ("listen", "name", "bind"),
    [
        ("80", "http", "0.0.0.0:80"),
        ("*:443", "https", "0.0.0.0:443"),
        ("127.0.0.1:8080", "port_8080_127_0_0_1", "127.0.0.1:8080"),
        ("127.0.0.1", "http_127_0_0_1", "127.0.0.1:80"),
        ("localhost:81", "port_81_localhost", "localhost:81"),
        ("[::]:80", "http_ipv6", "[::]:80"),
        ("[::]:80 ipv6only=off", "http", ":80"),
        ("[::1]", "http_1", "[::1]:80"),
        ("unix:/run/a-b.sock", "unix_run_a_b", "unix:/run/a-b.sock"),
        ("80 reuseport backlog=511 deferred so_keepalive=on", "http", "0.0.0.0:80"),
    ],
)
def test_listen_is_a_listener(tmp_path: Path, listen: str, name: str, bind: str):
    table, translation = translate_text(tmp_path, f"server {{ listen {listen}; root /srv; }}")
    assert table["listener"] == {name: {"bind": bind}}
    assert "listeners" not in table["site"][0]
    assert lines_of(translation) == []


def test_server_that_does_not_say_listens_at_port_80(tmp_path: Path):
    table, translation = translate_text(tmp_path, "server { root /srv; }")
    assert table["listener"] == {"http": {"bind": "0.0.0.0:80"}}
    assert any("listens at port 80" in note.why for note in translation.notes)


def test_both_families_are_one_listener_where_all_say_so(tmp_path: Path):
    table, _ = translate_text(
        tmp_path,
        "server { listen 80 default_server; listen [::]:80 default_server; listen 81; root /srv; }"
        " server { listen [::]:80; listen 80; listen [::]:81; server_name a.org; root /srv; }",
    )
    assert table["listener"] == {
        "http": {"bind": ":80"},
        "port_81": {"bind": "0.0.0.0:81"},
        "port_81_ipv6": {"bind": "[::]:81"},
    }
    assert [site["listeners"] for site in table["site"]] == [
        ["http", "port_81"],
        ["http", "port_81_ipv6"],
    ]


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("ssl", "TLS is not built yet"),
        ("http2", "chute speaks HTTP/1.1; clients that want HTTP/2 agree to that"),
        (
            "proxy_protocol",
            "the PROXY protocol is not built yet: chute would take it for a broken request",
        ),
        ("nonsense", "'nonsense' is not known"),
    ],
)
def test_option_that_is_lost_is_told(tmp_path: Path, option: str, why: str):
    _, translation = translate_text(tmp_path, f"server {{ listen 80 {option}; root /srv; }}")
    assert lines_of(translation) == [f"listen 80 {option}: {why}"]


def names_and_defaults(table: Table) -> list[tuple[list[str] | None, bool]]:
    return [(site.get("names"), site.get("default", False)) for site in table["site"]]


def test_default_server_is_told_of_its_site(tmp_path: Path):
    table, translation = translate_text(
        tmp_path,
        "server { listen 80; server_name a; root /srv; }"
        " server { listen 80 default_server; root /srv; }",
    )
    assert names_and_defaults(table) == [(["a"], False), (None, True)]
    assert lines_of(translation) == []


def test_server_without_a_name_answers_for_requests_without_host(tmp_path: Path):
    table, _ = translate_text(
        tmp_path, "server { server_name a; root /srv; } server { root /srv; } server { root /srv; }"
    )
    assert names_and_defaults(table) == [(["a"], False), ([""], False), (None, False)]


def test_default_at_one_address_alone_is_told(tmp_path: Path):
    table, translation = translate_text(
        tmp_path,
        "server { listen 81; server_name a; root /srv; }"
        " server { listen 80 default_server; listen 81; server_name b; root /srv; }",
    )
    assert names_and_defaults(table) == [(["a"], False), (["b"], False)]
    assert lines_of(translation) == [
        "listen 80 default_server: chute's site would be the default of port_81 too, which it is not in nginx"
    ]


def test_names_of_all_kinds_are_names(tmp_path: Path):
    table, translation = translate_text(
        tmp_path,
        r"server { server_name A.org .b.org *.c.org d.* _ ~^(?<user>.+)\.e\.org$; root /srv;"
        " return 301 https://e.org/$user; }",
    )
    site = table["site"][0]
    assert site["names"] == ["a.org", ".b.org", "*.c.org", "d.*", "_", r"~^(?<user>.+)\.e\.org$"]
    assert site["rewrite"][0]["redirect"]["to"] == "https://e.org/$user"
    assert lines_of(translation) == []


def test_name_that_is_taken_or_impossible_is_told(tmp_path: Path):
    table, translation = translate_text(
        tmp_path,
        "server { server_name a.org; root /srv; } server { server_name a.org b.org $hostname x:80; root /srv; }",
    )
    assert table["site"][1]["names"] == ["b.org"]
    assert [line.partition(": ")[2] for line in lines_of(translation)] == [
        "a.org is the name of an earlier server, which nginx takes",
        "the name of this machine is to be written out",
        "'x:80' is a name with a port",
    ]


def test_certificate_of_all_servers_is_for_those_that_speak_tls(tmp_path: Path):
    table, _ = translate_text(
        tmp_path,
        "http { ssl_certificate a.pem; ssl_certificate_key /k; server { listen 443 ssl; root /srv; }"
        " server { listen 80; root /srv; } server { listen 444 ssl; ssl_certificate /b; root /srv; } }",
    )
    assert [site.get("tls") for site in table["site"]] == [
        {"certificate": str(tmp_path / "a.pem"), "key": "/k"},
        None,
        {"certificate": "/b"},
    ]


@pytest.mark.parametrize(
    ("written", "match"),
    [
        ("/x", "/x"),
        ("= /x", "= /x"),
        ("=/x", "= /x"),
        ("^~ /x/", "^~ /x/"),
        ("^~/x/", "^~ /x/"),
        (r"~ \.php$", r"~ \.php$"),
        (r"~\.php$", r"~ \.php$"),
        (r"~* \.php$", r"~* \.php$"),
        (r"~*\.php$", r"~* \.php$"),
        ("@a", "@a"),
        (r'~ "^/[0-9]{3}/"', "~ ^/[0-9]{3}/"),
        (r'~ "^/x${A}"', "~ ^/x(?:$){A}"),
    ],
)
def test_location_keeps_its_modifier(tmp_path: Path, written: str, match: str):
    table, translation = translate_text(
        tmp_path, f"server {{ root /srv; location {written} {{ }} }}"
    )
    assert table["site"][0]["location"] == [{"match": match}]
    assert lines_of(translation) == []


@pytest.mark.parametrize("written", ["x/", "~ (", "! /x"])
def test_location_that_nothing_leads_to_is_told(tmp_path: Path, written: str):
    table, translation = translate_text(
        tmp_path, f"server {{ root /srv; location {written} {{ return 200; }} }}"
    )
    assert "location" not in table["site"][0]
    assert lines_of(translation)[0].startswith(f"location {written}: ")


def test_certificates_and_upstreams_come_over(tmp_path: Path):
    table, translation = translate_text(
        tmp_path,
        "upstream app { server 10.0.0.1; server b:81 weight=2; server c down; keepalive 4; }"
        " server { location / { proxy_pass http://app; } location /x/ { proxy_pass http://app/; } }",
    )
    assert table["upstream"] == {"app": {"servers": ["10.0.0.1:80", "b:81"]}}
    proxies = [location["proxy"] for location in table["site"][0]["location"]]
    assert proxies == ["app", "http://app/"]
    assert len(translation.left_out) == 5
