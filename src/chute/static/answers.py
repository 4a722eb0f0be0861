"""From a file that was found to the answer: which form of it, with which fields, and what must be worked out first.

What takes work (the hash of a file whose date says nothing, a digest that was asked for, a compressed form) is left to
a thread, once; then the request is answered anew, with what is known by then. So nothing here holds a file from one
turn of the loop to the next, but what the work itself holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from chute.exchange import (
    Deferred,
    FieldLines,
    Outcome,
    Rate,
    Request,
    Response,
    Resumption,
    Validity,
    failure,
)
from chute.files.content_hashes import ContentHashes, blocking_hash
from chute.files.open_files import Entry, OpenFile, OpenFiles
from chute.files.respond import Representation, respond
from chute.semantics.content_disposition import attachment
from chute.semantics.digests import parse_sha256_sidecar, repr_digest, wants_sha_256
from chute.semantics.validators import EntityTag, parse_entity_tag
from chute.static.compressed import Making
from chute.static.media_types import MediaTypes
from chute.static.rules import Rules
from chute.static.variants import Variant, Variants, is_up_to_date

COMPRESSING_LANE: Final = "compressing"
HASHING_LANE: Final = "hashing"

HASHED_BYTES_MAX: Final = 1 << 30
"""A larger file is not hashed while somebody waits: it takes a second per gigabyte and more."""

SHA_256_SUFFIX: Final = b".sha256"

_DOWNLOAD = re.compile(rb"(?:^|&)download(?:=([^&]*))?(?:&|$)")

DEPENDS_ON: Final = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"range",
        b"tus-resumable",
        b"want-repr-digest",
    }
)
"""The fields, beside method and target, that a reusable answer is a function of."""


class Found(NamedTuple):
    """A file that a request has led to.

    Attributes:
        name: beneath the root.
        file: open.
        looked_at: these entries.
    """

    name: bytes
    file: OpenFile
    looked_at: list[Entry]


class Answers:
    """Answers for files beneath one root."""

    def __init__(
        self,
        files: OpenFiles,
        variants: Variants,
        media_types: MediaTypes,
        rules: Rules,
        *,
        rate: Rate | None = None,
        entity_tag_suffix: bytes = b"",
        believes_hashes: bool = True,
    ) -> None:
        """Answer from `files`.

        Args:
            files: where sidecars are looked up.
            variants: chooses the form.
            media_types: names the type.
            rules: add fields.
            rate: how fast content is sent at most.
            entity_tag_suffix: of the name of a file that holds the entity tag of another; empty for none.
            believes_hashes: whether a file beside another tells its hash.
        """
        self._files = files
        self._variants = variants
        self._media_types = media_types
        self._rules = rules
        self._rate = rate
        self._entity_tag_suffix = entity_tag_suffix
        self._believes_hashes = believes_hashes
        self._hashes = ContentHashes()

    def answer(
        self,
        request: Request,
        found: Found,
        validity: Callable[[list[Entry]], Validity],
        again: Resumption | None,
    ) -> Response | Deferred:
        """Answer a GET or HEAD for a file.

        Args:
            request: the request.
            found: what it led to.
            validity: makes the validity of the answer from the entries that it depends on.
            again: answers the request anew, after work; None when it must be answered now.
        """
        file = found.file
        if file.wants_hash:
            sha_256 = self._hashes.find(file)
            if sha_256 is not None:
                file.adopt_hash(sha_256)
            elif again is not None and file.size <= HASHED_BYTES_MAX:
                return self._have_hashed(file, again)
        return self._answer_with_form(request, found, validity, again)

    def _answer_with_form(
        self,
        request: Request,
        found: Found,
        validity: Callable[[list[Entry]], Validity],
        again: Resumption | None,
    ) -> Response | Deferred:
        file = found.file
        media_type = self._media_types.of(found.name)
        variant = self._variants.choose(
            found.name,
            file,
            media_type,
            request.head.field_value(b"accept-encoding"),
            found.looked_at,
            may_wait=again is not None,
        )
        if variant is None:
            return failure(
                406,
                "Every form of this file that the server has is excluded by Accept-Encoding.",
                [(b"Vary", b"Accept-Encoding")],
            )
        if variant.making is not None:
            assert again is not None, "made although nobody may wait"
            return _have_made(variant.making, again)
        content_fields = _content_fields(request, found, variant)
        if wants_sha_256(request.head.field_value(b"want-repr-digest")):
            sha_256 = self._find_hash(found, variant)
            if sha_256 is not None:
                content_fields.append((b"Repr-Digest", repr_digest(sha_256)))
            elif again is not None and variant.file.size <= HASHED_BYTES_MAX:
                return self._have_hashed(variant.file, again)
        fields = self._rules.fields_for(found.name, media_type)
        if variant.varies:
            fields = (*fields, (b"Vary", b"Accept-Encoding"))
        entity_tag = variant.entity_tag
        if variant.coding is None and self._entity_tag_suffix:
            entity_tag = self._sidecar_entity_tag(found) or entity_tag
        may_reuse = not variant.is_passing and (file.is_stable or file.entity_tag is not None)
        return respond(
            Representation(variant.file, media_type, entity_tag, tuple(content_fields), fields),
            request.head,
            validity=validity(found.looked_at) if may_reuse else None,
            rate=self._rate,
        )

    def give_back_descriptors(self) -> None:
        """Release what was made and costs a descriptor."""
        self._variants.give_back_descriptors()

    def close(self) -> None:
        """Release what was made."""
        self._variants.close()

    def _find_hash(self, found: Found, variant: Variant) -> bytes | None:
        """Return the hash of a form, if it is known: told by a file beside the source, or computed before."""
        is_told = self._believes_hashes and variant.coding is None
        told = self._sidecar_hash(found) if is_told else None
        return told or self._hashes.find(variant.file)

    def _sidecar_hash(self, found: Found) -> bytes | None:
        """Return the hash that a file beside this one tells, as `sha256sum` writes it."""
        entry = self._files.look_up(found.name + SHA_256_SUFFIX)
        found.looked_at.append(entry)
        file = entry.found
        if not isinstance(file, OpenFile) or file.content is None:
            return None
        if not is_up_to_date(file, found.file):
            return None
        return parse_sha256_sidecar(file.content, found.name.rpartition(b"/")[2])

    def _sidecar_entity_tag(self, found: Found) -> EntityTag | None:
        """Return the tag that a file beside this one names, with or without its quotation marks."""
        entry = self._files.look_up(found.name + self._entity_tag_suffix)
        found.looked_at.append(entry)
        file = entry.found
        if not isinstance(file, OpenFile) or file.content is None:
            return None
        text = file.content.strip()
        return parse_entity_tag(text) or parse_entity_tag(b'"' + text + b'"')

    def _have_hashed(self, file: OpenFile, again: Resumption) -> Deferred:
        file.acquire()

        def blocking_work() -> Resumption:
            sha_256 = blocking_hash(file)

            def rest() -> Outcome:
                file.release()
                if sha_256 is not None:
                    self._hashes.remember(file, sha_256)
                return again()

            return rest

        return Deferred(blocking_work, HASHING_LANE, on_dropped=file.release)


def _content_fields(request: Request, found: Found, variant: Variant) -> FieldLines:
    """Return the fields about the content: its coding, and under which name to save it."""
    fields: FieldLines = []
    if variant.coding is not None:
        fields.append((b"Content-Encoding", variant.coding.name))
    download = _DOWNLOAD.search(request.query) if request.query else None
    if download is not None:
        name = unquote_to_bytes(download[1]) if download[1] else found.name
        fields.append((b"Content-Disposition", attachment(name.rpartition(b"/")[2])))
    return fields


def _have_made(making: Making, again: Resumption) -> Deferred:
    def blocking_work() -> Resumption:
        making.blocking_make()

        def rest() -> Outcome:
            making.finish()
            return again()

        return rest

    return Deferred(blocking_work, COMPRESSING_LANE, on_dropped=making.give_up)
