"""`chute run`: serve what a configuration says."""

from __future__ import annotations

import logging

import click

from chute.cli.config_options import config_option, read_config, read_nginx
from chute.cli.options import log_level_option, option
from chute.cli.running import run_config
from chute.cli.warnings import warn_of_traps
from chute.config.model import Config


@click.command(short_help="Run a configuration.")
@config_option
@option(
    "--nginx",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Translate this nginx.conf, and run that.",
)
@log_level_option
@click.pass_context
def run(context: click.Context, config: str, *, nginx: str | None, log_level: str) -> None:
    """Serve what FILE (chute.toml) says.

    SIGHUP reads it again; SIGQUIT ends when all answers that are on their way have ended; SIGUSR1 opens the logs anew.
    """
    logging.getLogger().setLevel(log_level.upper())

    def load() -> Config:
        read = read_config(config) if nginx is None else read_nginx(nginx)
        warn_of_traps(read, config if nginx is None else nginx)
        return read

    context.exit(run_config(load(), load))
