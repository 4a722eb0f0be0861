"""From a configuration to a server that runs: what every command that serves ends with."""

from __future__ import annotations

import functools

from chute.cli.panel import show_panel
from chute.compose.shared import Shared
from chute.config.model import Config
from chute.middleware.log_file import STANDARD_OUTPUT, LogFile
from chute.supervisor.master import Master
from chute.supervisor.sockets import Listening, open_listening
from chute.supervisor.worker import run_worker


def run_config(config: Config) -> None:
    """Open the sockets, say so, and serve until a signal comes.

    Raises:
        ConfigError: something that the configuration names cannot be opened.
    """
    listening: list[Listening] = []
    shared = Shared(config)
    try:
        for listener in config.listeners:
            listening.append(open_listening(listener, config.workers))  # noqa: PERF401 - closed below if one fails
        for path in _log_paths(config):
            LogFile(path).close()  # find out now, and not in each worker
        on_ready = functools.partial(show_panel, config, listening)
        if config.workers == 1:
            run_worker(config, shared, [each.sockets[0] for each in listening], on_ready=on_ready)
        else:
            Master(config, shared, listening).run(on_ready)
    finally:
        for each in listening:
            each.close()
        shared.close()


def _log_paths(config: Config) -> list[str]:
    paths = {log.path for location in config.all_locations() for log in location.logs}
    return sorted(paths - {STANDARD_OUTPUT})
