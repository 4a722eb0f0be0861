"""`chute import-nginx`: a way over for those who have an nginx.conf."""

from __future__ import annotations

import click

from chute.cli.options import option

LEFT_OUT = 1


@click.command("import-nginx", short_help="Translate an nginx.conf.")
@click.argument("file", type=click.Path(dir_okay=False))
@option("--strict", is_flag=True, help="Print nothing if anything has to be left out.")
@click.pass_context
def import_nginx(context: click.Context, file: str, *, strict: bool) -> None:
    """Print a chute.toml that does what the nginx.conf FILE does.

    What could not be carried over is told on standard error, with its file and line.
    """
    from chute.config.nginx import translate  # noqa: PLC0415 - needs a library that only this command needs

    translation = translate(file)
    for left_out in translation.left_out:
        click.echo(f"left out: {left_out}", err=True)
    if strict and translation.left_out:
        count = len(translation.left_out)
        click.echo(f"chute: {count} directives could not be carried over", err=True)
        context.exit(LEFT_OUT)
    click.echo(translation.text, nl=False)
