"""What a `chute.toml` can say: its tables and keys, and what they mean.

This is the form of the text, and no more: nothing here is merged, defaulted or looked up (`resolve` does that), and
what is not written is None. The descriptions of the attributes are the manual: `docs/configuration.md`, the hints of
`chute check` and the JSON schema for editors are made from them. Keys of what is served are those of `chute serve`,
without dashes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from chute.config.quantities import Duration, Rate, Size

Levels = dict[str, int]
Names = tuple[str, ...]


class Table(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A table; every key may be left out unless its description says otherwise."""


class UploadTable(Table, frozen=True, kw_only=True):
    """How files are received.

    Attributes:
        max: larger uploads are refused.
        quota: what all files beneath the root may come to; when left out, what the disk holds.
        overwrite: whether an upload may replace a file without naming its state (`If-Match`).
        origins: other sites whose pages may upload, such as `"https://app.example.org"`.
    """

    max: Size | None = None
    quota: Size | None = None
    overwrite: bool | None = None
    origins: Names | None = None


class FilesTable(Table, frozen=True, kw_only=True):
    """How files are served. What a site says is taken over by its locations, key by key.

    Attributes:
        index: names tried, in this order, for a folder.
        try_files: what is tried for a path, in this order: `"$uri"`, `"$uri.html"`, `"$uri/"`, another path beneath the
            root with variables in it, the name of a file beneath the root for navigations, `"@name"` for a location,
            `"=404"` for a status.
        spa: whether navigations to unknown paths are answered with `/index.html`: a single-page app.
        listing: whether a folder without an index page shows what is in it.
        archives: whether a folder can be had as one `.zip` or `.tar`.
        hidden: whether names that begin with a dot are served.
        links: which symbolic links are followed: `"beneath"` those that stay beneath the root, `"owner"` those of the
            same owner as what they lead to, `"follow"` all, `"deny"` none.
        sidecars: whether `name.zst`, `name.br` and `name.gz` are sent in place of `name` to who accepts them.
        compress: whether text is compressed once, on the way, and kept.
        compress_min: smaller files are not.
        compress_level: levels by coding, such as `{ gzip = 5, zstd = 6 }`.
        compress_type: media types, beside the usual ones, that are worth compressing.
        cache: for how long answers may be kept, by pattern: `{ "*.css" = "1h", "/assets/**" = "immutable" }`.
        field: fields by pattern, as for `cache`: `{ "*.pdf" = { "X-Robots-Tag" = "noindex" } }`.
        media_type: types by extension: `{ map = "application/json" }`.
        charset: what text is said to be in; `""` to say nothing.
        entity_tags: suffix of the name of a file that holds the entity tag of another, such as `".etag"`.
        limit_rate: bytes per second of each answer, such as `"1 MiB/s"`.
        limit_rate_after: bytes of each answer that come before the limit.
        upload: `true` or a table: files are received.
        valid: for how long a file is taken to be unchanged before the disk is asked again; `0` asks every time.
        sendfile: `"on"`, `"off"`, or `"auto"`, which copies on network, shared and FUSE file systems.
        sendfile_min: smaller files are kept in memory, and leave in one call with their head.
        open_files: how many files are kept open between requests.
    """

    index: Names | None = None
    try_files: Names | None = None
    spa: bool | None = None
    listing: bool | None = None
    archives: bool | None = None
    hidden: bool | None = None
    links: Literal["beneath", "owner", "follow", "deny"] | None = None
    sidecars: bool | None = None
    compress: bool | None = None
    compress_min: Size | None = None
    compress_level: Levels | None = None
    compress_type: Names | None = None
    cache: dict[str, str] | None = None
    field: dict[str, dict[str, str]] | None = None
    media_type: dict[str, str] | None = None
    charset: str | None = None
    entity_tags: str | None = None
    limit_rate: Rate | None = None
    limit_rate_after: Size | None = None
    upload: bool | UploadTable | None = None
    valid: Duration | None = None
    sendfile: Literal["auto", "on", "off"] | None = None
    sendfile_min: Size | None = None
    open_files: int | None = None


class AuthTable(Table, frozen=True, kw_only=True):
    """Who may come in.

    Attributes:
        users: users and the hashes of their passwords, each `"USER:HASH"` (`htpasswd -nBC 10 USER` makes one).
        file: a file of such lines, as `htpasswd` writes it.
        realm: what clients show when they ask for a password.
    """

    users: Names | None = None
    file: str | None = None
    realm: str | None = None


class CorsTable(Table, frozen=True, kw_only=True):
    """Which pages of other origins may read what is served.

    Attributes:
        origins: required: `"*"`, or origins such as `"https://app.example.org"`.
        methods: what they may ask for, beside GET, HEAD and POST.
        exposed: response fields that their scripts may see, beside those that they always may; `["*"]` for all.
        max_age: for how long a browser may remember the permission.
    """

    origins: Literal["*"] | Names
    methods: Names | None = None
    exposed: Names | None = None
    max_age: Duration | None = None


class LogTable(Table, frozen=True, kw_only=True):
    """One access log.

    Attributes:
        path: required: a file to append to, or `"-"` for standard output.
        format: `"combined"`, `"json"`, or the name of a `[log_format]`.
        when: conditions; only answers for which all hold are logged.
        sample: the part of the answers that is logged, from 0 to 1; failures (from 500 up) always are.
    """

    path: str
    format: str | None = None
    when: str | Names | None = None
    sample: float | None = None


class RedirectTable(Table, frozen=True, kw_only=True):
    """An answer that sends the client elsewhere.

    Attributes:
        to: required: a path, or a whole URL; may contain variables.
        status: 301, 302, 303, 307 or 308; 302 when left out.
    """

    to: str
    status: int | None = None


class RespondTable(Table, frozen=True, kw_only=True):
    """A fixed answer.

    Attributes:
        status: 200 when left out.
        text: the content; may contain variables. Without one a failure is answered with its usual page.
        type: the media type of the content; `text/plain` when left out.
    """

    status: int | None = None
    text: str | None = None
    type: str | None = None


class RewriteTable(Table, frozen=True, kw_only=True):
    """One step of a rewrite: a new path, a variable, or an answer.

    Attributes:
        when: conditions; the step is taken only if all hold.
        match: a regular expression for the path; the step is taken only if it matches.
        to: the new path, with a query after a `?`; `$1` stands for the first group of `match`. The query of the
            request is appended unless `to` ends with a `?`. With `set`: the value.
        then: `"last"` looks for a location anew, `"break"` stays in this one; `"redirect"` (302) and `"permanent"`
            (301) send the client there. When left out, the next step follows.
        set: the name of a variable to set to `to`.
        redirect: sends the client elsewhere, and ends the steps.
        respond: answers, and ends the steps.
    """

    when: str | Names | None = None
    match: str | None = None
    to: str | None = None
    then: Literal["last", "break", "redirect", "permanent"] | None = None
    set: str | None = None
    redirect: str | RedirectTable | None = None
    respond: int | str | RespondTable | None = None


class Scope(Table, frozen=True, kw_only=True):
    """What can be said for all sites (`[defaults]`), for a site, and for a location; the nearest counts, key by key.

    Attributes:
        root: the folder that paths are looked up in; or one file, which then is all that is served.
        files: how files are served.
        fields: fields for every answer, by name; may contain variables; `""` takes a field of a wider scope back.
        error_pages: what is shown for failures, by status (`"404"`, `"502 503"`): a path, `"@name"` for a location, or
            a sentence. A path that ends with `.html` is for clients that read pages; others are told in JSON or text.
        auth: who may come in; `"off"` for everybody.
        cors: which pages of other origins may read; `"off"` for none.
        security_fields: a set of fields that tell browsers to be careful: `"off"`, `"basic"` or `"strict"`.
        log: access logs: tables, a path, `"-"` for standard output, or `"off"`.
    """

    root: str | None = None
    files: FilesTable | None = None
    fields: dict[str, str] | None = None
    error_pages: dict[str, str] | None = None
    auth: Literal["off"] | AuthTable | None = None
    cors: Literal["off"] | CorsTable | None = None
    security_fields: Literal["off", "basic", "strict"] | None = None
    log: str | tuple[LogTable, ...] | None = None


class LocationTable(Scope, frozen=True, kw_only=True):
    """What answers for a part of a site. Serves files from the root unless it says what else it does.

    Attributes:
        match: required: `"/path/"` for everything beneath, `"= /path"` for this path alone, `"^~ /path/"` for
            everything beneath and no regular expression, `"~ regex"`, `"~* regex"` without regard to case, `"@name"`
            for what only others send here.
        when: conditions; the location is passed over unless all hold: `"$request_method = POST"`,
            `"$http_user_agent ~* bot"`, `"$arg_debug"`.
        internal: whether only rewrites, error pages and `try_files` lead here; taken over by the locations within.
        alias: a folder that stands for `match`: what follows it in the path is looked up there. With `= /path`, a file.
        redirect: sends the client elsewhere.
        respond: a fixed answer: a status, a text or a table.
        app: an application, `"module:attribute"`.
        proxy: the name of an upstream, or a URL.
        rewrite: steps that are taken before the location answers.
        location: locations within this one.
    """

    match: str
    when: str | Names | None = None
    internal: bool | None = None
    alias: str | None = None
    redirect: str | RedirectTable | None = None
    respond: int | str | RespondTable | None = None
    app: str | None = None
    proxy: str | None = None
    rewrite: tuple[RewriteTable, ...] = ()
    location: tuple[LocationTable, ...] = ()


class TlsTable(Table, frozen=True, kw_only=True):
    """The certificate of a site.

    Attributes:
        certificate: required: a file with the certificate and those that lead to its root, in PEM.
        key: a file with the private key, in PEM; the same file when left out.
    """

    certificate: str
    key: str | None = None


class SiteTable(Scope, frozen=True, kw_only=True):
    """A site: what answers for some hosts.

    Attributes:
        names: hosts: `"example.org"`, `"*.example.org"`, `"www.*"`, `".example.org"` (itself and all beneath it),
            `"~regex"`, and `""` for requests without one.
        default: whether the site answers for hosts that no site names; else the first one does.
        listeners: names of the listeners where the site is served; all of them when left out.
        tls: the certificate.
        rewrite: steps that are taken before a location is looked for.
        location: locations.
    """

    names: Names = ()
    default: bool | None = None
    listeners: Names | None = None
    tls: TlsTable | None = None
    rewrite: tuple[RewriteTable, ...] = ()
    location: tuple[LocationTable, ...] = ()


class ListenerTable(Table, frozen=True, kw_only=True):
    """Where to listen.

    Attributes:
        bind: required: `"HOST:PORT"`, `":PORT"` for every address, `"[::1]:PORT"`, `"unix:PATH"` or `"fd:N"` for an
            inherited socket.
        mode: permissions of a Unix socket, such as `"0660"`.
        owner: user, and group behind a colon, that a Unix socket is given to: `"www-data"`, `"www-data:www-data"`,
            `":www-data"`.
    """

    bind: str
    mode: str | None = None
    owner: str | None = None


class MapTable(Table, frozen=True, kw_only=True):
    """A variable whose value is looked up by that of another.

    Attributes:
        source: required: what is looked up; contains variables.
        values: values by what is looked up, regardless of case: a text, `"~regex"` or `"~*regex"`; texts come first.
            Values may contain variables.
        default: the value when nothing matches.
    """

    source: str
    values: dict[str, str] = {}
    default: str = ""


class UpstreamTable(Table, frozen=True, kw_only=True):
    """Servers that requests are passed on to.

    Attributes:
        servers: required: `"HOST:PORT"` or `"unix:PATH"`.
    """

    servers: Names


class LogFormatTable(Table, frozen=True, kw_only=True):
    """How a line of an access log looks.

    Attributes:
        template: required: text with variables.
        escape: how values are made safe: `"default"` as nginx does, `"json"` for use within JSON strings, `"none"`.
    """

    template: str
    escape: Literal["default", "json", "none"] | None = None


class LimitsTable(Table, frozen=True, kw_only=True):
    """Bounds on what a client may send, and on how long it may take.

    Attributes:
        head_timeout: for a whole request head to arrive.
        body_timeout: between two reads of request content.
        keep_alive_timeout: between two requests.
        send_timeout: for a client to accept more bytes.
        linger_timeout: for a client to finish sending after the last answer.
        target_max: bytes of a request target.
        head_max: bytes of a request head.
        fields_max: field lines of a request.
        content_max: bytes of request content that nobody asked for.
        chunk_max: bytes carried for one connection before the others have their turn.
    """

    head_timeout: Duration | None = None
    body_timeout: Duration | None = None
    keep_alive_timeout: Duration | None = None
    send_timeout: Duration | None = None
    linger_timeout: Duration | None = None
    target_max: Size | None = None
    head_max: Size | None = None
    fields_max: int | None = None
    content_max: Size | None = None
    chunk_max: Size | None = None


class Document(Table, frozen=True, kw_only=True):
    """A configuration file.

    Attributes:
        include: other files that belong to this one, such as `["sites/*.toml"]`, relative to it. A pattern that
            matches nothing is an error unless it begins with `?`.
        workers: serving processes; `"auto"` for one per core.
        pid_file: a file with the number of the process, for `chute reload`, `chute quit` and `chute reopen`.
        shutdown_timeout: how long answers that are on their way may take when the server is to end in peace (SIGQUIT),
            or another configuration takes over.
        debug_headers: whether answers tell how they are carried (`Server-Timing`); prepared answers are then not used.
        poller: `"auto"` takes epoll where there is one; `"portable"` does without.
        limits: bounds.
        listener: where to listen, by name; `127.0.0.1:8000` when there is none.
        log_format: formats of access logs, by name: a template, or a table.
        map: variables by name.
        upstream: servers that requests are passed on to, by name.
        defaults: what all sites start with.
        site: the sites.
    """

    include: Names = ()
    workers: int | Literal["auto"] | None = None
    pid_file: str | None = None
    shutdown_timeout: Duration | None = None
    debug_headers: bool | None = None
    poller: Literal["auto", "portable"] | None = None
    limits: LimitsTable | None = None
    listener: dict[str, ListenerTable] = {}
    log_format: dict[str, str | LogFormatTable] = {}
    map: dict[str, MapTable] = {}
    upstream: dict[str, UpstreamTable] = {}
    defaults: Scope | None = None
    site: tuple[SiteTable, ...] = ()
