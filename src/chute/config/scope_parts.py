"""What a scope says beside what answers: who may come in, fields, error pages, logs."""

from __future__ import annotations

import os
from typing import NamedTuple

from chute.config.complaints import Complaints
from chute.config.document import AuthTable, CorsTable, FilesTable, Scope
from chute.config.file_options import to_options
from chute.config.problems import Path
from chute.config.scopes import logs_of
from chute.config.spelling import did_you_mean
from chute.errors import ConfigError
from chute.exchange import Request, Response, failure
from chute.middleware.cors import CorsOptions, with_cors
from chute.middleware.options import AccessOptions, LogOptions
from chute.middleware.passwords import users_of
from chute.routing.error_pages import parse_page, parse_statuses
from chute.static.rules import checked_field
from chute.variables.conditions import compile_log_conditions
from chute.variables.lookup import Phase
from chute.variables.names import Names
from chute.variables.template import Purpose, Template


class Parts(NamedTuple):
    """What a scope comes to.

    Attributes:
        access: who may come in, and what browsers are told.
        fields: for every answer.
        error_pages: by status.
        logs: where answers are noted.
    """

    access: AccessOptions
    fields: tuple[tuple[str, str], ...]
    error_pages: tuple[tuple[int, str], ...]
    logs: tuple[LogOptions, ...]


def resolve_parts(scope: Scope) -> Parts:
    """Return what `scope`, in which everything is merged, comes to; what cannot be meant is left out."""
    return Parts(
        _access(scope),
        tuple((scope.fields or {}).items()),
        tuple(
            (status, page)
            for text, page in (scope.error_pages or {}).items()
            for status in statuses_of(text)
        ),
        tuple(_log_options(scope)),
    )


def statuses_of(text: str) -> tuple[int, ...]:
    """Return the statuses in the key of an error page; none if they are none, which is told where it is written."""
    try:
        return parse_statuses(text)
    except ConfigError:
        return ()


def _access(scope: Scope) -> AccessOptions:
    auth = scope.auth if isinstance(scope.auth, AuthTable) else AuthTable()
    defaults = AccessOptions()
    return AccessOptions(
        users=auth.users or (),
        password_file=auth.file or "",
        realm=defaults.realm if auth.realm is None else auth.realm,
        cors=_cors_options(scope.cors) if isinstance(scope.cors, CorsTable) else None,
        security_fields=None if scope.security_fields == "off" else scope.security_fields,
    )


def _cors_options(table: CorsTable) -> CorsOptions:
    defaults = CorsOptions()
    exposed = defaults.exposed if table.exposed is None else table.exposed
    return CorsOptions(
        origins=table.origins,
        methods=defaults.methods if table.methods is None else table.methods,
        exposed=exposed,
        max_age_s=defaults.max_age_s if table.max_age is None else int(table.max_age.value),
    )


def _log_options(scope: Scope) -> list[LogOptions]:
    return [
        LogOptions(
            path=log.path,
            format=log.format or "combined",
            when=texts(log.when),
            sample=1.0 if log.sample is None else log.sample,
        )
        for log in logs_of(scope.log)
    ]


def texts(written: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the texts that a key stands for which takes one or several."""
    if written is None:
        return ()
    return (written,) if isinstance(written, str) else written


class ScopeChecks:
    """Checks what scopes say, where they say it."""

    def __init__(self, complaints: Complaints, names: Names, formats: set[str]) -> None:
        """Complain to `complaints`.

        Args:
            complaints: of the file.
            names: what variables there are.
            formats: names of log formats.
        """
        self._complaints = complaints
        self._names = names
        self._formats = formats

    def check(self, path: Path, written: Scope) -> None:
        """Check what is `written` at `path`, and not what that takes over from elsewhere."""
        attempt = self._complaints.attempt
        for name, value in (written.fields or {}).items():
            here = (*path, "fields", name)
            attempt(here, checked_field, name, "")
            attempt(here, Template, value, self._names, purpose=Purpose.FIELD, until=Phase.RESPONSE)
        for text, page in (written.error_pages or {}).items():
            here = (*path, "error_pages", text)
            attempt(here, parse_statuses, text)
            attempt(here, parse_page, page)
        if isinstance(written.auth, AuthTable):
            self._check_auth((*path, "auth"), written.auth)
        if isinstance(written.cors, CorsTable):
            attempt((*path, "cors"), with_cors, _nothing, _cors_options(written.cors))
        if written.files is not None:
            self._check_files((*path, "files"), written.files)
        if written.log is not None:
            for index, options in enumerate(_log_options(written)):
                here = (*path, "log") if isinstance(written.log, str) else (*path, "log", index)
                self._check_log(here, options)

    def _check_files(self, path: Path, files: FilesTable) -> None:
        """Check what is said about files here; what it is taken over by says nothing of it again."""

        def complain(beneath: Path, error: ConfigError) -> None:
            self._complaints.add((*path, *beneath), str(error), error.hint)

        to_options(files, "/", complain, names=self._names)

    def _check_auth(self, path: Path, auth: AuthTable) -> None:
        if not (auth.users or auth.file) and auth.realm is None:
            hint = 'add users = ["USER:HASH"], or file; "off" lets everybody in'
            self._complaints.add(path, "nobody could come in", hint)
            return
        file = "" if auth.file is None else os.path.join(self._complaints.source.folder, auth.file)
        options = AccessOptions(users=auth.users or (), password_file=file)
        self._complaints.attempt(path, users_of, options)

    def _check_log(self, path: Path, options: LogOptions) -> None:
        if options.format not in self._formats:
            what = f"there is no log format {options.format!r}"
            hint = did_you_mean(options.format, self._formats)
            self._complaints.add((*path, "format"), what, hint)
        if not 0 <= options.sample <= 1:
            what = f"{options.sample} is no part of the answers"
            self._complaints.add((*path, "sample"), what, "from 0 to 1")
        full = os.path.join(self._complaints.source.folder, options.path)
        folder = os.path.dirname(full)
        if options.path not in ("-", "off") and not os.path.isdir(folder):
            what = f"there is no folder {folder!r} to write a log in"
            self._complaints.add((*path, "path"), what, "make it first")
        here = (*path, "when")
        self._complaints.attempt(here, compile_log_conditions, options.when, self._names)


def _nothing(request: Request) -> Response:
    del request
    return failure(404, "")
