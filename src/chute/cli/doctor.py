"""`chute doctor [PATH]`: what this machine can do for chute, and where it cannot, why not and what to do.

Only the presentation is here; `diagnosis` finds it out. A terminal gets tables whose last column wraps; a file or a
pipe gets the same rows, one aligned line each; `--json` is for programs. It is a report, so whatever it finds, the
exit code is 0.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chute import __version__
from chute.cli.diagnosis import UNKNOWN, Diagnosis, diagnose
from chute.cli.machine import Limit
from chute.transfer.abilities import Ability, Answer

WIDTH_MIN = 60
"""In a narrower terminal the last column has no room; there lines do better."""

WIDTH_MAX = 110
"""Longer lines are hard to read, however wide the terminal is."""

_GOOD, _POOR, _BAD, _QUIET = "green", "yellow", "bold red", "dim"
_STYLES = {
    Answer.YES: _GOOD,
    Answer.PARTLY: _POOR,
    Answer.NO: _BAD,
    Answer.UNKNOWN: _POOR,
}


class Row(NamedTuple):
    """One line of the report."""

    name: str
    answer: str
    detail: str
    style: str


class Section(NamedTuple):
    """Rows that belong together."""

    title: str
    rows: list[Row]


@click.command(short_help="Show which fast paths this machine has.")
@click.argument("path", default=".", metavar="[PATH]")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(path: str, *, as_json: bool) -> None:
    """Try what chute needs of this machine, and say what is missing and what to do about it.

    PATH (the current folder by default) is what you would serve: its file system decides whether the kernel can
    carry its files.
    """
    diagnosis = diagnose(path)
    console = Console()
    if as_json:
        click.echo(json.dumps(as_plain_values(diagnosis), indent=2))
    elif sys.stdout.isatty() and console.width >= WIDTH_MIN:
        console.width = min(console.width, WIDTH_MAX)
        show(diagnosis, console)
    else:
        for line in plain_lines(diagnosis):
            click.echo(line)


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print the report as tables, all of them with the same columns."""
    sections = sections_of(diagnosis)
    names, answers = _widths(sections)
    console.print(Text(f"chute {__version__}", style="bold"), Text(f"on {diagnosis.system}"))
    for section in sections:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=names)
        table.add_column(min_width=answers)
        table.add_column(overflow="fold")
        for row in section.rows:
            table.add_row(Text(row.name), Text(row.answer, style=row.style), Text(row.detail))
        console.print()
        console.print(Text(section.title, style="bold cyan"))
        console.print(table)
    console.print()
    is_fine = not diagnosis.missing and not diagnosis.low
    console.print(Text(diagnosis.verdict, style=f"bold {_GOOD if is_fine else _POOR}"))


def plain_lines(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the report as lines that no terminal has wrapped: rows are indented, titles are not."""
    sections = sections_of(diagnosis)
    names, answers = _widths(sections)
    yield f"chute {__version__} on {diagnosis.system}"
    for section in sections:
        yield section.title
        for row in section.rows:
            yield f"  {row.name:{names}}  {row.answer:{answers}}  {row.detail}"
    yield diagnosis.verdict


def as_plain_values(diagnosis: Diagnosis) -> dict[str, object]:
    """Return the report as what JSON knows: dictionaries, lists, strings, numbers and None."""
    files = diagnosis.files._asdict() | {"abilities": _abilities(diagnosis.files.abilities)}
    return {
        "chute": __version__,
        "system": diagnosis.system,
        "python": diagnosis.python,
        "kernel": _abilities(diagnosis.kernel),
        "files": files,
        "interpreter": _abilities(diagnosis.interpreter),
        "limits": [limit._asdict() for limit in diagnosis.limits],
        "missing": diagnosis.missing,
        "low": diagnosis.low,
        "verdict": diagnosis.verdict,
    }


def sections_of(diagnosis: Diagnosis) -> list[Section]:
    """Return the report as titles and rows, everything in them printable."""
    files = diagnosis.files
    place = f"Files of {files.path}: {files.type} at {files.point}, device {files.device}"
    if files.type == UNKNOWN:
        place = f"Files of {files.path}: file system unknown, device {files.device}"
    if files.sample is not None and files.sample != os.path.basename(files.path):
        place += f", tried with {files.sample}"
    abilities = {
        "Kernel": diagnosis.kernel,
        place: files.abilities,
        f"Interpreter: {diagnosis.python}": diagnosis.interpreter,
    }
    sections = [
        Section(_printable(title), [_ability_row(each) for each in some if each.is_used])
        for title, some in abilities.items()
    ]
    later = [_ability_row(each) for each in diagnosis.abilities if not each.is_used]
    sections.append(Section("Not used by chute yet", later))
    sections.append(Section("Limits", [_limit_row(each) for each in diagnosis.limits]))
    return sections


def _ability_row(ability: Ability) -> Row:
    style = _STYLES[ability.answer]
    if not ability.is_used and ability.answer is not Answer.YES:
        style = _QUIET
    return Row(ability.name, ability.answer.value, _printable(ability.detail), style)


def _limit_row(limit: Limit) -> Row:
    style = _POOR if limit.is_low else _QUIET if limit.value is None else _GOOD
    return Row(limit.name, limit.text, limit.detail, style)


def _abilities(abilities: Iterable[Ability]) -> list[dict[str, object]]:
    return [each._asdict() | {"answer": each.answer.value} for each in abilities]


def _widths(sections: Iterable[Section]) -> tuple[int, int]:
    rows = [row for section in sections for row in section.rows]
    return max(len(row.name) for row in rows), max(len(row.answer) for row in rows)


def _printable(text: str) -> str:
    """Return `text` with escapes for what a terminal would obey, or has no character for: names may hold any byte."""
    encoding = sys.stdout.encoding or "utf-8"
    escaped = (
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
    return "".join(escaped).encode(encoding, "backslashreplace").decode(encoding)
