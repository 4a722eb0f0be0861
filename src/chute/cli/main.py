"""The command line: commands, and the one place where an error becomes a line and an exit code.

Whatever a user got wrong is answered with one line on standard error, `chute: error: what (what to do instead)`, and
exit code 2. A traceback is a defect.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import NoReturn

import click

from chute import __version__
from chute.cli.check import check
from chute.cli.compress import compress
from chute.cli.doctor import doctor
from chute.cli.explain import explain
from chute.cli.import_nginx import import_nginx
from chute.cli.run import run
from chute.cli.serve import serve
from chute.cli.signals import COMMANDS
from chute.config.problems import InvalidConfig
from chute.errors import ConfigError

USAGE_ERROR = 2
INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "-V", "--version", message="chute %(version)s")
def chute() -> None:
    """Serve files over HTTP, fast. Python decides, the kernel carries."""


chute.add_command(serve)
chute.add_command(run)
chute.add_command(check)
chute.add_command(explain)
chute.add_command(import_nginx)
for command in COMMANDS:
    chute.add_command(command)
chute.add_command(compress)
chute.add_command(doctor)


def entry() -> NoReturn:
    """Run the command line and exit."""
    _open_missing_streams()
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    sys.exit(_run(sys.argv[1:]))


def _open_missing_streams() -> None:
    """Give closed standard streams somewhere to go, before a socket gets their descriptor."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process lives


def _run(arguments: list[str]) -> int:
    try:
        result = chute.main(args=arguments, prog_name="chute", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return USAGE_ERROR
    except click.UsageError as error:
        hint = f"see {error.ctx.command_path} --help" if error.ctx is not None else ""
        return _complain(error.format_message().rstrip("."), hint)
    except click.ClickException as error:
        return _complain(error.format_message(), "")
    except InvalidConfig as error:
        for problem in error.problems:
            _complain(str(problem), "")
        return USAGE_ERROR
    except ConfigError as error:
        return _complain(str(error), error.hint)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def _complain(what: str, hint: str) -> int:
    suffix = f" ({hint})" if hint else ""
    click.echo(f"chute: error: {what}{suffix}".replace("\n", " "), err=True)
    return USAGE_ERROR
