"""`chute compress DIR`: make precompressed sidecars ahead of time, in parallel.

Three steps: a survey, the sidecars (largest files first, each in a thread of its own: the codecs let go of the
interpreter while they work), a summary. What is shown is made in `compress_report`. Sidecars appear whole or not at
all, so that Ctrl-C may come at any time: what was being made is given up, what was made stays.

Exit code 0; 1 if something could not be made, each named on standard error; 2 for a wrong command line; 130 after
Ctrl-C.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from chute.cli.compress_report import Summary, complain, say, show
from chute.cli.machine import usable_cores
from chute.clock import monotonic_s
from chute.errors import ConfigError
from chute.files.resolve import Root
from chute.static.codecs import CODINGS, LEVELS, Coding, is_available
from chute.static.sidecars import Outcome, blocking_make, blocking_prune
from chute.static.survey import (
    BYTES_MIN,
    Orphan,
    Skipped,
    Source,
    Unreadable,
    blocking_survey,
)

FAILED, INTERRUPTED = 1, 130

JOBS_MAX = 256

_NAMES = {coding.name.decode(): coding for coding in CODINGS}
_LEVEL = re.compile(r"([a-z]+)=([0-9]{1,3})")


class Task(NamedTuple):
    """One sidecar that may be due."""

    source: Source
    coding: Coding


class _Stopped(Exception):
    """The work was given up."""


def _levels(
    context: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[Coding, int]:
    """Return the level of each coding: the usual one, but where `values` say `CODING=N`."""
    levels = {coding: LEVELS[coding].ahead for coding in CODINGS}
    for value in values:
        found = _LEVEL.fullmatch(value)
        coding = _NAMES.get(found[1]) if found else None
        if found is None or coding is None:
            raise click.BadParameter(
                f"{value!r} is no level, such as 'gzip=9'; codings are {', '.join(_NAMES)}",
                context,
                parameter,
            )
        least, most = LEVELS[coding].min, LEVELS[coding].max
        if not least <= int(found[2]) <= most:
            raise click.BadParameter(
                f"{found[1]} has levels from {least} to {most}, and not {found[2]}",
                context,
                parameter,
            )
        levels[coding] = int(found[2])
    return levels


def _variable(name: str) -> str:
    return f"CHUTE_COMPRESS_{name}"


@click.command(short_help="Make compressed sidecars of files ahead of time.")
@click.argument("folder", metavar="DIR")
@click.option(
    "--coding",
    "names",
    multiple=True,
    type=click.Choice(list(_NAMES)),
    envvar=_variable("CODING"),
    show_envvar=True,
    help="What to make. Repeatable; all that are installed, if not given.",
)
@click.option(
    "--level",
    "levels",
    multiple=True,
    callback=_levels,
    envvar=_variable("LEVEL"),
    show_envvar=True,
    metavar="CODING=N",
    help="How hard to try, such as 'br=9'. Repeatable; the hardest that pays, if not given: "
    + ", ".join(f"{name}={LEVELS[coding].ahead}" for name, coding in _NAMES.items())
    + ".",
)
@click.option(
    "--min",
    "bytes_min",
    type=click.IntRange(min=1),
    default=BYTES_MIN,
    show_default=True,
    envvar=_variable("MIN"),
    show_envvar=True,
    metavar="BYTES",
    help="Smaller files get none.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, JOBS_MAX),
    envvar=_variable("JOBS"),
    show_envvar=True,
    metavar="N",
    help="How many are made at a time; one for each usable core, if not given.",
)
@click.option("--hidden", is_flag=True, help="Also of files whose names begin with a dot.")
@click.option("--dry-run", is_flag=True, help="Say what would be made and removed, and do nothing.")
@click.option("--force", is_flag=True, help="Make also those again that are up to date.")
@click.option(
    "--prune", is_flag=True, help="Remove sidecars that chute made of files that have gone."
)
@click.option("--quiet", is_flag=True, help="Say nothing but what went wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def compress(
    folder: str,
    *,
    names: tuple[str, ...],
    levels: dict[Coding, int],
    bytes_min: int,
    jobs: int | None,
    hidden: bool,
    dry_run: bool,
    force: bool,
    prune: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make app.js.zst, app.js.br and app.js.gz beside app.js, for every file beneath DIR that shrinks.

    A sidecar has the time of its source; one that has another is made anew. Links are not followed.
    """
    began_s = monotonic_s()
    codings, missing = _chosen(names)
    summary = Summary(
        folder=folder,
        codings=codings,
        missing=missing,
        bytes_min=bytes_min,
        jobs=jobs or usable_cores(),
        is_trial=dry_run,
        is_pruning=prune,
    )
    makes = functools.partial(blocking_make, is_forced=force, is_trial=dry_run)
    with _opened(folder) as root:
        try:
            sources, orphans = _survey(root, summary, bytes_min, shows_hidden=hidden)
            tasks = [Task(source, coding) for source in sources for coding in codings]
            with _progress(tasks, is_shown=not quiet and not dry_run) as advance:
                _make_all(root, tasks, levels, summary, makes, advance)
            for orphan in orphans:
                outcome = blocking_prune(root, orphan, is_trial=dry_run or not prune)
                summary.count_orphan(orphan, outcome)
        except KeyboardInterrupt:
            summary.was_stopped = True
    summary.seconds = monotonic_s() - began_s
    for line in summary.failures():
        complain(line)
    if as_json:
        say(summary.as_json())
    elif not quiet:
        show(summary)
    if summary.was_stopped:
        raise click.exceptions.Exit(INTERRUPTED)
    if summary.failed:
        raise click.exceptions.Exit(FAILED)


def _chosen(names: Sequence[str]) -> tuple[list[Coding], list[Coding]]:
    """Return the codings to make, and those that nobody asked for by name and that are not installed.

    Raises:
        ConfigError: one was asked for by name, and is not installed.
    """
    for name in names:
        if not is_available(_NAMES[name]):
            raise ConfigError(
                f"{name} needs a package that is not installed",
                hint="pip install 'chute[compress]'",
            )
    if names:
        return [coding for name, coding in _NAMES.items() if name in names], []
    return (
        [coding for coding in CODINGS if is_available(coding)],
        [coding for coding in CODINGS if not is_available(coding)],
    )


def _opened(folder: str) -> Root:
    """Open the top.

    Raises:
        ConfigError: it does not exist, is no folder, or may not be read.
    """
    if not os.path.lexists(folder):
        raise ConfigError(f"there is no folder {folder!r}", hint="check the spelling")
    if not os.path.isdir(folder):
        raise ConfigError(f"{folder!r} is not a folder", hint="name the folder that it is in")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise ConfigError(f"cannot read the folder {folder!r}", hint="check its permissions")
    return Root(os.fsencode(folder))


def _survey(
    root: Root, summary: Summary, bytes_min: int, *, shows_hidden: bool
) -> tuple[list[Source], list[Orphan]]:
    """Return the files that may need sidecars, largest first, and the sidecars that may have to go."""
    sources: list[Source] = []
    orphans: list[Orphan] = []
    for finding in blocking_survey(root, bytes_min=bytes_min, shows_hidden=shows_hidden):
        match finding:
            case Source():
                sources.append(finding)
            case Orphan():
                orphans.append(finding)
            case Skipped():
                summary.count_skipped(finding)
            case Unreadable():
                summary.count_unreadable(finding)
    summary.files = len(sources)
    summary.file_bytes = sum(source.size for source in sources)
    # A large file that begins last would keep one core busy while the others have nothing left to do.
    sources.sort(key=lambda source: source.size, reverse=True)
    return sources, orphans


def _make_all(
    root: Root,
    tasks: Sequence[Task],
    levels: dict[Coding, int],
    summary: Summary,
    makes: Callable[..., Outcome],
    advance: Callable[[int], None],
) -> None:
    """Do all tasks, as many at a time as there are jobs.

    Raises:
        KeyboardInterrupt: the user wants no more; what was begun has been given up, or completed, and counted.
    """
    is_over = threading.Event()

    def perform(task: Task) -> Outcome:
        advanced = 0

        def on_read(count: int) -> None:
            nonlocal advanced
            if is_over.is_set():
                raise _Stopped
            advanced += count
            advance(count)

        outcome = makes(root, task.source, task.coding, levels[task.coding], on_read=on_read)
        advance(task.source.size - advanced)
        return outcome

    running: dict[Future[Outcome], Task] = {}

    def collect(done: set[Future[Outcome]]) -> None:
        for future in done:
            task = running.pop(future)
            if not future.cancelled() and not isinstance(future.exception(), _Stopped):
                summary.count(task.source, task.coding, future.result())

    with ThreadPoolExecutor(summary.jobs, thread_name_prefix="compress") as threads:
        try:
            for task in tasks:
                # A bounded window: a future for each of a million files would take a gigabyte.
                if len(running) >= 2 * summary.jobs:
                    collect(wait(running, return_when=FIRST_COMPLETED).done)
                running[threads.submit(perform, task)] = task
            collect(wait(running).done)
        finally:
            is_over.set()
            for future in running:
                future.cancel()
            collect(wait(running).done)


@contextlib.contextmanager
def _progress(tasks: Sequence[Task], *, is_shown: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal while the block runs, and yield what advances it by a count of bytes."""
    if not is_shown or not tasks or not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("compressing", total=sum(task.source.size for task in tasks))
        yield functools.partial(progress.advance, bar)
