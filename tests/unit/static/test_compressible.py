"""What is worth compressing."""

from __future__ import annotations

import pytest

from chute.semantics.media_types import media_type_for_name
from chute.static.compressible import is_compressible


@pytest.mark.parametrize(
    "name",
    ["a.html", "a.css", "a.js", "a.json", "a.svg", "a.xml", "a.csv", "a.wasm", "a.ttf", "a.ico"],
)
def test_text_and_plain_data_is(name: str):
    assert is_compressible(media_type_for_name(name.encode()))


@pytest.mark.parametrize(
    "name",
    ["a.png", "a.mp4", "a.woff2", "a.zip", "a.gz", "a.pdf", "a.bin", "a", "a.docx", "a.br"],
)
def test_what_is_compressed_already_is_not(name: str):
    assert not is_compressible(media_type_for_name(name.encode()))


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [
        (b"TEXT/HTML; charset=utf-8", True),
        (b"application/vnd.api+json;v=1", True),
        (b"text/event-stream", False),
        (b"image/x-made-up", False),
        (b"", False),
    ],
)
def test_parameters_and_case_do_not_matter(media_type: bytes, expected: bool):
    assert is_compressible(media_type) is expected


def test_other_types_can_be_named():
    assert is_compressible(b"Image/X-Made-Up; a=b", {b"image/x-made-up"})
