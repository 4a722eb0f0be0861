"""Which media types are worth compressing: those of text, and of data that is not compressed already.

The list follows mime-db's `compressible` marks for the types that chute names (jshttp/mime-db), with everything that
has a structured syntax suffix for text (RFC 6838, 4.2.8).
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

_TYPES: Final = frozenset(
    {
        b"application/atom+xml",
        b"application/graphql",
        b"application/javascript",
        b"application/json",
        b"application/manifest+json",
        b"application/pgp-signature",
        b"application/postscript",
        b"application/rtf",
        b"application/sql",
        b"application/vnd.ms-fontobject",
        b"application/wasm",
        b"application/x-javascript",
        b"application/x-ndjson",
        b"application/x-pem-file",
        b"application/x-sh",
        b"application/x-tar",
        b"application/xhtml+xml",
        b"application/xml",
        b"application/xslt+xml",
        b"application/yaml",
        b"font/collection",
        b"font/otf",
        b"font/ttf",
        b"image/bmp",
        b"image/svg+xml",
        b"image/vnd.microsoft.icon",
        b"image/x-icon",
        b"model/gltf+json",
        b"model/gltf-binary",
        b"model/stl",
    }
)

_SUFFIXES: Final = (b"+json", b"+xml", b"+text", b"+yaml")

_NEVER: Final = frozenset({b"text/event-stream"})
"""A stream would be held back until enough of it has come to be compressed."""


def is_compressible(media_type: bytes, others: Container[bytes] = ()) -> bool:
    """Whether content of `media_type` is worth compressing.

    Args:
        media_type: the value of Content-Type; parameters do not matter.
        others: types that an operator wants compressed too, in lower case.
    """
    bare = media_type.partition(b";")[0].strip().lower()
    if bare in _NEVER:
        return False
    return bare.startswith(b"text/") or bare in _TYPES or bare.endswith(_SUFFIXES) or bare in others
