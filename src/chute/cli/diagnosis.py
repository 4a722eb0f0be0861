"""What this machine can do for chute: every ability tried, every limit read, gathered into one value.

`transfer` tries sockets and files, `trials` names and epoll, `interpreter` looks at Python, and `machine` reads limits.
Here they are called, with a file of the folder that the user named. Nothing is printed: `doctor` does that, and other
code may ask.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import stat
from typing import NamedTuple

from chute.cli.interpreter import find_interpreter_abilities
from chute.cli.machine import Limit, find_limits
from chute.cli.trials import try_epoll, try_openat2
from chute.errors import ConfigError, FileError, FileForbidden
from chute.files.resolve import Root
from chute.transfer.abilities import (
    Ability,
    Answer,
    reason_of,
    try_kernel_tls,
    try_sendfile,
    try_shared_port,
    try_splice,
)
from chute.transfer.file_abilities import try_file
from chute.transfer.method import mount_of

ENTRIES_MAX = 1000
"""Names of a folder that are looked at for a file to try."""

FILES_OPENED_MAX = 16
"""Files that are opened for it, in a folder where the first ones are empty or cannot be read."""

UNKNOWN = "unknown"
"""What is said of a mount that the system does not tell about."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY


class FileSystem(NamedTuple):
    """Where PATH lies, and how chute would send what is there.

    Attributes:
        path: what the user named, absolute.
        sample: the file that was tried, or None when there was none.
        type: as in mountinfo, or `unknown`.
        point: where it is mounted, or `unknown`.
        device: its numbers, `major:minor`.
        abilities: what can be done with its files.
    """

    path: str
    sample: str | None
    type: str
    point: str
    device: str
    abilities: list[Ability]


class Diagnosis(NamedTuple):
    """Everything that was found out.

    Attributes:
        system: name, release and machine of the operating system.
        python: name and version of the interpreter.
        kernel: what the system can do.
        files: where PATH lies.
        interpreter: what Python can do.
        limits: what others have set.
    """

    system: str
    python: str
    kernel: list[Ability]
    files: FileSystem
    interpreter: list[Ability]
    limits: list[Limit]

    @property
    def abilities(self) -> list[Ability]:
        """Everything that was tried."""
        return [*self.kernel, *self.files.abilities, *self.interpreter]

    @property
    def missing(self) -> list[str]:
        """Names of the fast paths that chute would use, and that are missing in part at least.

        Where there is no sendfile at all, that it does not work for the files of PATH is no second loss.
        """
        names = [ability.name for ability in self.abilities if ability.is_missed]
        return [name for name in names if name != "sendfile here" or "sendfile" not in names]

    @property
    def low(self) -> list[str]:
        """Names of the limits that will hurt."""
        return [limit.name for limit in self.limits if limit.is_low]

    @property
    def verdict(self) -> str:
        """All of it in one line."""
        missing, low = self.missing, self.low
        is_unsure = any(each.is_used and each.answer is Answer.UNKNOWN for each in self.abilities)
        text = "Every fast path that chute uses is here."
        if missing:
            count = "1 fast path is" if len(missing) == 1 else f"{len(missing)} fast paths are"
            text = f"{count} missing; chute serves all the same, only slower: {', '.join(missing)}."
        elif is_unsure:
            text = "Every fast path that could be tried is here."
        if low:
            count = "1 limit is" if len(low) == 1 else f"{len(low)} limits are"
            text += f" {count} low: {', '.join(low)}."
        return text


def diagnose(path: str) -> Diagnosis:
    """Try everything, and look at the file system of `path`.

    Raises:
        ConfigError: `path` does not exist, cannot be read, or is neither a folder nor a file.
    """
    files = examine_files(path)
    kernel = [
        try_sendfile(),
        try_openat2(),
        try_epoll(),
        try_shared_port(),
        try_splice(),
        try_kernel_tls(),
    ]
    return Diagnosis(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        kernel=kernel,
        files=files,
        interpreter=find_interpreter_abilities(),
        limits=find_limits(),
    )


def examine_files(path: str) -> FileSystem:
    """Look at the file system of `path`, and try its sending with a file: `path` itself, or one that lies in it.

    Raises:
        ConfigError: `path` does not exist, cannot be read, or is neither a folder nor a file.
    """
    kind, folder, name = _place_of(path)
    try:
        with contextlib.ExitStack() as opened:
            root = opened.enter_context(Root(os.fsencode(folder)))
            fd = root.open(os.fsencode(name), os.O_RDONLY if name else _FOLDER)
            opened.callback(os.close, fd)
            mount = mount_of(fd)
            number = os.fstat(fd).st_dev
            sample: str | None = name
            if not name:
                fd, sample = _sample_in(root, fd, opened) or (fd, None)
            abilities = try_file(fd)
            absolute = os.path.abspath(path)  # fails where the current folder was removed
    except FileForbidden as error:
        hint = "check its permissions"
        raise ConfigError(f"cannot read the {kind} {path!r}", hint=hint) from error
    except (FileError, OSError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot look into the {kind} {path!r}: {reason}") from error
    return FileSystem(
        path=absolute,
        sample=sample,
        type=mount.type if mount else UNKNOWN,
        point=mount.point if mount else UNKNOWN,
        device=f"{os.major(number)}:{os.minor(number)}",
        abilities=abilities,
    )


def _place_of(path: str) -> tuple[str, str, str]:
    """Return what `path` is, the folder to open, and the name in it of a file; empty for the folder itself.

    Raises:
        ConfigError: it is not there, or is something that chute does not serve.
    """
    try:
        mode = os.stat(path).st_mode
    except PermissionError as error:
        raise ConfigError(
            f"cannot look at {path!r}", hint="check the permissions above it"
        ) from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"there is no file or folder {path!r}", hint="check the spelling"
        ) from error
    if stat.S_ISDIR(mode):
        return "folder", path, ""
    if not stat.S_ISREG(mode):
        raise ConfigError(f"{path!r} is neither a file nor a folder", hint="name one that is")
    folder, name = os.path.split(os.path.realpath(path))
    return "file", folder, name


def _sample_in(root: Root, folder_fd: int, opened: contextlib.ExitStack) -> tuple[int, str] | None:
    """Return the descriptor and the name of a file to try with, or None; `opened` gets what is to be closed.

    One that has content is best. Only the folder itself is searched, for what lies deeper may be mounted there.
    """
    with os.scandir(folder_fd) as entries:
        some = itertools.islice(entries, ENTRIES_MAX)
        names = [entry.name for entry in some if entry.is_file(follow_symlinks=False)]
    best = None
    for name in names[:FILES_OPENED_MAX]:
        try:
            fd = root.open(os.fsencode(name))
        except (FileError, OSError):
            continue
        opened.callback(os.close, fd)
        if os.fstat(fd).st_size > 0:
            return fd, name
        best = best or (fd, name)
    return best
