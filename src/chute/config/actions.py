"""What answers in a location, and the steps before it: from tables to options, each tried."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from chute.config.complaints import Complaints
from chute.config.document import (
    LocationTable,
    RedirectTable,
    RespondTable,
    RewriteTable,
    Scope,
)
from chute.config.file_options import to_options
from chute.config.model import Action
from chute.config.problems import Path
from chute.config.scope_parts import statuses_of, texts
from chute.config.scopes import NO_FILES
from chute.config.served import folder_or_file
from chute.config.spelling import did_you_mean
from chute.errors import ConfigError
from chute.routing.answers import make_redirect, make_respond
from chute.routing.locations import Kind, Match
from chute.routing.options import RedirectOptions, RespondOptions, RewriteOptions
from chute.routing.rewrites import compile_step
from chute.static.options import StaticOptions
from chute.variables.names import Names

ACTIONS: Final = ("redirect", "respond", "app", "proxy")
"""Keys of a location of which there may be one; without any, files are served."""

NOT_BUILT: Final = "is not built yet"


class Actions:
    """Resolves what answers in the locations of one file."""

    def __init__(self, complaints: Complaints, names: Names, upstreams: set[str]) -> None:
        """Complain to `complaints`.

        Args:
            complaints: of the file.
            names: what variables there are.
            upstreams: names of upstreams.
        """
        self._complaints = complaints
        self._names = names
        self._upstreams = upstreams
        self._served: dict[tuple[int, str], tuple[Scope, StaticOptions | None]] = {}

    # ------------------------------------------------------------------ one of several

    def resolve(
        self, path: Path, table: LocationTable, match: Match, scope: Scope
    ) -> Action | None:
        """Return what answers in the location at `path`, or None after a complaint.

        Args:
            path: of the location.
            table: what is written there.
            match: what the location is for.
            scope: what holds there.
        """
        given = [key for key in ACTIONS if getattr(table, key) is not None]
        files = [key for key in ("alias", "root", "files") if getattr(table, key) is not None]
        if len(given) + bool(files) > 1:
            what = f"{' and '.join([*given, *files[:1]])} in one location: only one can answer"
            self._complaints.add(path, what, "make two locations, or leave one out")
            return None
        if table.redirect is not None:
            return self.redirect((*path, "redirect"), table.redirect)
        if table.respond is not None:
            return self.respond((*path, "respond"), table.respond)
        if table.app is not None:
            hint = "serve files, or redirect to where the application runs"
            self._complaints.add((*path, "app"), f"hosting an application {NOT_BUILT}", hint)
            return None
        if table.proxy is not None:
            self._complain_of_proxy((*path, "proxy"), table.proxy)
            return None
        if table.alias is not None:
            return self._aliased(path, table.alias, match, scope)
        return self.files(path, table, scope)

    def _complain_of_proxy(self, path: Path, proxy: str) -> None:
        if "://" not in proxy and proxy not in self._upstreams:
            hint = did_you_mean(proxy, self._upstreams) or "add [upstream] with its servers"
            self._complaints.add(path, f"there is no upstream {proxy!r}", hint)
        hint = "serve files, or redirect to where the upstream is"
        self._complaints.add(path, f"passing requests on {NOT_BUILT}", hint)

    # ------------------------------------------------------------------ answers without files

    def redirect(self, path: Path, written: str | RedirectTable) -> RedirectOptions | None:
        """Return a redirect, or None after a complaint."""
        table = RedirectTable(to=written) if isinstance(written, str) else written
        status = 302 if table.status is None else table.status
        options = RedirectOptions(to=table.to, status=status)
        made = self._complaints.attempt(path, make_redirect, options, self._names)
        return None if made is None else options

    def respond(self, path: Path, written: int | str | RespondTable) -> RespondOptions | None:
        """Return a fixed answer, or None after a complaint."""
        if isinstance(written, int):
            table = RespondTable(status=written)
        elif isinstance(written, str):
            table = RespondTable(text=written)
        else:
            table = written
        options = RespondOptions(
            status=200 if table.status is None else table.status,
            text=table.text,
            media_type=RespondOptions().media_type if table.type is None else table.type,
        )
        made = self._complaints.attempt(path, make_respond, options, self._names)
        return None if made is None else options

    # ------------------------------------------------------------------ files

    def files(self, path: Path, table: Scope, scope: Scope) -> StaticOptions | None:
        """Return how files are served from the root of `scope`, or None after a complaint.

        Args:
            path: of the location, or of the site.
            table: what is written there.
            scope: what holds there.
        """
        if scope.root is None:
            what = "this location serves files, and there is no root to find them in"
            hint = f"add root, or one of {', '.join(ACTIONS)}"
            self._complaints.add(path, what, hint)
            return None
        # Most locations say nothing about files: what they take over was resolved for the first of them.
        key = (id(scope), scope.root)
        known = self._served.get(key)
        if known is None:
            where = (*path, "root") if table.root is not None else path
            known = (scope, self._serve(where, path, scope, scope.root))
            self._served[key] = known
        return known[1]

    def _aliased(self, path: Path, alias: str, match: Match, scope: Scope) -> StaticOptions | None:
        where = (*path, "alias")
        full = os.path.join(self._complaints.source.folder, alias)
        if match.kind is Kind.EXACT:
            options = self._serve(where, path, scope, full)
            if options is not None and options.only is None:
                what = f"{match.shown!r} is one path, and {alias!r} is no file"
                self._complaints.add(where, what, "name a file")
            return options
        if match.kind not in (Kind.PREFIX, Kind.PREFIX_WITHOUT_REGEX):
            what = f"{match.shown!r} is no path that a folder could stand for"
            self._complaints.add(where, what, "use root, and a rewrite")
            return None
        return self._serve(where, path, scope, full, prefix=match.text)

    def _serve(
        self, where: Path, path: Path, scope: Scope, root: str, *, prefix: str = "/"
    ) -> StaticOptions | None:
        if "$" in root:
            what = "a folder cannot be named by variables"
            self._complaints.add(where, what, "make a site, or a location, for each folder")
            return None
        named = self._complaints.attempt(where, folder_or_file, root)
        if named is None:
            return None
        folder, only = named

        files = scope.files or NO_FILES
        options = to_options(
            files, folder, _told_already, names=self._names, prefix=prefix, only=only
        )
        if options.uploads is not None and only is not None:
            what = "one file takes no uploads"
            self._complaints.add((*path, "files", "upload"), what, "name a folder")
        shown = {status for text in scope.error_pages or {} for status in statuses_of(text)}
        documents = tuple(each for each in options.error_documents if each[0] not in shown)
        return msgspec.structs.replace(options, error_documents=documents)

    # ------------------------------------------------------------------ steps

    def rewrites(self, path: Path, tables: tuple[RewriteTable, ...]) -> tuple[RewriteOptions, ...]:
        """Return the steps at `path`, without those that a complaint is about."""
        found = []
        for index, table in enumerate(tables):
            here = (*path, "rewrite", index)
            options = self._rewrite(here, table)
            if options is None:
                continue
            if self._complaints.attempt(here, compile_step, options, self._names) is not None:
                found.append(options)
        return tuple(found)

    def _rewrite(self, path: Path, table: RewriteTable) -> RewriteOptions | None:
        does = [key for key in ("set", "redirect", "respond") if getattr(table, key) is not None]
        if table.to is not None and table.set is None:
            does.append("to")
        if len(does) > 1:
            what = f"{' and '.join(does)} in one step: only one can be done"
            self._complaints.add(path, what, "make two steps")
            return None
        if table.then is not None and does and does[0] != "to":
            what = f"then is about a new path, and this step has {does[0]}"
            self._complaints.add((*path, "then"), what, "leave it out")
            return None
        if table.set is not None and table.to is None:
            self._complaints.add(path, f"${table.set} is set to nothing", 'add to = "..."')
            return None
        answer: RedirectOptions | RespondOptions | None = None
        if table.redirect is not None:
            answer = self.redirect((*path, "redirect"), table.redirect)
        elif table.respond is not None:
            answer = self.respond((*path, "respond"), table.respond)
        if answer is None and does and does[0] in ("redirect", "respond"):
            return None
        return RewriteOptions(
            when=texts(table.when),
            match=table.match,
            to=table.to,
            then=table.then or "",
            variable=table.set or "",
            answer=answer,
        )


def _told_already(path: Path, error: ConfigError) -> None:
    """Say nothing: what is wrong with files was told where it is written."""
    del path, error
