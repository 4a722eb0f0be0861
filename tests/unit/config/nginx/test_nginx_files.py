"""Whole configurations, of the kinds that people have: what becomes of them, and that chute can load it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chute.config.document import Document
from chute.config.nginx import Translation, translate
from chute.config.problems import InvalidConfig
from chute.config.quantities import decode_quantity
from chute.config.resolve import load_text

FOLDER = Path(__file__).resolve().parents[3] / "support" / "nginx_files"

WHOLE = sorted(
    path.name
    for path in FOLDER.glob("*.conf")
    if not path.name.startswith(("snippet_", "mime_", "debian_site"))
)

NOT_OF_THE_FILE = (
    "there is no file or folder",
    "there is no folder",
    "cannot read",
    "TLS is not built yet",
    "passing requests on is not built yet",
)
"""What is wrong on a machine without these folders, and what chute cannot do yet."""

Table = dict[str, Any]


def translated(name: str) -> tuple[Table, Translation]:
    translation = translate(str(FOLDER / name))
    return tomllib.loads(translation.text), translation


def where_left_out(translation: Translation) -> list[str]:
    return [f"{Path(each.file).name}:{each.line}" for each in translation.left_out]


def locations_of(site: Table) -> dict[str, Table]:
    return {location["match"]: location for location in site["location"]}


@pytest.mark.parametrize("name", WHOLE)
def test_file_becomes_a_document(name: str):
    table, _ = translated(name)
    msgspec.convert(table, Document, dec_hook=decode_quantity)


@pytest.mark.parametrize("name", WHOLE)
def test_file_becomes_a_configuration(name: str):
    _, translation = translated(name)
    try:
        load_text("chute.toml", translation.text, {})
    except InvalidConfig as error:
        wrong = [str(problem) for problem in error.problems]
        assert [line for line in wrong if not any(part in line for part in NOT_OF_THE_FILE)] == []


@pytest.mark.parametrize("name", WHOLE)
def test_source_of_a_program_is_never_sent(name: str):
    """Wherever nginx asks another program, chute must not send the file."""
    table, _ = translated(name)
    for site in table["site"]:
        for match, location in locations_of({"location": site.get("location", [])}).items():
            if "php(" in match or match.endswith(r"php$"):
                assert location.get("respond") in (403, 501), match
        index = site.get("files", {}).get("index", [])
        assert name == "drupal.conf" or "index.php" not in index


def test_debian():
    table, translation = translated("debian.conf")
    assert table["workers"] == "auto"
    assert table["listener"] == {"http": {"bind": ":80"}}
    (site,) = table["site"]
    assert (site["names"], site["default"], site["root"]) == (["_"], True, "/var/www/html")
    locations = locations_of(site)
    assert locations["/"]["files"]["try_files"] == ["$uri", "$uri/", "=404"]
    assert locations[r"~ \.php$"] == {"match": r"~ \.php$", "respond": 501}
    assert locations[r"~ /\.ht"] == {"match": r"~ /\.ht", "respond": 403}
    assert where_left_out(translation) == [
        *("debian.conf:1", "debian.conf:4", "debian.conf:28"),
        *("debian_site.conf:12", "debian_site.conf:24"),
        *("snippet_self_signed.conf:1", "snippet_self_signed.conf:2"),
        *(f"snippet_fastcgi_php.conf:{line}" for line in (2, 5, 8, 9, 11)),
    ]


def test_wordpress():
    (site,) = translated("wordpress.conf")[0]["site"]
    assert site["rewrite"] == [
        {"match": "/wp-admin$", "to": "$scheme://$host$uri/", "then": "permanent"}
    ]
    locations = locations_of(site)
    assert locations["/"]["files"]["try_files"] == ["$uri", "$uri/", "@fallback_1"]
    assert locations["@fallback_1"]["rewrite"] == [{"to": "/index.php?$args?", "then": "last"}]
    assert locations[r"~* /(?:uploads|files)/.*\.php$"]["respond"] == 403
    assert locations["= /favicon.ico"] == {"match": "= /favicon.ico", "log": "off"}


def test_nextcloud():
    table, _ = translated("nextcloud.conf")
    clear, site = table["site"]
    assert clear["rewrite"] == [
        {"redirect": {"to": "https://$server_name$request_uri", "status": 301}}
    ]
    assert table["map"]["asset_immutable"]["values"] == {"": ""}
    locations = locations_of(site)
    assert locations["= /"]["rewrite"] == [
        {
            "when": "$http_user_agent ~ ^DavClnt",
            "redirect": "/remote.php/webdav/$is_args$args",
        }
    ]
    known = locations["^~ /.well-known"]
    assert known["redirect"] == {"to": "/index.php$request_uri", "status": 301}
    assert [inner["match"] for inner in known["location"]] == [
        "= /.well-known/carddav",
        "= /.well-known/caldav",
        "/.well-known/acme-challenge",
    ]
    assert locations[r"~ \.(?:css|js|mjs|svg|gif|png|jpg|ico|wasm)$"]["fields"] == {
        "Cache-Control": "public, max-age=15778463$asset_immutable",
        "Referrer-Policy": "",
        "X-Frame-Options": "",
    }


def test_drupal():
    table, translation = translated("drupal.conf")
    (site,) = table["site"]
    assert table["listener"] == {"port_8080": {"bind": "0.0.0.0:8080"}}
    assert site["rewrite"] == [
        {
            "when": r"$request_uri ~* ^(.*/)index\.php/(.*)",
            "redirect": {"to": "$1$2", "status": 307},
        }
    ]
    locations = locations_of(site)
    assert locations["@rewrite"]["rewrite"] == [{"match": "^/(.*)$", "to": "/index.php?q=$1"}]
    assert locations["~ ^/sites/.*/private/"]["internal"] is True
    assert locations[r"~* \.(txt|log)$"]["respond"] == 403
    assert where_left_out(translation) == ["drupal.conf:7", "drupal.conf:8"]


def test_django():
    table, translation = translated("django.conf")
    nobody, site = table["site"]
    assert nobody == {"default": True, "rewrite": [{"respond": 400}]}
    assert site["error_pages"] == {"500 502 503 504": "/500.html"}
    locations = locations_of(site)
    assert locations["/static/"]["alias"] == "/srv/app/static/"
    assert locations["/static/"]["location"] == [{"match": r"~ \.map$", "respond": 403}]
    assert locations["= /favicon.ico"]["alias"] == "/srv/app/static/favicon.ico"
    assert locations["/"]["files"]["try_files"] == ["$uri", "@proxy_to_app"]
    assert locations["@proxy_to_app"] == {"match": "@proxy_to_app", "proxy": "app_server"}
    assert "django.conf:7" in where_left_out(translation)


def test_single_page_app():
    table, translation = translated("spa.conf")
    (site,) = table["site"]
    locations = locations_of(site)
    assert locations["/"]["files"] == {
        "try_files": ["$uri", "$uri/", "@fallback_1"],
        "cache": {"*": "no-cache"},
    }
    assert locations["@fallback_1"]["rewrite"] == [{"to": "/index.html?", "then": "last"}]
    assert locations["= /healthz"]["respond"] == {"text": "ok\n", "type": "text/plain"}
    assert translation.left_out == []


def test_laravel():
    (site,) = translated("laravel.conf")[0]["site"]
    assert site["files"] == {"index": [], "charset": "utf-8"}
    assert site["fields"] == {"X-Frame-Options": "SAMEORIGIN", "X-Content-Type-Options": "nosniff"}
    assert site["error_pages"] == {"404": "/index.php"}
    assert locations_of(site)[r"~ ^/index\.php(/|$)"]["respond"] == 501


def test_mirror():
    table, translation = translated("mirror.conf")
    assert table["limits"] == {"keep_alive_timeout": "65s"}
    assert table["defaults"]["files"]["open_files"] == 10_000
    (site,) = table["site"]
    assert site["log"] == [
        {"path": "/var/log/mirror/transfers.log", "format": "transfers"},
        {"path": "/var/log/mirror/failures.log", "when": "$is_failure"},
    ]
    assert table["map"]["is_failure"]["values"] == {"~^[23]": "0"}
    locations = locations_of(site)
    assert locations["/"]["files"] == {"listing": True}
    assert locations["/private/"]["location"] == [{"match": "/private/pool/", "auth": "off"}]
    assert where_left_out(translation) == ["mirror.conf:39", "mirror.conf:40"]


def test_redirects():
    table, translation = translated("redirects.conf")
    first, second, third = table["site"]
    assert table["listener"] == {"http": {"bind": ":80"}, "https": {"bind": ":443"}}
    assert first["rewrite"][0]["redirect"]["to"] == "https://example.org$request_uri"
    assert second["rewrite"][0]["redirect"]["to"] == "$scheme://example.org$request_uri"
    assert third["rewrite"] == [
        {"match": r"^/old/(\d+)/(.*)$", "to": "/new/$2?id=$1", "then": "permanent"},
        {"match": "^/blog/feed$", "to": "https://feeds.example.org/blog?", "then": "redirect"},
        {"when": r"$host !~* ^(www\.)?example\.org$", "respond": 404},
        {"when": "$request_method = POST", "respond": 405},
    ]
    assert {each.why for each in translation.left_out} == {"TLS is not built yet"}
