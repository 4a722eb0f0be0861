"""Content codings: what comes out can be decoded by others, and is the same every time."""

from __future__ import annotations

import gzip
import os
import random

import pytest

from chute.static import codecs
from chute.static.codecs import (
    BR,
    CODINGS,
    GZIP,
    LEVELS,
    ZSTD,
    Coding,
    available,
    blocking_compress,
    is_available,
)

CONTENTS = {
    "nothing": b"",
    "one byte": b"x",
    "text": b"a text that shrinks " * 10_000,
    "random": os.urandom(300_000),
}


def decode(coding: Coding, content: bytes) -> bytes:
    if coding == GZIP:
        return gzip.decompress(content)
    if coding == BR:
        return bytes(pytest.importorskip("brotli").decompress(content))
    zstandard = pytest.importorskip("zstandard")
    return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(content))


@pytest.fixture(params=CODINGS, ids=lambda coding: coding.name.decode())
def coding(request: pytest.FixtureRequest) -> Coding:
    if not is_available(request.param):
        pytest.skip("not installed")
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("knows_size", [True, False])
def test_content_comes_back(coding: Coding, name: str, knows_size: bool):
    content = CONTENTS[name]
    cuts = sorted(random.Random(7).choices(range(len(content) + 1), k=5))
    blocks = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    for level in {LEVELS[coding].min, LEVELS[coding].dynamic, LEVELS[coding].max}:
        size = len(content) if knows_size else None
        made = list(blocking_compress(coding, blocks, level, size=size))
        assert all(made), "an empty block"
        assert decode(coding, b"".join(made)) == content


def test_same_content_makes_the_same_bytes(coding: Coding):
    def make() -> bytes:
        return b"".join(blocking_compress(coding, [CONTENTS["text"]], LEVELS[coding].dynamic))

    assert make() == make()


def test_gzip_header_names_nothing():
    made = b"".join(blocking_compress(GZIP, [b"x"], 6))
    assert made[:3] == b"\x1f\x8b\x08"
    assert made[3:8] == bytes(5), "a name, or a date"


def test_zstd_window_is_one_that_every_browser_decodes():
    zstandard = pytest.importorskip("zstandard")
    block = os.urandom(1 << 20)
    for size in (None, 20 << 20):
        made = b"".join(blocking_compress(ZSTD, [block] * 20, 19, size=size))
        assert zstandard.get_frame_parameters(made).window_size <= 8 << 20


def test_what_is_not_installed_is_not_offered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codecs, "_module", lambda coding: None)
    assert available() == (GZIP,)
    assert not is_available(BR)
    assert not is_available(ZSTD)


def test_levels_are_within_their_bounds():
    for levels in LEVELS.values():
        assert levels.min <= levels.dynamic <= levels.ahead <= levels.max
