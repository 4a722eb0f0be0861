"""`chute reload`, `chute quit` and `chute reopen`: a word to a server that runs, by its pid file."""

from __future__ import annotations

import os
import signal

import click

from chute.cli.config_options import config_option, read_config
from chute.cli.options import option
from chute.errors import ConfigError
from chute.supervisor.pid_file import running_pid


def _command(name: str, number: signal.Signals, summary: str, told: str) -> click.Command:
    @click.command(name, short_help=summary, help=f"{summary} The server is found by its pid file.")
    @config_option
    @option(
        "--pid-file",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="The pid file. Default: pid_file of the configuration.",
    )
    def command(config: str, *, pid_file: str | None) -> None:
        path = pid_file or read_config(config).pid_file
        if path is None:
            raise ConfigError(
                f"{config} names no pid_file", hint='add pid_file = "chute.pid", or give --pid-file'
            )
        pid = running_pid(path)
        if pid is None:
            raise ConfigError(f"no server runs with the pid file {path!r}")
        try:
            os.kill(pid, number)
        except PermissionError as error:
            raise ConfigError(
                f"the process {pid} belongs to somebody else", hint="be that user, or root"
            ) from error
        click.echo(f"{told} (process {pid})")

    return command


COMMANDS: tuple[click.Command, ...] = (
    _command(
        "reload",
        signal.SIGHUP,
        "Have a server read its configuration again.",
        "the configuration is read again",
    ),
    _command(
        "quit",
        signal.SIGQUIT,
        "Have a server end when what is on its way has ended.",
        "the server is to end",
    ),
    _command("reopen", signal.SIGUSR1, "Have a server open its logs anew.", "logs are opened anew"),
)
