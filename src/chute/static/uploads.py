"""Uploads: PUT of a file, and POST of a form with files to a folder.

Whatever can be refused is refused before content is read; what has the name is then looked at once more when all of it
has come, and while no other upload can take the name. Nothing is replaced unless the request says which state of the
file it means (If-Match), or the server is set to let everything be replaced.

A page of another site may have a browser send a form here, with the credentials that the browser keeps for us, and
nobody asks us first. Such requests are refused, by the rules of Go's `http.CrossOriginProtection`: Sec-Fetch-Site is
believed where there is one, else Origin must name the host that the request is for, and whoever sends neither is no
browser.

Deliberately absent: making folders, deleting, and parts of files (Content-Range).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Sequence
from typing import Final

from chute.errors import (
    DescriptorsExhausted,
    FileError,
    FileForbidden,
    FileMissing,
    FileTooLarge,
    InsufficientStorage,
    NameTaken,
    NameUnusable,
    PeerError,
    TooManyUnfinished,
    UploadBusy,
)
from chute.exchange import FieldLines, Receiving, Request, Response, failure
from chute.files.arriving import ArrivingFile, Destination, only_new, replacing
from chute.files.ledger import Ledger
from chute.files.resolve import Root
from chute.files.writing import HIDDEN_PREFIX
from chute.semantics.messages import RequestHead
from chute.semantics.negotiation import choose_media_type
from chute.semantics.preconditions import Outcome, evaluate
from chute.semantics.target import encode_path
from chute.semantics.validators import EntityTag, entity_tag_for_file, parse_entity_tag_list
from chute.static.multipart_form import FileBegins, MultipartForm, PartEnd

LANE: Final = "uploads"
"""The share of the threads in which files are received."""

FILE_METHODS: Final = b"GET, HEAD, OPTIONS, PUT"
FOLDER_METHODS: Final = b"GET, HEAD, OPTIONS, POST"

_NS_PER_S: Final = 1_000_000_000
_HTML, _JSON = b"text/html", b"application/json"
_ORIGIN: Final = re.compile(rb"(https?)://([^/]+)")
_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}

_TAKEN = (
    "A file with this name is here already. To replace it, send If-Match with its entity tag, or with * for any; "
    "or start the server with the option that lets uploads overwrite."
)


class Uploads:
    """Answers PUT and POST with files beneath one root."""

    def __init__(
        self,
        root: Root,
        ledger: Ledger,
        *,
        content_bytes_max: int,
        overwrite: bool = False,
        hidden: bool = False,
        origins: Container[bytes] = (),
    ) -> None:
        """Put files beneath `root`; it and `ledger` stay the caller's.

        Args:
            root: resolves the names of folders.
            ledger: keeps the quota, and uploads of one name apart.
            content_bytes_max: of one request.
            overwrite: whether a file is replaced by a request that says nothing about it.
            hidden: whether names may begin with a dot.
            origins: of other sites whose pages may upload here.
        """
        self._root = root
        self._ledger = ledger
        self._content_bytes_max = content_bytes_max
        self._overwrite = overwrite
        self._allows_hidden = hidden
        self._origins = origins

    def respond(self, request: Request) -> Response | Receiving:
        """Answer a PUT or a POST (the handler contract of `exchange`); what is not one of them gets 405."""
        names_folder = request.subpath.endswith(b"/")
        method = request.head.method
        if method == b"PUT":
            return self._refusal_of_put(request) or self._receiving(
                PutIntake(request, self._root, self._ledger, overwrite=self._overwrite)
            )
        if method != b"POST" or not names_folder:
            return failure(
                405,
                "Files are put with PUT, and forms with files are posted to a folder.",
                [(b"Allow", FOLDER_METHODS if names_folder else FILE_METHODS)],
            )
        return self._respond_to_form(request)

    def _receiving(self, intake: PutIntake | FormIntake) -> Receiving:
        return Receiving(intake, LANE, content_bytes_max=self._content_bytes_max)

    def _refusal_of_put(self, request: Request) -> Response | None:
        """Return why a PUT is refused before its content has come, or None."""
        if request.subpath.endswith(b"/"):
            return failure(
                409, "Folders cannot be put; a name that ends in a slash is that of a folder."
            )
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if request.head.field_value(b"content-range") is not None:
            # RFC 9110, 14.4: whoever does not support it must not take the part for the whole.
            return failure(400, "Parts of a file cannot be put.")
        folder, name = _split(request.subpath)
        try:
            destination = Destination(self._root, folder)
        except FileError as error:
            return refusal_for(error)
        try:
            return _refusal_by_conditions(
                request.head, destination.status_of(name), overwrite=self._overwrite
            )
        except FileError as error:
            return refusal_for(error)
        finally:
            destination.close()

    def _respond_to_form(self, request: Request) -> Response | Receiving:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            form = MultipartForm(request.head.field_value(b"content-type"))
            Destination(self._root, request.subpath[1:]).close()
        except FileMissing:
            return failure(404, "There is no folder with this name.")
        except (FileError, PeerError) as error:
            return refusal_for(error)
        return self._receiving(
            FormIntake(
                request,
                form,
                self._root,
                self._ledger,
                overwrite=self._overwrite,
                hidden=self._allows_hidden,
            )
        )

    def _refusal(self, request: Request) -> Response | None:
        """Return what both kinds of uploads are refused for before anything is looked at, or None."""
        segments = request.subpath.split(b"/")[1:]
        if is_cross_site(request, self._origins):
            return failure(403, "A page of another site may not upload files here.")
        if (
            b"\0" in request.subpath
            or not {b".", b".."}.isdisjoint(segments)
            or b"" in segments[:-1]
        ):
            return failure(400, "No file can have this name.")
        if not may_be_named(segments, hidden=self._allows_hidden):
            return failure(403, "Names that begin with a dot are not taken.")
        coding = request.head.field_value(b"content-encoding")
        if coding is not None and coding.strip().lower() != b"identity":
            # RFC 9110, 15.5.16: the field says what would have been taken.
            return failure(
                415,
                "The content is compressed; send it as it is.",
                [(b"Accept-Encoding", b"identity")],
            )
        if request.head.content_length > self._content_bytes_max:
            return failure(
                413, f"More than {self._content_bytes_max} bytes are not taken in one request."
            )
        return None


class PutIntake:
    """Takes the content of one PUT (see `exchange.Intake`)."""

    def __init__(self, request: Request, root: Root, ledger: Ledger, *, overwrite: bool) -> None:
        """Take the content of `request`, which has been found acceptable; nothing is opened yet."""
        self._head = request.head
        self._folder, self._name = _split(request.subpath)
        self._root = root
        self._ledger = ledger
        self._overwrite = overwrite
        self._destination: Destination | None = None
        self._file: ArrivingFile | None = None
        self._refusal: Response | None = None

    def blocking_take(self, block: bytes) -> Response | None:
        """See `exchange.Intake`."""
        try:
            self._blocking_file().blocking_write(block)
        except FileError as error:
            self.blocking_give_up()
            return refusal_for(error)
        return None

    def blocking_finish(self) -> Response:
        """See `exchange.Intake`."""
        try:
            file = self._blocking_file()
            status = file.blocking_commit(self._may_take)
        except FileError as error:
            return self._refusal or refusal_for(error)
        finally:
            self.blocking_give_up()
        return Response(
            201 if file.replaced is None else 204, [(b"ETag", _entity_tag(status).encoded)]
        )

    def blocking_give_up(self) -> None:
        """See `exchange.Intake`."""
        if self._file is not None:
            self._file.blocking_discard()
        if self._destination is not None:
            self._destination.close()

    def _blocking_file(self) -> ArrivingFile:
        if self._file is None:
            self._destination = Destination(self._root, self._folder)
            self._file = ArrivingFile(
                self._destination, self._name, self._ledger, count=self._head.content_length
            )
        return self._file

    def _may_take(self, status: os.stat_result | None) -> bool:
        self._refusal = _refusal_by_conditions(self._head, status, overwrite=self._overwrite)
        return self._refusal is None


class FormIntake:
    """Takes the files of one form: all of them, or none (see `exchange.Intake`).

    Where files may be replaced, one exception is left: those that have been replaced when the disk fails at one of the
    names that follow, in the moment in which all get their names, stay replaced.
    """

    def __init__(
        self,
        request: Request,
        form: MultipartForm,
        root: Root,
        ledger: Ledger,
        *,
        overwrite: bool,
        hidden: bool,
    ) -> None:
        """Take the files that `form` finds in the content of `request`; nothing is opened yet."""
        self._request = request
        self._form = form
        self._root = root
        self._ledger = ledger
        self._may_take = replacing if overwrite else only_new
        self._allows_hidden = hidden
        self._destination: Destination | None = None
        self._files: list[ArrivingFile] = []

    def blocking_take(self, block: bytes) -> Response | None:
        """See `exchange.Intake`."""
        try:
            for event in self._form.feed(block):
                if isinstance(event, FileBegins):
                    self._begin(event.name)
                elif not isinstance(event, PartEnd):
                    self._files[-1].blocking_write(event)
        except (FileError, PeerError) as error:
            self.blocking_give_up()
            return refusal_for(error)
        return None

    def blocking_finish(self) -> Response:
        """See `exchange.Intake`."""
        is_done = False
        try:
            self._blocking_commit()
            is_done = True
        except (FileError, PeerError) as error:
            return refusal_for(error)
        finally:
            if not is_done:
                for file in self._files:
                    file.blocking_withdraw()
            self.blocking_give_up()
        return self._success()

    def blocking_give_up(self) -> None:
        """See `exchange.Intake`."""
        for file in self._files:
            file.blocking_discard()
        if self._destination is not None:
            self._destination.close()

    def _blocking_commit(self) -> None:
        self._form.finish()
        if not self._files:
            raise PeerError("there is no file in the form")
        for file in self._files:
            file.blocking_commit(self._may_take)

    def _begin(self, name: bytes) -> None:
        if not may_be_named([name], hidden=self._allows_hidden):
            raise PeerError("names that begin with a dot are not taken", status_hint=403)
        if any(file.name == name for file in self._files):
            raise PeerError("two files in the form have the same name")
        if self._destination is None:
            self._destination = Destination(self._root, self._request.subpath[1:])
        status = self._destination.status_of(name)
        if not self._may_take(status):
            raise NameTaken(f"something has the name {name!r}")
        self._files.append(ArrivingFile(self._destination, name, self._ledger))

    def _success(self) -> Response:
        accept = self._request.head.field_value(b"accept")
        folder = encode_path(self._request.path)
        if choose_media_type(accept, (_HTML, _JSON)) == _HTML:
            return Response(303, [(b"Location", folder), (b"Vary", b"Accept")])
        files = [_described(self._request.path, file) for file in self._files]
        is_new = any(file.replaced is None for file in self._files)
        fields: FieldLines = [(b"Content-Type", _JSON), (b"Vary", b"Accept")]
        content = json.dumps({"files": files}).encode() + b"\n"
        return Response(201 if is_new else 200, fields, (content,))


def _described(folder: bytes, file: ArrivingFile) -> dict[str, object]:
    assert file.status is not None
    return {
        "name": file.name.decode("utf-8", "replace"),
        "href": encode_path(folder + file.name).decode("ascii"),
        "size": file.status.st_size,
        "etag": _entity_tag(file.status).encoded.decode("ascii"),
        "replaced": file.replaced is not None,
    }


def _split(path: bytes) -> tuple[bytes, bytes]:
    """Return the folder, relative to the root, and the name in it."""
    folder, _, name = path[1:].rpartition(b"/")
    return folder, name


def _entity_tag(status: os.stat_result) -> EntityTag:
    return entity_tag_for_file(status.st_mtime_ns, status.st_size)


def _refusal_by_conditions(
    head: RequestHead, status: os.stat_result | None, *, overwrite: bool
) -> Response | None:
    """Return why a PUT may not take a name, or None.

    Args:
        head: of the request.
        status: of the regular file that has the name, or None.
        overwrite: whether a request without conditions may replace it.
    """
    if_match = head.field_value(b"if-match")
    if status is None:
        # RFC 9110, 13.1.1: without a current representation, nothing matches; not even an asterisk.
        return None if if_match is None else failure(412, "There is no file with this name.")
    outcome = evaluate(
        head, entity_tag=_entity_tag(status), modified_s=status.st_mtime_ns // _NS_PER_S
    )
    if outcome is not Outcome.PROCEED:
        return failure(412, "The file is not in the state that the request asked for.")
    if overwrite or (if_match is not None and parse_entity_tag_list(if_match) is not None):
        return None
    return failure(409, _TAKEN)


def may_be_named(segments: Sequence[bytes], *, hidden: bool) -> bool:
    """Whether a file may have a path of these segments; names of unfinished uploads are nobody's, hidden or not."""
    if any(segment.startswith(HIDDEN_PREFIX) for segment in segments):
        return False
    return hidden or not any(segment.startswith(b".") for segment in segments)


def is_cross_site(request: Request, origins: Container[bytes] = ()) -> bool:
    """Whether a browser sent this for a page that is neither ours nor of one of `origins` (see the module)."""
    if request.head.field_value(b"origin") in origins:
        return False
    site = request.head.field_value(b"sec-fetch-site")
    if site is not None:
        return site not in (b"same-origin", b"none")
    origin = request.head.field_value(b"origin")
    if origin is None:
        return False
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return True
    # Which scheme the client used may be known to a proxy before us only, so that of the origin is taken.
    port = _DEFAULT_PORTS[match[1]]
    return match[2].removesuffix(port) != request.authority.lower().removesuffix(port)


def refusal_for(error: FileError | PeerError) -> Response:
    """Return the answer that says what came between."""
    if isinstance(error, PeerError):
        text = str(error)
        return failure(error.status_hint, text[:1].upper() + text[1:] + ".")
    for kind, status, text in _REFUSALS:
        if isinstance(error, kind):
            retry_after: FieldLines = [(b"Retry-After", b"1")] if status == 503 else []
            return failure(status, text, retry_after)
    raise error


_REFUSALS: Final[tuple[tuple[type[FileError], int, str], ...]] = (
    (UploadBusy, 423, "Another request is at this upload."),
    (TooManyUnfinished, 503, "Too many uploads into this folder are not finished."),
    (InsufficientStorage, 507, "There is no room for this here."),
    (FileTooLarge, 413, "No file can be that large here."),
    (NameTaken, 409, "Something with this name is here already, and stays."),
    (NameUnusable, 400, "No file can have this name here."),
    (FileForbidden, 403, "The server may not write here."),
    (FileMissing, 409, "The folder for this file does not exist."),
    (DescriptorsExhausted, 503, "The server has too many files open; try again."),
)
