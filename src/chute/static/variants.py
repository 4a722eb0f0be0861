"""Which form of a file a client gets: as it is, or in a content coding.

RFC 9110, 12.5.3. Codings made ahead of time lie beside the file (`app.js`, `app.js.br`), and are taken if they are not
older than it; otherwise text is compressed once, in a thread, and kept. The client's weights decide; between equals
the smallest sidecar, or the coding that the server likes best. A form that is no smaller than the file itself is
nobody's gain, and is passed over.

Every answer whose form depends on Accept-Encoding says so in Vary, the plain one too: a shared cache must not give
somebody's brotli to everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chute.files.open_files import Entry, OpenFile, OpenFiles
from chute.semantics.codings import acceptable_codings
from chute.semantics.validators import EntityTag, entity_tag_for_variant
from chute.static.codecs import Coding
from chute.static.compressed import CompressedFiles, Making
from chute.static.compressible import is_compressible

IDENTITY = b"identity"

_SECOND_NS = 1_000_000_000


class Variant(NamedTuple):
    """A form of a file.

    Attributes:
        file: its bytes.
        entity_tag: its validator.
        coding: what its bytes are coded in; None for the file as it is.
        varies: whether another Accept-Encoding could have led to another form.
        making: what has to be done before there is a better form, or None.
        is_passing: whether another form is on its way, so that this one is not for the next request.
    """

    file: OpenFile
    entity_tag: EntityTag | None
    coding: Coding | None = None
    varies: bool = False
    making: Making | None = None
    is_passing: bool = False


class Variants:
    """Chooses among the forms of files beneath one root."""

    def __init__(
        self,
        files: OpenFiles,
        sidecars: Sequence[Coding],
        compressed: CompressedFiles | None,
        codings: Sequence[Coding],
        *,
        compressed_bytes_min: int,
        other_types: frozenset[bytes] = frozenset(),
    ) -> None:
        """Choose among sidecars, and what is compressed on the way.

        Args:
            files: where sidecars are looked up, by the same rules as everything else.
            sidecars: which are looked for.
            compressed: compresses, or None to leave that.
            codings: in which it may, the best first.
            compressed_bytes_min: smaller files are not worth it.
            other_types: media types that are compressed beside the usual ones.
        """
        self._files = files
        self._sidecars = tuple(sidecars)
        self._compressed = compressed
        self._codings = tuple(codings)
        self._compressed_bytes_min = compressed_bytes_min
        self._other_types = other_types

    def choose(
        self,
        name: bytes,
        source: OpenFile,
        media_type: bytes,
        accept_encoding: bytes | None,
        looked_at: list[Entry],
        *,
        may_wait: bool,
    ) -> Variant | None:
        """Return the form of `source` for a client.

        Args:
            name: of the file, beneath the root.
            source: the file itself.
            media_type: its type.
            accept_encoding: the field of the request.
            looked_at: gets the entries that the choice depends on.
            may_wait: whether something may be made first.

        Returns:
            None when no form of it is acceptable.
        """
        sidecars = self._find_sidecars(name, source, looked_at)
        if sidecars:
            offers = sorted(sidecars, key=lambda coding: sidecars[coding].size)
        elif self._may_compress(source, media_type):
            offers = list(self._codings)
        else:
            return Variant(source, source.entity_tag)
        by_name = {coding.name: coding for coding in offers}
        acceptable = acceptable_codings(accept_encoding, list(by_name))
        if not acceptable:
            return None
        for coding_name in acceptable:
            if coding_name == IDENTITY:
                break
            coding = by_name[coding_name]
            variant = (
                self._sidecar(source, coding, sidecars[coding], acceptable)
                if sidecars
                else self._compress(source, coding, may_wait=may_wait)
            )
            if variant is not None:
                return variant
        is_passing = not sidecars and self._is_making(source, by_name, acceptable)
        return Variant(source, source.entity_tag, varies=True, is_passing=is_passing)

    def _is_making(
        self, source: OpenFile, by_name: dict[bytes, Coding], acceptable: tuple[bytes, ...]
    ) -> bool:
        """Whether a form that the client would rather have may be there soon."""
        compressed = self._compressed
        return compressed is not None and any(
            not compressed.is_decided(source, by_name[name])
            for name in acceptable[: (*acceptable, IDENTITY).index(IDENTITY)]
        )

    def give_back_descriptors(self) -> None:
        """Release what was compressed and costs a descriptor."""
        if self._compressed is not None:
            self._compressed.give_back_descriptors()

    def close(self) -> None:
        """Release what was compressed."""
        if self._compressed is not None:
            self._compressed.close()

    def _find_sidecars(
        self, name: bytes, source: OpenFile, looked_at: list[Entry]
    ) -> dict[Coding, OpenFile]:
        found: dict[Coding, OpenFile] = {}
        for coding in self._sidecars:
            if name.endswith(coding.suffix):
                continue
            entry = self._files.look_up(name + coding.suffix)
            looked_at.append(entry)
            file = entry.found
            if isinstance(file, OpenFile) and is_up_to_date(file, source):
                found[coding] = file
        return found

    @staticmethod
    def _sidecar(
        source: OpenFile, coding: Coding, file: OpenFile, acceptable: tuple[bytes, ...]
    ) -> Variant | None:
        if file.size >= source.size and IDENTITY in acceptable:
            return None
        tag = file.entity_tag
        if tag is not None:
            # Sidecars that one tool has made at once may agree in date and size.
            tag = entity_tag_for_variant(tag, coding.suffix[1:])
        return Variant(file, tag, coding, varies=True)

    def _may_compress(self, source: OpenFile, media_type: bytes) -> bool:
        compressed = self._compressed
        return (
            compressed is not None
            and self._compressed_bytes_min <= source.size <= compressed.source_bytes_max
            and source.is_stable  # or what was made of it could be served for what has replaced it
            and source.entity_tag is not None
            and is_compressible(media_type, self._other_types)
        )

    def _compress(self, source: OpenFile, coding: Coding, *, may_wait: bool) -> Variant | None:
        compressed = self._compressed
        assert compressed is not None
        made = compressed.find(source, coding)
        if made is not None:
            return Variant(made, made.entity_tag, coding, varies=True)
        if not may_wait or not compressed.may_begin(source, coding):
            return None
        making = compressed.begin(source, coding)
        return Variant(source, source.entity_tag, varies=True, making=making)


def is_up_to_date(sidecar: OpenFile, source: OpenFile) -> bool:
    """Whether `sidecar` was made from `source` as it is now, by their dates.

    Tools give a sidecar the date of its source, some of them without the fractions of it.
    """
    sidecar_ns, source_ns = sidecar.identity[3], source.identity[3]
    if sidecar_ns >= source_ns:
        return True
    return any(
        sidecar_ns % unit_ns == 0 and source_ns - source_ns % unit_ns == sidecar_ns
        for unit_ns in (_SECOND_NS, 1_000)
    )
