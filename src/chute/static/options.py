"""What can be set about static files. `config` composes this; the defaults are the manual."""

from __future__ import annotations

import msgspec

from chute.files.resolve import Links
from chute.static.rules import FieldRule
from chute.transfer.method import SendfileMode


class UploadOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of uploads to a served folder.

    Attributes:
        content_bytes_max: of one upload.
        quota_bytes: what all files beneath the root may come to, or None for no bound.
        overwrite: whether a file is replaced by an upload that says nothing about it.
        origins: of other sites whose pages may upload.
    """

    content_bytes_max: int = 1024 * 1024 * 1024
    quota_bytes: int | None = None
    overwrite: bool = False
    origins: tuple[str, ...] = ()


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
        links: which symbolic links are followed: those that stay `beneath` the root; those that have the same
            `owner` as what they lead to; all (`follow`); none (`deny`).
        prefix: the path beneath which the folder answers, and which is taken off before a name is looked up (nginx's
            alias); `/` for all of the site.
        sidecars: whether `name.zst`, `name.br` and `name.gz` are sent in place of `name` to who accepts them.
        compress: whether text is compressed on the way, once, and kept.
        compress_min_bytes: smaller files are not.
        compress_max_bytes: larger ones neither.
        compress_memory_bytes: for what is kept.
        compress_levels: levels by coding, where the usual ones are not wanted.
        compress_types: media types, beside the usual ones, that are worth it.
        rules: fields by pattern (see `rules`).
        media_types: extensions, and their types where they are to be others than usual.
        charset: what text is said to be in; empty to say nothing.
        limit_rate: bytes per second of each answer; 0 for no limit.
        limit_rate_after: bytes of it that come before the limit.
        entity_tag_suffix: of the name of a file that holds the entity tag of another, such as `.etag`; empty for none.
        archives: whether a folder can be had as one `.zip` or `.tar`.
        uploads: how files are received, or None: they are not.
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
    links: Links = "beneath"
    prefix: str = "/"
    sidecars: bool = True
    compress: bool = True
    compress_min_bytes: int = 1024
    compress_max_bytes: int = 16 * 1024 * 1024
    compress_memory_bytes: int = 64 * 1024 * 1024
    compress_levels: tuple[tuple[str, int], ...] = ()
    compress_types: tuple[str, ...] = ()
    rules: tuple[FieldRule, ...] = ()
    media_types: tuple[tuple[str, str], ...] = ()
    charset: str = "utf-8"
    limit_rate: int = 0
    limit_rate_after: int = 0
    entity_tag_suffix: str = ""
    archives: bool = False
    uploads: UploadOptions | None = None
