"""How the files of one file system can be sent, found out with one of them.

`method` decides for each file that is served whether sendfile carries it and whether the page cache can be asked. Here
it is asked for its decision, which is then tried with one byte, and put into words.

The one wait that cannot be bounded here is that for a file system whose server is gone, as in any program.
"""

from __future__ import annotations

import os
import socket
import stat

from chute.transfer import residency, sendfile
from chute.transfer.abilities import Ability, Answer, attempt, reason_of
from chute.transfer.method import IN_MEMORY, Devices, mount_of

_PROBED = frozenset({"ext4", "xfs", "btrfs"})
"""Types of file systems that are known to answer when they are asked with RWF_NOWAIT."""


def try_file(fd: int) -> list[Ability]:
    """Find out how chute would send a file: by sendfile or not, and whether it can ask what is in memory.

    Args:
        fd: the file, borrowed. A folder will do where there is no file; then nothing is sent.

    Raises:
        OSError: its metadata cannot be read.
    """
    status = os.fstat(fd)
    mount = mount_of(fd)
    kind = "this file system" if mount is None else mount.type
    return [_carrying(fd, status, kind), _probing(fd, status, kind)]


def _carrying(fd: int, status: os.stat_result, kind: str) -> Ability:
    """Say whether `--sendfile auto` uses sendfile here, after sending one byte if there is one."""
    name = "sendfile here"
    copy_reason = Devices("auto").of(fd, status).copy_reason
    if copy_reason is not None:
        why = "this system has no sendfile(2)"
        if sendfile.IS_AVAILABLE:
            why = f"sendfile is not trusted, or waits for others, on {copy_reason.decode('ascii', 'replace')}"
        return Ability(name, Answer.NO, f"{why}, so --sendfile auto copies; 'on' would try it")
    good = f"--sendfile auto lets the kernel carry what is on {kind}"
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        return Ability(name, Answer.YES, f"{good} (no file with content was there to try)")
    answer, reason = attempt(socket.AF_UNIX, lambda near, _: _send_byte(near, fd))
    if answer is Answer.YES:
        return Ability(name, answer, good)
    if answer is Answer.UNKNOWN:
        return Ability(name, answer, reason)
    return Ability(name, answer, f"{reason}; chute notices, and copies")


def _send_byte(near: socket.socket, in_fd: int) -> str:
    """Send the first byte of somebody's file; which byte it is may change meanwhile, that one comes may not."""
    return "" if sendfile.send_step(near.fileno(), in_fd, 0, 1) == 1 else "it sends nothing"


def _probing(fd: int, status: os.stat_result, kind: str) -> Ability:
    name = "RWF_NOWAIT"
    if kind in IN_MEMORY:
        return Ability(name, Answer.YES, f"not needed: {kind} has no disk to wait for")
    if not stat.S_ISREG(status.st_mode):
        return Ability(name, Answer.UNKNOWN, "no file was there to try; name one")
    if residency.can_probe(fd):
        detail = "the kernel says what is in memory, so a thread reads nothing but the rest"
        return Ability(name, Answer.YES, detail)
    detail = f"{_probe_failure(fd)}: {kind} does not say what is in memory, so a thread reads ahead"
    if kind not in _PROBED:
        detail += "; ext4, XFS and btrfs say it (in a container: a volume)"
    return Ability(name, Answer.NO, detail)


def _probe_failure(fd: int) -> str:
    """Say what the system has against the question that `residency` asks."""
    if not residency.IS_AVAILABLE:
        return "this system has no preadv2(2)"
    try:
        os.preadv(fd, [bytearray(1)], 0, getattr(os, "RWF_NOWAIT", 0))
    except OSError as error:
        return reason_of(error)
    return "it failed a moment ago"
