"""From files to documents: TOML is read, the environment put in, other files included, and all of it decoded.

Every problem of every file is collected, so that one run tells all of them. What a file says stays with its file: where
a problem is, and what a relative path is relative to, can be told until the end.
"""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from chute.config.decode import decode
from chute.config.document import Document
from chute.config.environment import expand
from chute.config.positions import Positions, line_of_syntax_error, locate
from chute.config.problems import InvalidConfig, Located, Path, show_path
from chute.errors import ConfigError

FILE_BYTES_MAX = 64 * 1024 * 1024

INCLUDES_MAX = 10_000


class Source:
    """One file.

    Attributes:
        file: its name, as shown to people.
        folder: what relative paths in it are relative to.
        document: what it says.
    """

    def __init__(
        self, file: str, text: str, document: Document, left_out: Sequence[Path] = ()
    ) -> None:
        """Keep what `file` says.

        Args:
            file: its name.
            text: its text.
            document: what that means.
            left_out: what was left out of that, for it is wrong in itself.
        """
        self._incomplete = {path[:-1] for path in left_out}
        self.file = file
        self.folder = os.path.dirname(os.path.abspath(file))
        self.document = document
        self._text = text
        self._positions: Positions | None = None

    def is_incomplete(self, path: Path) -> bool:
        """Whether something in the table at `path` was left out: that it is missing was told with the reason."""
        return path in self._incomplete

    def locate(self, path: Path, what: str, hint: str = "") -> Located:
        """Return a problem at `path` with its line."""
        if self._positions is None:
            self._positions = locate(self._text)
        line = self._positions.line_of(path)
        return Located(self.file, line or 0, show_path(path), what, hint)


class Loader:
    """Reads a file and what it includes.

    Attributes:
        sources: what was read, the first file first.
        problems: what is wrong with it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Put `environ` in for `${NAME}`."""
        self._environ = environ
        self._seen: dict[str, str] = {}
        self.sources: list[Source] = []
        self.problems: list[Located] = []

    def read(self, file: str) -> None:
        """Read the file of that name, and those that it includes.

        Raises:
            ConfigError: it cannot be read.
        """
        self._seen[os.path.realpath(file)] = file
        self.take(file, _blocking_read(file))

    def take(self, file: str, text: str) -> None:
        """Take `text` for the text of `file`."""
        try:
            written = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            line = line_of_syntax_error(error) or 0
            reason = str(error).partition(" (at ")[0]
            self.problems.append(
                Located(file, line, "", f"this is no TOML: {reason[:1].lower()}{reason[1:]}")
            )
            return
        expanded, unset = expand(written, self._environ) if "${" in text else (written, [])
        document, wrong = decode(expanded)
        if document is None:
            # What is right about it is looked at all the same, so that one run tells everything.
            document, _ = decode(without(expanded, [problem.path for problem in wrong]))
        source = Source(file, text, document or Document(), [problem.path for problem in wrong])
        for path, what in unset:
            self.problems.append(source.locate(path, what))
        for problem in wrong:
            self.problems.append(source.locate(*problem))
        if document is None:
            return
        self.sources.append(source)
        for index, pattern in enumerate(document.include):
            self._include(source, ("include", index), pattern)

    def _include(self, source: Source, path: Path, pattern: str) -> None:
        is_optional = pattern.startswith("?")
        full = os.path.join(source.folder, pattern.removeprefix("?"))
        files = sorted(glob.glob(full))
        if not files and not is_optional:
            hint = "check the spelling, or write '?' before a pattern that may match nothing"
            self.problems.append(source.locate(path, f"no file is called {pattern!r}", hint))
        for file in files:
            shown = os.path.relpath(file) if not os.path.isabs(source.file) else file
            self._include_one(source, path, file, shown)

    def _include_one(self, source: Source, path: Path, file: str, shown: str) -> None:
        identity = os.path.realpath(file)
        earlier = self._seen.get(identity)
        if earlier is not None:
            self.problems.append(
                source.locate(path, f"{shown} is part of the configuration already", "name it once")
            )
            return
        if len(self._seen) >= INCLUDES_MAX:
            self.problems.append(source.locate(path, f"more than {INCLUDES_MAX} files"))
            return
        self._seen[identity] = shown
        try:
            text = _blocking_read(file)
        except ConfigError as error:
            self.problems.append(source.locate(path, str(error), error.hint))
            return
        self.take(shown, text)


def without(value: object, paths: Sequence[Path]) -> object:
    """Return parsed TOML without the keys at `paths`; of an element of an array, without all of the array."""
    copy = _copied(value)
    for path in paths:
        keys = list(path)
        while keys and isinstance(keys[-1], int):
            keys.pop()
        inner: Any = copy
        try:
            for key in keys[:-1]:
                inner = inner[key]
            del inner[keys[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # it has gone with another one
    return copy


def _copied(value: object) -> object:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return value


def _blocking_read(file: str) -> str:
    try:
        with open(file, "rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read {file!r}: {error.strerror}", hint="name a chute.toml with --config"
        ) from error
    if len(content) > FILE_BYTES_MAX:
        raise ConfigError(f"{file!r} is larger than {FILE_BYTES_MAX >> 20} MiB")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidConfig([Located(file, line, "", "this is not UTF-8")]) from error
