"""The twin of chute.semantics.media_types."""

from __future__ import annotations

import re

import pytest

from chute.semantics import media_types
from chute.semantics.media_types import DEFAULT_MEDIA_TYPE, media_type_for_name

EXTENSIONS_BY_TYPE = media_types._EXTENSIONS_BY_TYPE


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(b"index.html", b"text/html; charset=utf-8", id="page"),
        pytest.param(b"INDEX.HTML", b"text/html; charset=utf-8", id="upper case"),
        pytest.param(b"app.mjs", b"text/javascript; charset=utf-8", id="script"),
        pytest.param(b"data.json", b"application/json", id="JSON has no charset"),
        pytest.param(b"logo.svg", b"image/svg+xml", id="SVG declares its own"),
        pytest.param(b"feed.xml", b"application/xml", id="XML declares its own"),
        pytest.param(b"segment.ts", b"video/mp2t", id="transport stream"),
        pytest.param(b"source.tar.gz", b"application/gzip", id="compound name"),
        pytest.param(b"a.b.c.PNG", b"image/png", id="several dots"),
        pytest.param(b"model.safetensors", b"application/octet-stream", id="known, without type"),
        pytest.param(b"demo-1.0-py3-none-any.whl", b"application/zip", id="wheel"),
        pytest.param(b"\xff\xfe.css", b"text/css; charset=utf-8", id="not UTF-8"),
        pytest.param(b"README", DEFAULT_MEDIA_TYPE, id="no extension"),
        pytest.param(b"html", DEFAULT_MEDIA_TYPE, id="a name like an extension"),
        pytest.param(b".html", DEFAULT_MEDIA_TYPE, id="hidden name"),
        pytest.param(b"name.", DEFAULT_MEDIA_TYPE, id="nothing behind the dot"),
        pytest.param(b"name.unheard-of", DEFAULT_MEDIA_TYPE, id="unknown extension"),
        pytest.param(b"", DEFAULT_MEDIA_TYPE, id="empty"),
    ],
)
def test_media_type_follows_the_extension(name: bytes, expected: bytes) -> None:
    assert media_type_for_name(name) == expected


@pytest.mark.parametrize(
    "extension",
    [
        "html",
        "css",
        "js",
        "json",
        "map",
        "svg",
        "png",
        "jpg",
        "webp",
        "avif",
        "gif",
        "ico",
        "mp4",
        "webm",
        "mp3",
        "ogg",
        "opus",
        "wav",
        "flac",
        "pdf",
        "zip",
        "gz",
        "zst",
        "br",
        "tar",
        "xz",
        "7z",
        "woff",
        "woff2",
        "ttf",
        "otf",
        "wasm",
        "xml",
        "txt",
        "md",
        "csv",
        "parquet",
        "rst",
        "yaml",
        "toml",
        "atom",
        "rss",
        "webmanifest",
        "m3u8",
    ],
)
def test_media_type_of_everyday_files_is_known(extension: str) -> None:
    assert media_type_for_name(b"name." + extension.encode()) != DEFAULT_MEDIA_TYPE


def test_no_extension_is_claimed_twice() -> None:
    extensions = " ".join(EXTENSIONS_BY_TYPE.values()).split()
    assert len(set(extensions)) == len(extensions)


@pytest.mark.parametrize("media_type", EXTENSIONS_BY_TYPE)
def test_charset_is_on_text_and_nothing_else(media_type: str) -> None:
    match = re.fullmatch(r"([a-z]+)/[a-z0-9.+-]+(; charset=utf-8)?", media_type)
    assert match is not None
    assert (match[1] == "text") is (match[2] is not None)
