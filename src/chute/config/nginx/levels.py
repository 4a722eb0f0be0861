"""The levels of an `nginx.conf` (http, server, location), and what is gathered on the way through them.

In nginx a directive counts for everything within its block that does not say it anew, and so do the keys of chute's
scopes. Where the two differ (`add_header`, `try_files`, `alias`) the functions for those directives see to it; they
look up with `effective` what counts at a level, and write what chute has to be told.
"""

from __future__ import annotations

from typing import Literal, TypeVar

from chute.config.nginx.names import Variables
from chute.config.nginx.statements import Refused, Report, Statement

Kind = Literal["http", "server", "location"]
Table = dict[str, object]
Default = TypeVar("Default")

_ORDER = (
    "match",
    "names",
    "default",
    "listeners",
    "tls",
    "internal",
    "root",
    "alias",
    "redirect",
    "respond",
    "proxy",
    "error_pages",
    "auth",
    "log",
    "files",
    "fields",
    "rewrite",
)


class Level:
    """One http, server or location block.

    Attributes:
        kind: which of them.
        statement: the block, or None for what nobody wrote.
        parent: the level around it, or None.
        table: what chute is told: keys of its scope.
        said: what this level says, by a name of ours, for what has to be known further in.
        comments: for keys of `table`; the empty key is for the level itself.
        steps: rewrites, in their order.
        locations: the locations within it.
    """

    def __init__(
        self, kind: Kind, statement: Statement | None = None, parent: Level | None = None
    ) -> None:
        """Begin with nothing said."""
        self.kind = kind
        self.statement = statement
        self.parent = parent
        self.table: Table = {}
        self.said: dict[str, object] = {}
        self.comments: dict[str, str] = {}
        self.steps: list[Table] = []
        self.locations: list[Level] = []

    def effective(self, name: str, kind: type[Default], default: Default) -> Default:
        """Return what counts for `name` here: what the nearest level says, or `default`."""
        level: Level | None = self
        while level is not None:
            if name in level.said:
                found = level.said[name]
                assert isinstance(found, kind), f"{name} is said to be {found!r}"
                return found
            level = level.parent
        return default

    @property
    def files(self) -> Table:
        """The table about files, which is made if there is none."""
        files = self.table.setdefault("files", {})
        assert isinstance(files, dict)
        return files

    @property
    def match(self) -> str:
        """What the location is for; empty for the others."""
        return str(self.table.get("match", ""))

    @property
    def server(self) -> Level:
        """The server that this level is in, or is."""
        level = self
        while level.kind == "location" and level.parent is not None:
            level = level.parent
        return level

    def comment(self, text: str, key: str = "") -> None:
        """Add a comment for `key`, or for the level itself."""
        known = self.comments.get(key)
        self.comments[key] = text if known is None else f"{known}\n{text}"

    @property
    def always_answers(self) -> bool:
        """Whether its steps answer whatever is asked, so that nothing behind them is ever reached."""
        return any(
            ("redirect" in step or "respond" in step) and "when" not in step and "match" not in step
            for step in self.steps
        ) or ("redirect" in self.table or "respond" in self.table)

    def assemble(
        self, path: tuple[str | int, ...], comments: dict[tuple[str | int, ...], str]
    ) -> Table:
        """Return the table with its locations, and note its comments under `path`."""
        for key, text in self.comments.items():
            comments[path + tuple(key.split(".") if key else ())] = text
        whole = {key: self.table[key] for key in _ORDER if key in self.table}
        assert len(whole) == len(self.table), f"no place for {set(self.table) - set(whole)}"
        if self.locations:
            whole["location"] = [
                location.assemble((*path, "location", number), comments)
                for number, location in enumerate(self.locations)
            ]
        return whole


class Migration:
    """What one configuration becomes.

    Attributes:
        report: what there is to say about its directives.
        variables: what it may name.
        defaults: the http level.
        limits: bounds.
        workers: serving processes, or None.
        log_formats: by name.
        maps: by name.
        upstreams: by name.
        servers_count: how many servers there are.
        taken_names: of named locations.
        folder: of the file, for what is named relative to it.
    """

    def __init__(self, variables: Variables, folder: str, servers_count: int) -> None:
        """Begin with nothing carried over."""
        self.report = Report()
        self.variables = variables
        self.folder = folder
        self.servers_count = servers_count
        self.defaults = Level("http")
        self.limits: Table = {}
        self.workers: int | str | None = None
        self.log_formats: dict[str, object] = {}
        self.maps: dict[str, object] = {}
        self.upstreams: dict[str, object] = {}
        self.taken_names: set[str] = set()
        self.comments: dict[tuple[str | int, ...], str] = {}

    def name_location(self, level: Level, word: str, table: Table, comment: str) -> str:
        """Return the name of a new location of the server of `level` that only others lead to.

        What is needed twice is made once.

        Raises:
            Refused: the level is in no server.
        """
        server = level.server
        if server.kind != "server":
            raise Refused("it needs a location of its own: say it in each server")
        for known in server.locations:
            if known.statement is None and known.table == {"match": known.match, **table}:
                return known.match
        number = 1
        while f"@{word}_{number}" in self.taken_names:
            number += 1
        name = f"@{word}_{number}"
        self.taken_names.add(name)
        location = Level("location", None, server)
        location.table = {"match": name, **table}
        location.comment(comment)
        server.locations.append(location)
        return name
