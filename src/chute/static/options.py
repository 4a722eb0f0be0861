"""What can be set about static files. `config` composes this; the defaults are the manual."""

from __future__ import annotations

import msgspec

from chute.transfer.method import SendfileMode


class StaticOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a served folder, or of one shared file.

    Attributes:
        root: the folder that is served.
        only: the one file name beneath `root` that is served, or None for all of them.
        index: names tried, in order, when the target is a folder.
        valid_s: for how long an open file and a prepared answer are taken for granted before the disk is asked
            again (seconds; 0 asks for every request).
        sendfile_min_bytes: files below it are kept in memory and leave in one call with their head.
        open_files_max: how many files are kept open between requests.
        sendfile: whether larger files are carried by sendfile(2): `on`, `off`, or `auto`, which copies on file
            systems that it is known to go wrong or to wait on (network and shared folders, FUSE).
        listing: whether a folder without an index page shows what is in it.
        try_files: what is tried for a path, in this order (see `candidates`); `$uri $uri/` when empty.
        error_documents: names beneath `root` of the pages for statuses; one that is not there is passed over.
        hidden: whether names that begin with a dot are served and listed; `.well-known` always is (RFC 8615).
    """

    root: str
    only: str | None = None
    index: tuple[str, ...] = ("index.html",)
    valid_s: float = 1.0
    sendfile_min_bytes: int = 8 * 1024
    open_files_max: int = 1024
    sendfile: SendfileMode = "auto"
    listing: bool = False
    hidden: bool = False
    try_files: tuple[str, ...] = ()
    error_documents: tuple[tuple[int, str], ...] = ((404, "404.html"),)
