"""A real `chute run` process, whose configuration a test writes and writes again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Self

from running import _ADDRESS, TIMEOUT_S, RunningChute, let_age, wait_until


class Configured:
    """`chute run` in a folder of its own, with a site in `www`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.folder = place / "www"
        self.folder.mkdir()
        self.file = place / "chute.toml"
        self.chute: RunningChute | None = None

    def write(
        self, *, mark: str, workers: int = 2, more: str = "", bind: str = "127.0.0.1:0"
    ) -> None:
        """Write a configuration whose answers carry `mark`."""
        self.file.write_text(
            f'workers = {workers}\n{more}\n[listener.main]\nbind = "{bind}"\n'
            f'[[site]]\nroot = "www"\nfields = {{ X-Mark = "{mark}" }}\nlog = "access.log"\n'
        )

    def start(self) -> RunningChute:
        let_age(self.folder)
        error_log = self.place / "error.log"
        with error_log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "chute", "run", "-c", str(self.file)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
            )
        give_up = time.monotonic() + TIMEOUT_S
        while (match := _ADDRESS.search(error_log.read_text())) is None:
            assert process.poll() is None, error_log.read_text()
            assert time.monotonic() < give_up, "the server did not say where it listens"
            time.sleep(0.01)
        address = match["path"] or (match["host"], int(match["port"]))
        log = self.place / "access.log"
        self.chute = RunningChute(process, address, log, error_log, self.folder)
        return self.chute

    def tell(self, number: signal.Signals) -> None:
        assert self.chute is not None
        self.chute.process.send_signal(number)

    def reload(self, told: str = "read again, and is served") -> None:
        """Have the configuration read again, and wait until that is told to have come to something."""
        assert self.chute is not None
        before = self.chute.errors().count(told)
        self.tell(signal.SIGHUP)
        errors = self.chute.errors
        wait_until(lambda: errors().count(told) > before, what=f"the word {told!r}")


class Clients:
    """Clients that ask all the time, in threads: some keep their connection, some make one for each request."""

    def __init__(self, chute: RunningChute, contents: dict[str, bytes]) -> None:
        self._chute = chute
        self._contents = contents
        self._is_over = False
        self.failures: list[str] = []
        self.marks: Counter[str] = Counter()
        self._threads = [Thread(target=self._keep) for _ in range(3)]
        self._threads += [Thread(target=self._anew) for _ in range(2)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        for thread in self._threads:
            thread.join(TIMEOUT_S)

    def _keep(self) -> None:
        wire = None
        while not self._is_over:
            for target, content in self._contents.items():
                try:
                    wire = wire or self._chute.connect()
                    reply = wire.get(target)
                    assert reply.body == content, "another content"
                except (OSError, EOFError, AssertionError) as error:
                    self.failures.append(f"kept: {target}: {error!r}")
                    wire = None
                    continue
                self.marks[reply["x-mark"]] += 1
                if reply.get("connection") == "close":
                    wire.close()
                    wire = None
        if wire is not None:
            wire.close()

    def _anew(self) -> None:
        while not self._is_over:
            for target, content in self._contents.items():
                try:
                    reply = self._chute.get(target)
                    assert reply.body == content, "another content"
                except (OSError, EOFError, AssertionError) as error:
                    self.failures.append(f"anew: {target}: {error!r}")
