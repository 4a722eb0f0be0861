"""A headless Chromium, driven by the DevTools protocol over a pair of pipes.

The pipes (`--remote-debugging-pipe`: commands on descriptor 3, answers on 4, each message ended by a NUL) need neither
a WebSocket nor a driver whose version must match the browser's, so the few calls that the tests make cost no
dependency. Everything is synchronous: an answer is waited for, and events that come before it are kept.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import pytest

LIMIT_S = 30.0
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--mute-audio", "--no-proxy-server", "--hide-scrollbars"),
    "--remote-debugging-pipe",
)


class Browser:
    """One browser process with one tab, and what the tab complained about; `close` ends both.

    Args:
        profile: an empty folder for its profile; its own output goes beside it.

    Attributes:
        complaints: what its console reported as an error, and exceptions that no script caught.
        responses: (URL, status, field lines by lower-case name) of each response, in order.
    """

    def __init__(self, profile: Path) -> None:
        program = next(filter(None, map(shutil.which, NAMES)), None)
        if program is None:
            pytest.skip("no Chromium is installed")
        self.complaints: list[str] = []
        self.responses: list[tuple[str, int, dict[str, str]]] = []
        self._loaded = False
        self._numbers = 0
        self._session: dict[str, str] = {}
        self._pending = b""
        self._start(program, profile)
        try:
            self._open_tab()
        except BaseException:
            self.close()
            raise

    def _open_tab(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def _start(self, program: str, profile: Path) -> None:
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()

        def place_pipes() -> None:
            # Either end may stand on 3 or 4 itself, so both move away first.
            reader, writer = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (commands, answers))
            os.dup2(reader, 3)
            os.dup2(writer, 4)
            os.close(reader)
            os.close(writer)

        with profile.with_suffix(".log").open("wb") as output:
            self.process = subprocess.Popen(
                [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                close_fds=False,
                preexec_fn=place_pipes,  # noqa: PLW1509 - no thread of ours holds a lock here
            )
        os.close(commands)
        os.close(answers)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - the protocol's own JSON
        """Carry out one command of the protocol and return its result."""
        self._numbers += 1
        number = self._numbers
        command = {"id": number, "method": method, "params": parameters, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        give_up = time.monotonic() + LIMIT_S
        while (message := self._next_message(give_up, method)).get("id") != number:
            self._on_event(message)
        assert "error" not in message, f"{method}: {message['error']}"
        return message["result"]

    def _next_message(self, give_up: float, what: str) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._answers], [], [], max(0, give_up - time.monotonic()))
            assert ready, f"the browser is silent: {what}"
            data = os.read(self._answers, 1 << 20)
            assert data, f"the browser is gone: {what}"
            self._pending += data
        text, _, self._pending = self._pending.partition(b"\0")
        return json.loads(text)

    def _on_event(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "assert"):
                self.complaints.append(str(parameters["args"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.complaints.append(str(parameters["entry"]))
            case "Network.responseReceived":
                response = parameters["response"]
                fields = {name.lower(): value for name, value in response["headers"].items()}
                self.responses.append((response["url"], response["status"], fields))

    def open(self, url: str) -> None:
        """Go to `url` and wait until everything in the page has loaded."""
        self._loaded = False
        result = self.call("Page.navigate", url=url)
        assert "errorText" not in result, result
        give_up = time.monotonic() + LIMIT_S
        while not self._loaded:
            self._on_event(self._next_message(give_up, url))

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - whatever the script returns
        """Return the value of `expression`; where that is a promise, wait for it."""
        result = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """Save what the tab shows as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        """End the browser."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
