"""From a configuration to a server that runs: what every command that serves ends with."""

from __future__ import annotations

import functools
from collections.abc import Callable

from chute.cli.panel import show_panel
from chute.config.model import Config
from chute.errors import ConfigError
from chute.middleware.log_file import STANDARD_OUTPUT, LogFile
from chute.supervisor.generation import Generation
from chute.supervisor.master import Master
from chute.supervisor.pid_file import PidFile
from chute.supervisor.worker import run_worker


def run_config(config: Config, load: Callable[[], Config] | None = None) -> int:
    """Open the sockets, say so, serve until a signal comes, and return the exit status.

    Args:
        config: what to serve.
        load: reads the configuration again, for SIGHUP; None where there is none to read.

    Raises:
        ConfigError: something that the configuration names cannot be opened.
    """
    generation = Generation(1, config)
    try:
        for path in _log_paths(config):
            LogFile(path).close()  # find out now, and not in each worker
        pid_file = None if config.pid_file is None else PidFile(config.pid_file)
    except ConfigError:
        generation.close()
        raise
    try:
        return _run(generation, load)
    finally:
        generation.close()
        if pid_file is not None:
            pid_file.remove()


def _run(generation: Generation, load: Callable[[], Config] | None) -> int:
    config = generation.config
    on_ready = functools.partial(show_panel, config, generation.listening)
    if config.workers > 1 or load is not None:
        return Master(generation, load).run(on_ready)
    run_worker(config, generation.shared, generation.sockets_of(0), on_ready=on_ready)
    return 0


def _log_paths(config: Config) -> list[str]:
    paths = {log.path for location in config.all_locations() for log in location.logs}
    return sorted(paths - {STANDARD_OUTPUT})
