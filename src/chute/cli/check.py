"""`chute check`: is this configuration right?"""

from __future__ import annotations

import click

from chute.cli.config_options import config_option, read_config
from chute.cli.options import option
from chute.cli.warnings import warn_of_traps
from chute.config.schema import render_schema

WARNED = 1


@click.command(short_help="Validate a configuration.")
@config_option
@option("--strict", is_flag=True, help="Take warnings for errors.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of chute.toml for editors.")
@click.pass_context
def check(context: click.Context, config: str, *, strict: bool, schema: bool) -> None:
    """Tell every problem in FILE (chute.toml), with its line, and what to write instead.

    Exits with 0 if it is right, with 1 if there are warnings, with 2 if it cannot be used.
    """
    if schema:
        click.echo(render_schema())
        return
    read = read_config(config)
    traps = warn_of_traps(read, config)
    sites, listeners = len(read.sites), len(read.listeners)
    locations = sum(1 for _ in read.all_locations()) - sites
    click.echo(
        f"{config} is right: {_count(listeners, 'listener')}, {_count(sites, 'site')}, "
        f"{_count(locations, 'location')}" + (f"; {_count(traps, 'warning')}" if traps else "")
    )
    if traps:
        context.exit(2 if strict else WARNED)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
