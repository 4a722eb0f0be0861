"""From the options to the parts of the handler that they describe."""

from __future__ import annotations

import re

from chute.errors import ConfigError
from chute.exchange import Rate
from chute.files.ledger import Ledger
from chute.files.open_files import OpenFiles
from chute.files.resolve import Root
from chute.static.answers import Answers
from chute.static.codecs import CODINGS, available
from chute.static.compressed import CompressedFiles
from chute.static.media_types import MediaTypes
from chute.static.options import StaticOptions
from chute.static.resumable import Resumable
from chute.static.rules import Rules
from chute.static.uploads import Uploads
from chute.static.variants import Variants

_PREFIX = re.compile(r"/(?:[^/\0]+/)*")


def make_answers(options: StaticOptions, files: OpenFiles, media_types: MediaTypes) -> Answers:
    """Return what answers for files.

    Raises:
        ConfigError: an option cannot be meant.
    """
    compressed = None
    if options.compress:
        compressed = CompressedFiles(
            source_bytes_max=options.compress_max_bytes,
            bytes_max=options.compress_memory_bytes,
            content_bytes_max=max(0, options.sendfile_min_bytes - 1),
            levels={name.encode(): level for name, level in options.compress_levels},
        )
    # Who may put a file beside another, and not replace that, must not replace what is sent for it either.
    believes_names = options.uploads is None or options.uploads.overwrite
    variants = Variants(
        files,
        CODINGS if options.sidecars and believes_names else (),
        compressed,
        available(),
        compressed_bytes_min=options.compress_min_bytes,
        other_types=frozenset(name.lower().encode() for name in options.compress_types),
    )
    return Answers(
        files,
        variants,
        media_types,
        Rules(options.rules),
        rate=make_rate(options),
        entity_tag_suffix=options.entity_tag_suffix.encode() if believes_names else b"",
        believes_hashes=believes_names,
    )


def make_rate(options: StaticOptions) -> Rate | None:
    """Return how fast each answer is sent at most."""
    if not options.limit_rate:
        return None
    return Rate(options.limit_rate, options.limit_rate_after)


def make_uploads(
    options: StaticOptions, root: Root, ledger: Ledger | None
) -> tuple[Uploads, Resumable] | None:
    """Return what answers uploads, at once and in parts, where they are wanted."""
    uploads = options.uploads
    if uploads is None:
        return None
    assert ledger is not None, "uploads need a ledger, made before the workers are forked"
    origins = frozenset(origin.encode() for origin in uploads.origins)
    at_once = Uploads(
        root,
        ledger,
        content_bytes_max=uploads.content_bytes_max,
        overwrite=uploads.overwrite,
        hidden=options.hidden,
        origins=origins,
    )
    in_parts = Resumable(
        root,
        ledger,
        content_bytes_max=uploads.content_bytes_max,
        overwrite=uploads.overwrite,
        hidden=options.hidden,
        origins=origins,
    )
    return at_once, in_parts


def checked_prefix(prefix: str) -> bytes:
    """Return the path beneath which a folder answers, with a slash at both ends.

    Raises:
        ConfigError: it is none.
    """
    path = "/" + prefix.strip("/") + "/" if prefix.strip("/") else "/"
    if _PREFIX.fullmatch(path) is None or "/." in path or "//" in path:
        raise ConfigError(f"{prefix!r} is no path to answer beneath", hint="for example /downloads")
    return path.encode("utf-8", "surrogateescape")
