"""A server that feels permissions, also where the tests run as root and would otherwise be refused nothing."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

import running
from running import RunningChute, start_chute

PR_CAPBSET_DROP = 24
"""prctl(2); a capability that left the bounding set is gone after the next execve(2)."""

CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2
"""What lets root read everything (capabilities(7)). Without them it is an owner like any other."""


def _give_up_reading_everything() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot drop a capability")


def start_unprivileged(folder: Path, place: Path, *options: str) -> RunningChute:
    """Start a server as `running.start_chute` does, but one that may read only what the modes of files allow.

    Another user would do as well, but could often not even read the interpreter, or the folder of the test.
    """
    if os.geteuid() != 0:
        return start_chute(folder, place, *options)
    if sys.platform != "linux":
        pytest.skip("root without its privileges is known on Linux only")

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, command: list[str], **settings: object) -> None:
            settings["preexec_fn"] = _give_up_reading_everything
            super().__init__(command, **settings)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(running.subprocess, "Popen", Popen)
        try:
            return start_chute(folder, place, *options)
        except subprocess.SubprocessError:
            pytest.skip("this root may not give up its privileges")
