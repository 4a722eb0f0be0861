"""The shape of the source: which room may know which, and what may be done only in one place.

The rules are the data below; the rest of the file reads the tree with `ast` and never imports it.
import-linter states the rows a second time, in pyproject.toml, for people who want its picture of a
broken chain. This file is the exact one: it knows homes and sizes too, and needs nothing installed.
"""

from __future__ import annotations

import ast
import re
import textwrap
from fnmatch import fnmatch
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "chute"

# From low to high. A room imports rooms of lower rows only: never its own row, never a higher one.
ROWS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "clock", "collection", "streams"}),
    frozenset({"transfer", "semantics"}),
    frozenset({"http1", "exchange"}),
    frozenset({"files", "variables"}),
    frozenset({"plan", "static", "middleware", "routing"}),
    frozenset({"engine"}),
    frozenset({"config"}),
    frozenset({"compose"}),
    frozenset({"supervisor"}),
    frozenset({"cli"}),
)

# The package itself and `python -m chute` stand above every row.
ABOVE_ALL_ROWS = frozenset({"__init__", "__main__"})

# The one name a room may take from the package itself.
PACKAGE_NAMES = frozenset({"__version__"})

# What may be named only in these files (patterns relative to src/chute).
HOMES: dict[str, tuple[str, ...]] = {
    "asyncio": (
        "engine/bridge.py",
        "engine/server.py",
        "engine/portable.py",
        "supervisor/worker.py",
        "transfer/aio.py",
    ),
    "time": ("clock.py",),
    # What a peer names goes through `files`. The paths of `chute.sendfile` are the calling program's own, and
    # /dev/null is nobody's.
    "os.open": ("files/*.py", "transfer/arguments.py", "transfer/read_ahead.py"),
    "os.sendfile": ("transfer/*.py",),
    "os.splice": ("transfer/*.py",),
    "select.epoll": ("engine/poller.py",),
}

BANNED_MODULE_NAMES = frozenset({"utils", "helpers", "common", "misc"})
LINES_MAX = 500
# Written in two halves, for this file is searched as well.
UNFINISHED = re.compile(r"\b(" + "TO" + r"DO|FIX" + r"ME)\b")

ROW_OF = {room: number for number, row in enumerate(ROWS) for room in row}


def room_of(path: str) -> str:
    """Return the room of a file: its first folder, or its own name at the top of the package."""
    return path.split("/", maxsplit=1)[0].removesuffix(".py")


def imported_modules(tree: ast.AST) -> set[str]:
    """Return the dotted name of everything that is imported, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            found |= {f"{origin}.{alias.name}" for alias in node.names}
    return found


def names_used(tree: ast.AST) -> set[str]:
    """Return the imported names, and every dotted expression whose root is one, in full."""
    full_name: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.split(".")[0]
                full_name[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full_name[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    used = imported_modules(tree)
    for node in ast.walk(tree):
        steps: list[str] = []
        root = node
        while isinstance(root, ast.Attribute):
            steps.append(root.attr)
            root = root.value
        if isinstance(root, ast.Name) and root.id in full_name:
            used.add(".".join([full_name[root.id], *reversed(steps)]))
    return used


def layer_faults(path: str, tree: ast.AST) -> list[str]:
    """Return what the imports of one file do against the rows."""
    room = room_of(path)
    if room in ABOVE_ALL_ROWS:
        return []
    if room not in ROW_OF:
        return [
            f"{path}: room {room!r} stands in no row; give it one in ROWS and in pyproject.toml"
        ]
    faults = []
    for name in sorted(imported_modules(tree)):
        package, _, rest = name.partition(".")
        target = rest.split(".")[0]
        if name.startswith("."):
            faults.append(f"{path}: relative import {name}")
        elif package != "chute" or target == room or target in PACKAGE_NAMES:
            continue
        elif target not in ROW_OF:
            faults.append(f"{path}: imports {name}, which stands in no row")
        elif ROW_OF[target] >= ROW_OF[room]:
            side = "its sibling" if ROW_OF[target] == ROW_OF[room] else "upwards to"
            faults.append(f"{path}: imports {side} {target} ({name})")
    return faults


def home_faults(path: str, tree: ast.AST) -> list[str]:
    """Return what one file names that lives elsewhere."""
    used = names_used(tree)
    return [
        f"{path}: names {owned}, whose home is {', '.join(homes)}"
        for owned, homes in HOMES.items()
        if any(name == owned or name.startswith(f"{owned}.") for name in used)
        and not any(fnmatch(path, home) for home in homes)
    ]


def form_faults(path: str, source: str, tree: ast.Module) -> list[str]:
    """Return what is wrong with a file as a file: its name, its size, its missing docstring."""
    faults = []
    banned = BANNED_MODULE_NAMES.intersection(path.removesuffix(".py").split("/"))
    if banned:
        faults.append(f"{path}: {', '.join(banned)} names no subject")
    if ast.get_docstring(tree) is None:
        faults.append(f"{path}: has no module docstring")
    if source.count("\n") > LINES_MAX:
        faults.append(f"{path}: is longer than {LINES_MAX} lines")
    return faults


def unfinished_faults(path: str, source: str) -> list[str]:
    """Return the lines that promise work instead of doing it."""
    return [
        f"{path}:{number}: unfinished: {line.strip()}"
        for number, line in enumerate(source.splitlines(), start=1)
        if UNFINISHED.search(line)
    ]


def faults_of(path: str, source: str) -> list[str]:
    """Return every fault of one file of the package; `path` is relative to src/chute."""
    tree = ast.parse(source, filename=path)
    return [
        *layer_faults(path, tree),
        *home_faults(path, tree),
        *form_faults(path, source, tree),
        *unfinished_faults(path, source),
    ]


def package_files() -> list[str]:
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def test_files() -> list[str]:
    tests = REPOSITORY / "tests"
    return sorted(path.relative_to(tests).as_posix() for path in tests.rglob("*.py"))


test_files.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", package_files())
def test_module_keeps_the_house_rules(path: str):
    assert faults_of(path, (PACKAGE / path).read_text("utf-8")) == []


@pytest.mark.parametrize("path", test_files())
def test_test_file_is_finished_and_small(path: str):
    source = (REPOSITORY / "tests" / path).read_text("utf-8")
    assert unfinished_faults(path, source) == []
    assert source.count("\n") <= LINES_MAX


def test_rows_name_every_room_once():
    assert sum(len(row) for row in ROWS) == len(ROW_OF)


def test_import_linter_states_the_same_rows():
    """Two statements of one rule drift apart unless something compares them."""
    settings = (REPOSITORY / "pyproject.toml").read_text("utf-8")
    stated = re.search(r"^layers = \[\n(.*?)^\]", settings, re.DOTALL | re.MULTILINE)
    assert stated is not None
    rows = [set(re.findall(r"\w+", line)) for line in stated[1].splitlines()]
    assert rows == [set(row) for row in reversed(ROWS)]


BROKEN = {
    "import upwards": ("files/open.py", "from chute.engine.server import Server"),
    "import of a sibling": ("semantics/ranges.py", "import chute.transfer.outbox"),
    "import of a room by name": ("http1/grammar.py", "from chute import cli"),
    "import for types only": (
        "plan/cache.py",
        """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from chute.static.handler import StaticHandler
        """,
    ),
    "import inside a function": ("clock.py", "def late():\n    from chute.cli import main"),
    "relative import": ("http1/framing.py", "from . import grammar"),
    "unknown room": ("attic/box.py", "import os"),
    "import of an unknown room": ("engine/server.py", "from chute.attic import box"),
    "asyncio outside the engine": ("static/handler.py", "from asyncio import sleep"),
    "asyncio elsewhere in the engine": ("engine/connection.py", "import asyncio.events"),
    "os.open under another name": ("cli/serve.py", "import os as system\nsystem.open('x', 0)"),
    "os.open imported by name": ("supervisor/worker.py", "from os import open as unlocked"),
    "sendfile outside transfer": ("engine/connection.py", "import os\nos.sendfile(1, 2, 0, 3)"),
    "splice kept for later": ("static/handler.py", "import os\nmove = os.splice"),
    "epoll elsewhere": ("engine/server.py", "import select\nselect.epoll()"),
    "a clock of one's own": ("middleware/access_log.py", "from time import monotonic"),
    "a file name without a subject": ("engine/utils.py", "import os"),
    "a folder name without a subject": ("engine/common/parts.py", "import os"),
    "too many lines": ("engine/server.py", "X = 1\n" * (LINES_MAX + 1)),
    "unfinished": ("engine/server.py", "X = 1  # TO" + "DO: two"),
}


@pytest.mark.parametrize(("path", "source"), BROKEN.values(), ids=BROKEN.keys())
def test_checker_catches(path: str, source: str):
    documented = f'"""A module."""\n{textwrap.dedent(source)}\n'
    assert len(faults_of(path, documented)) == 1


def test_checker_catches_a_missing_docstring():
    assert faults_of("clock.py", "X = 1\n") == ["clock.py: has no module docstring"]


ALLOWED = {
    "import downwards": ("engine/server.py", "from chute.files.resolve import open_beneath"),
    "import within the room": ("files/respond.py", "from chute.files import resolve"),
    "the version": ("cli/main.py", "from chute import __version__"),
    "asyncio at home": ("engine/bridge.py", "import asyncio\nasyncio.get_running_loop()"),
    "os.open at home": ("files/resolve.py", "import os\nos.open('x', os.O_RDONLY)"),
    "a longer name with the same beginning": ("cli/main.py", "import os\nos.openpty()"),
    "an attribute that only looks like it": ("cli/main.py", "def f(os):\n    os.open('x')"),
}


@pytest.mark.parametrize(("path", "source"), ALLOWED.values(), ids=ALLOWED.keys())
def test_checker_allows(path: str, source: str):
    assert faults_of(path, f'"""A module."""\n{source}\n') == []
