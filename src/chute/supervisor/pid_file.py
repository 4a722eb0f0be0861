"""The file that says which process to send a signal to."""

from __future__ import annotations

import contextlib
import os

from chute.errors import ConfigError


class PidFile:
    """The number of this process in a file, as long as it lives."""

    def __init__(self, path: str) -> None:
        """Write the file.

        Raises:
            ConfigError: it cannot be written, or names a process that runs.
        """
        self._path = path
        other = running_pid(path)
        if other is not None and other != os.getpid():
            raise ConfigError(
                f"the process {other} runs with the pid file {path!r}",
                hint="stop it first: chute quit, or give this one another pid_file",
            )
        try:
            # Whole or not at all: whoever reads it sends a signal to what it says.
            with open(f"{path}.new", "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
            os.replace(f"{path}.new", path)
        except OSError as error:
            raise ConfigError(
                f"cannot write the pid file {path!r}: {error.strerror}",
                hint="name one in a folder that exists and can be written",
            ) from error

    def remove(self) -> None:
        """Remove the file, if it still is about this process. Idempotent."""
        if running_pid(self._path) == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self._path)


def running_pid(path: str) -> int | None:
    """Return the number in a pid file, if a process has it."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read(32).strip()
    except OSError:
        return None
    if not (text.isascii() and text.isdigit()):
        return None
    try:
        os.kill(int(text), 0)
    except ProcessLookupError:
        return None
    except (PermissionError, OverflowError):
        return int(text)
    return int(text)
