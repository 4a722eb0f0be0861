"""A server that runs: started on its core, awaited, and stopped with all that it started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import cpu, environment, load
from bench.servers import Launch, Place, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_READY_SECONDS = 20
_STOP_SECONDS = 8
_POLL_SECONDS = 0.05
_LOG_BYTES_KEPT = 64 * load.MIB
_CHUNK = 1024 * 1024


class RunningServer:
    """A started server.

    Attributes:
        server: its definition.
        pid: the process at the root of everything it started.
        logged_lines: lines of its access log counted so far.
    """

    def __init__(self, server: Server, launch: Launch, place: Place) -> None:
        self.server = server
        self.logged_lines = 0
        self._launch = launch
        self._place = place
        self._log_offset = 0
        self._output = place.access_log if launch.logs_to_stdout else place.scratch / "output"
        with (
            self._output.open("ab") as stdout,
            self._errors.open("ab") as stderr,
            cpu.pinned(cpu.SERVER_CORE),
        ):
            self._process = subprocess.Popen(
                launch.argv,
                env={**os.environ, **launch.environment},
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                cwd=place.scratch,
            )
        self.pid = self._process.pid

    @property
    def _errors(self) -> Path:
        return self._place.scratch / "errors"

    def url(self, file_name: str) -> str:
        """Where a file of the site is found."""
        return f"http://{self._place.address}{self._launch.prefix}{file_name}"

    def await_ready(self, case: load.Case) -> str:
        """Wait until a case is answered with the right bytes; returns what is wrong, or ''."""
        file = environment.site_file(case.file_name, case.size)
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            problem = load.check_answer(self.url(case.file_name), file)
            if not problem:
                return ""
            if self._process.poll() is not None:
                return f"ended with status {self._process.returncode}: {self._last_words()}"
            if time.monotonic() > deadline:
                return f"{problem}; {self._last_words()}"
            time.sleep(_POLL_SECONDS)

    def count_log(self) -> None:
        """Count the lines logged since the last call, and keep the log from filling the disk."""
        path = self._place.access_log
        if not self.server.has_access_log or not path.exists():
            return
        with path.open("rb") as log:
            log.seek(self._log_offset)
            while chunk := log.read(_CHUNK):
                self.logged_lines += chunk.count(b"\n")
                self._log_offset += len(chunk)
        # All of them append, so that a file cut to nothing goes on at its new end.
        if self._log_offset > _LOG_BYTES_KEPT:
            os.truncate(path, 0)
            self._log_offset = 0

    def stop(self) -> None:
        """End the server as its operator would, and by force if it does not listen."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_SECONDS)
        # The session is its own: nothing but what it started can be in the group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _last_words(self) -> str:
        text = self._errors.read_text(errors="replace") + self._output.read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1][:200] if lines else "it printed nothing"


@contextlib.contextmanager
def started(server: Server, *, connections_max: int = 1024) -> Iterator[RunningServer]:
    """Run a server in a scratch folder of its own, which is removed with it."""
    scratch = Path(tempfile.mkdtemp(prefix=f"bench-{server.name}-"))
    try:
        place = Place(environment.SITE, scratch, environment.free_port(), connections_max)
        running = RunningServer(server, server.launch(place), place)
        try:
            yield running
        finally:
            running.stop()
            running.count_log()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def stop_on_signals() -> None:
    """Make SIGINT and SIGTERM unwind us, so that the servers we started end with us."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, leave)
