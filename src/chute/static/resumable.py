"""Uploads that can be continued after an interruption: the tus protocol, version 1.0.0 (tus.io).

Core, and the extensions creation, creation-with-upload, expiration and termination. A client tells a folder by POST
what is to come, and is told a reference to the upload; asks that for the offset by HEAD, appends by PATCH, and may give
the upload up by DELETE. The reference is `?upload=<id>`, relative to the folder: it works beneath any prefix and behind
any gateway, and clients resolve it (tus-js-client by URL(), tuspy by urljoin()).

A request is one of tus only when it says so by Tus-Resumable; everything else passes by. What `uploads` refuses is
refused here too: other sites, hidden names, names that are taken, files beyond the bounds.

While one request is at an upload, another gets 423 (Locked), which clients take as a reason to try again; HEAD is
answered. When the name has been taken by the time the last byte is there, that is answered with 409 and the upload
stays: a PATCH without content tries again. Nothing is left of a finished upload but the file, so a client that has
lost the last answer finds 404.

Deliberately absent: checksum, concatenation, and lengths that are not known from the beginning.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Container
from functools import partial
from typing import Final

from chute.clock import wall_ns
from chute.errors import (
    FileError,
    FileMissing,
    PeerError,
    TooManyUnfinished,
    UploadBusy,
    UploadExpired,
)
from chute.exchange import Deferred, FieldLines, Receiving, Request, Response, failure
from chute.files.arriving import only_new, replacing
from chute.files.ledger import Ledger
from chute.files.partial import (
    IDLE_S_MAX,
    UNFINISHED_MAX,
    PartialFile,
    PartialFiles,
    Record,
)
from chute.files.resolve import Root
from chute.semantics.dates import format_http_date
from chute.static.uploads import LANE, is_cross_site, may_be_named, refusal_for

VERSION: Final = b"1.0.0"
EXTENSIONS: Final = b"creation,creation-with-upload,expiration,termination"

_SPEAKS: Final = (b"Tus-Resumable", VERSION)
_VERSIONS: Final = (b"Tus-Version", VERSION)
_NOT_STORED: Final = (b"Cache-Control", b"no-store")
_CONTENT_TYPE: Final = b"application/offset+octet-stream"
_ID: Final = re.compile(rb"(?:^|&)upload=([^&]*)")
# 19 digits cover every off_t, and keep int() cheap on hostile input.
_NUMBER: Final = re.compile(rb"[0-9]{1,19}")
_NOTE: Final = re.compile(r"[\x20-\x7e]+")
_RETRY_AFTER: Final = (b"Retry-After", b"60")


class Resumable:
    """Answers the requests of tus for the folders beneath one root."""

    def __init__(
        self,
        root: Root,
        ledger: Ledger,
        *,
        content_bytes_max: int,
        overwrite: bool = False,
        hidden: bool = False,
        origins: Container[bytes] = (),
        idle_s_max: int = IDLE_S_MAX,
        unfinished_max: int = UNFINISHED_MAX,
    ) -> None:
        """Put files beneath `root`; it and `ledger` stay the caller's.

        Args:
            root: resolves the names of folders.
            ledger: keeps the quota, and uploads of one name apart.
            content_bytes_max: of one file.
            overwrite: whether a file is replaced by an upload of the same name.
            hidden: whether names may begin with a dot.
            origins: of other sites whose pages may upload here.
            idle_s_max: how long an upload is kept when nothing comes (seconds).
            unfinished_max: how many there may be in one folder, roughly.
        """
        self._files = PartialFiles(
            root, ledger, idle_s_max=idle_s_max, unfinished_max=unfinished_max
        )
        self._content_bytes_max = content_bytes_max
        self._may_take = replacing if overwrite else only_new
        self._allows_hidden = hidden
        self._origins = origins

    def options(self) -> FieldLines:
        """Return the fields by which an answer to OPTIONS says what is spoken here."""
        return [
            _SPEAKS,
            _VERSIONS,
            (b"Tus-Max-Size", b"%d" % self._content_bytes_max),
            (b"Tus-Extension", EXTENSIONS),
        ]

    def respond(self, request: Request) -> Response | Deferred | Receiving | None:
        """Answer a request of tus (the handler contract of `exchange`); None when it is none."""
        version = request.head.field_value(b"tus-resumable")
        if version is None or not request.subpath.endswith(b"/"):
            return None
        method = request.head.method
        if method == b"POST":
            # For clients, and for what stands before them, that know no other methods; only those methods are meant.
            method = request.head.field_value(b"x-http-method-override") or method
        upload = _ID.search(request.query or b"")
        if method not in (b"POST", b"HEAD", b"PATCH", b"DELETE"):
            return None
        if method != b"POST" and upload is None:
            return None
        if version != VERSION:
            return _refused(failure(412, "Of tus, version 1.0.0 is spoken.", [_VERSIONS]))
        refusal = self._refusal(request, is_changing=method != b"HEAD")
        if refusal is not None:
            return _refused(refusal)
        if upload is None or method == b"POST":
            return self._create(request)
        if method == b"PATCH":
            return self._append(request, upload[1])
        work = self._blocking_tell if method == b"HEAD" else self._blocking_terminate
        return Deferred(partial(work, request.subpath[1:], upload[1]), LANE)

    def _refusal(self, request: Request, *, is_changing: bool) -> Response | None:
        """Return what any of these requests is refused for before anything is looked at, or None."""
        segments = request.subpath.split(b"/")[1:-1]
        if is_changing and is_cross_site(request, self._origins):
            return failure(403, "A page of another site may not upload files here.")
        if b"\0" in request.subpath or not {b"", b".", b".."}.isdisjoint(segments):
            return failure(400, "No folder can have this name.")
        if not may_be_named(segments, hidden=self._allows_hidden):
            return failure(403, "Names that begin with a dot are not taken.")
        coding = request.head.field_value(b"content-encoding")
        if coding is not None and coding.strip().lower() != b"identity":
            return failure(
                415,
                "The content is compressed; send it as it is.",
                [(b"Accept-Encoding", b"identity")],
            )
        return None

    def _create(self, request: Request) -> Response | Deferred | Receiving:
        try:
            record = self._record(request)
            if request.head.has_content:
                _check_content_type(request)
                _check_room(record.length, request.head.content_length)
        except PeerError as error:
            return _refused(refusal_for(error))
        folder = request.subpath[1:]
        intake = UploadIntake(
            partial(self._files.blocking_begin, folder, record, self._may_take),
            self._blocking_answer_for_new,
            request.head.content_length,
            is_new=True,
        )
        if request.head.has_content:
            return Receiving(intake, LANE, content_bytes_max=record.length)
        return Deferred(intake.blocking_respond, LANE)

    def _record(self, request: Request) -> Record:
        """Return what an upload that begins will be.

        Raises:
            PeerError: it cannot be, or its length is missing, or its name.
        """
        head = request.head
        if head.field_value(b"upload-concat") is not None:
            raise PeerError("uploads are not put together from parts here")
        length = _number(head.field_value(b"upload-length"), "Upload-Length")
        if length > self._content_bytes_max:
            raise PeerError(
                f"no more than {self._content_bytes_max} bytes are taken", status_hint=413
            )
        metadata = head.field_value(b"upload-metadata") or b""
        name = _filename(metadata)
        if name.startswith(b".") and not self._allows_hidden:
            raise PeerError("names that begin with a dot are not taken", status_hint=403)
        return Record(name, length, metadata.decode("latin-1"))

    def _append(self, request: Request, upload_id: bytes) -> Response | Deferred | Receiving:
        try:
            _check_content_type(request)
            offset = _number(request.head.field_value(b"upload-offset"), "Upload-Offset")
        except PeerError as error:
            return _refused(refusal_for(error))
        intake = UploadIntake(
            partial(self._blocking_resume, request.subpath[1:], upload_id, offset),
            self._blocking_answer_for_more,
            request.head.content_length,
            is_new=False,
        )
        if request.head.has_content:
            return Receiving(intake, LANE, content_bytes_max=self._content_bytes_max)
        return Deferred(intake.blocking_respond, LANE)

    def _blocking_resume(self, folder: bytes, upload_id: bytes, offset: int) -> PartialFile:
        file = self._files.blocking_resume(folder, upload_id)
        if file.offset != offset:
            text = f"the upload stands at {file.offset}, and not at {offset}"
            file.blocking_pause()
            raise PeerError(text, status_hint=409)
        return file

    def _blocking_answer_for_new(self, file: PartialFile) -> Response:
        reference = (b"Location", b"?upload=" + file.id)
        return Response(201, [_SPEAKS, reference, *self._blocking_settle(file)])

    def _blocking_answer_for_more(self, file: PartialFile) -> Response:
        return Response(204, [_SPEAKS, *self._blocking_settle(file)])

    def _blocking_settle(self, file: PartialFile) -> FieldLines:
        """Finish the upload if all of it has come, else leave it for later; return what there is to say of it."""
        if file.offset == file.record.length:
            file.blocking_commit(self._may_take)
            return [_offset_line(file.offset)]
        file.blocking_pause()
        return [_offset_line(file.offset), *_expiry_lines(self._files.expires_s(wall_ns()))]

    def _blocking_tell(self, folder: bytes, upload_id: bytes) -> Response:
        """Answer HEAD: how far the upload has got."""
        try:
            record, status = self._files.blocking_look(folder, upload_id)
        except FileError as error:
            return _refused(_refusal_for(error), _NOT_STORED)
        fields: FieldLines = [
            _SPEAKS,
            _NOT_STORED,
            _offset_line(status.st_size),
            (b"Upload-Length", b"%d" % record.length),
            *_expiry_lines(self._files.expires_s(status.st_mtime_ns)),
        ]
        # Whoever may write to the disk may have written the record.
        if _NOTE.fullmatch(record.note) is not None:
            fields.append((b"Upload-Metadata", record.note.encode("ascii")))
        return Response(200, fields)

    def _blocking_terminate(self, folder: bytes, upload_id: bytes) -> Response:
        """Answer DELETE: nothing of the upload is left."""
        try:
            self._files.blocking_resume(folder, upload_id).blocking_discard()
        except FileError as error:
            return _refused(_refusal_for(error))
        return Response(204, [_SPEAKS])


class UploadIntake:
    """Takes the content of one request for an upload (see `exchange.Intake`).

    What has come stays when the rest does not, unless nobody has been told by which reference to find it.
    """

    def __init__(
        self,
        blocking_open: Callable[[], PartialFile],
        blocking_answer: Callable[[PartialFile], Response],
        count: int,
        *,
        is_new: bool,
    ) -> None:
        """Append to what `blocking_open` returns; nothing is opened yet.

        Args:
            blocking_open: begins the upload, or goes on with it.
            blocking_answer: finishes it, or leaves it for later, when all of the content has been taken.
            count: bytes of content, or 0 when that is not known.
            is_new: whether the client does not know of the upload before it is answered.
        """
        self._blocking_open = blocking_open
        self._blocking_answer = blocking_answer
        self._count = count
        self._is_new = is_new
        self._file: PartialFile | None = None

    def blocking_take(self, block: bytes) -> Response | None:
        """See `exchange.Intake`."""
        try:
            file = self._blocking_file()
            _check_room(file.record.length - file.offset, len(block))
            file.blocking_write(block)
        except (FileError, PeerError) as error:
            self.blocking_give_up()
            return _refused(_refusal_for(error))
        return None

    def blocking_finish(self) -> Response:
        """See `exchange.Intake`."""
        try:
            response = self._blocking_answer(self._blocking_file())
        except (FileError, PeerError) as error:
            response = _refused(_refusal_for(error))
            self.blocking_give_up()
        return response

    def blocking_give_up(self) -> None:
        """See `exchange.Intake`."""
        if self._file is None:
            return
        if self._is_new:
            self._file.blocking_discard()
        else:
            self._file.blocking_pause()

    def blocking_respond(self) -> Response:
        """Answer a request that has no content."""
        try:
            return self.blocking_finish()
        except BaseException:
            self.blocking_give_up()
            raise

    def _blocking_file(self) -> PartialFile:
        if self._file is None:
            self._file = self._blocking_open()
            _check_room(self._file.record.length - self._file.offset, self._count)
            self._file.blocking_expect(self._count)
        return self._file


def _refused(response: Response, *lines: tuple[bytes, bytes]) -> Response:
    """Return a failure as one of tus."""
    response.fields += [_SPEAKS, *lines]
    return response


def _refusal_for(error: FileError | PeerError) -> Response:
    """Return the answer that says what came between."""
    match error:
        case UploadBusy():
            return failure(423, "Another request is at this upload; try again.")
        case UploadExpired():
            return failure(410, "The upload was abandoned for too long.")
        case TooManyUnfinished():
            return failure(
                503, "Too many uploads into this folder are not finished.", [_RETRY_AFTER]
            )
        case FileMissing():
            return failure(404, "There is no such folder, or no such upload in it.")
        case _:
            return refusal_for(error)


def _offset_line(offset: int) -> tuple[bytes, bytes]:
    return (b"Upload-Offset", b"%d" % offset)


def _expiry_lines(expires_s: int) -> FieldLines:
    value = format_http_date(expires_s)
    return [] if value is None else [(b"Upload-Expires", value)]


def _check_content_type(request: Request) -> None:
    media_type = (request.head.field_value(b"content-type") or b"").partition(b";")[0]
    if media_type.strip().lower() != _CONTENT_TYPE:
        raise PeerError(f"the content is to be {_CONTENT_TYPE.decode()}", status_hint=415)


def _check_room(remaining: int, count: int) -> None:
    if count > remaining:
        raise PeerError("more has come than Upload-Length announced", status_hint=413)


def _number(value: bytes | None, field: str) -> int:
    if value is None or _NUMBER.fullmatch(value) is None:
        raise PeerError(f"{field} is missing, or is no number of bytes")
    return int(value)


def _filename(metadata: bytes) -> bytes:
    """Return the name among `metadata`: keys and values in base64, `key value,key value` (tus 1.0.0, creation).

    Raises:
        PeerError: there is none that a file can have, or this is no such list.
    """
    values: dict[bytes, bytes] = {}
    for pair in metadata.split(b","):
        key, _, value = pair.strip().partition(b" ")
        if key in values:
            raise PeerError("a key occurs twice in Upload-Metadata")
        try:
            values[key] = base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise PeerError("a value in Upload-Metadata is not in base64") from error
    name = values.get(b"filename", b"")
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise PeerError("Upload-Metadata names no file: a filename without a path is needed")
    return name
