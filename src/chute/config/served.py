"""What a path in a configuration names: a folder to serve, or one file."""

from __future__ import annotations

import os

from chute.errors import ConfigError


def folder_or_file(path: str) -> tuple[str, str | None]:
    """Return the folder to open, and the one name beneath it if `path` is a file.

    Raises:
        ConfigError: `path` does not exist, cannot be read, or is neither a folder nor a file.
    """
    if os.path.isdir(path):
        if not os.access(path, os.R_OK | os.X_OK):
            raise ConfigError(f"cannot read the folder {path!r}", hint="check its permissions")
        return os.path.abspath(path), None
    if not os.path.lexists(path):
        raise ConfigError(f"there is no file or folder {path!r}", hint="check the spelling")
    if not os.path.isfile(path):
        raise ConfigError(f"{path!r} is neither a file nor a folder", hint="name one that is")
    if not os.access(path, os.R_OK):
        raise ConfigError(f"cannot read the file {path!r}", hint="check its permissions")
    # A link that the user names is trusted wherever it leads; beneath the root one that leaves it is not (T21).
    folder, name = os.path.split(os.path.realpath(path))
    return folder, name
