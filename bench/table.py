"""The table, for people (Markdown, aligned) and for programs (JSON)."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from bench.load import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.rounds import Row, Sample

REFERENCE = "nginx"
_GIB = 1024 * MIB
_MEGABYTE = 1_000_000

_HEADINGS = (
    "case",
    "server",
    "CPU µs/request",
    "min..max",
    f"of {REFERENCE}",
    "requests/s",
    "MB/s",
    "CPU s/GiB",
    "busy",
)
_TEXT_COLUMNS = 2


def microseconds(sample: Sample) -> float:
    """CPU microseconds per request."""
    return sample.cpu_ns / 1000 / sample.requests


def rate(sample: Sample) -> float:
    """Requests per second."""
    return sample.requests / sample.seconds


def megabytes_per_second(sample: Sample) -> float:
    """Bytes received, heads included, in units of 10⁶ per second."""
    return sample.received_bytes / sample.seconds / _MEGABYTE


def seconds_per_gib(sample: Sample) -> float:
    """CPU seconds per GiB received."""
    return sample.cpu_ns / 1e9 / (sample.received_bytes / _GIB)


def busy_share(sample: Sample) -> float:
    """The share of its core that the server used; below 1, the load was the limit."""
    return sample.cpu_ns / 1e9 / sample.seconds


def markdown(rows: Sequence[Row]) -> str:
    """Render all rows, followed by the reasons why some are not valid."""
    reference = {row.case: row for row in rows if row.server == REFERENCE}
    cells = [_HEADINGS, *(_cells(row, reference.get(row.case)) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADINGS))]
    lines = [_line(line, widths) for line in cells]
    rule = [
        "-" * width if column < _TEXT_COLUMNS else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    lines.insert(1, _line(rule, widths))
    notes = [
        f"* {row.case.name}, {row.server}: {problem}"
        for row in rows
        for problem in dict.fromkeys(row.problems)
    ]
    if notes:
        lines += ["", "Not valid:", *notes]
    return "\n".join(lines)


def as_data(row: Row) -> dict[str, object]:
    """The row with every sample, as JSON can hold it."""
    figures = (microseconds, rate, megabytes_per_second, seconds_per_gib, busy_share)
    return {
        "case": row.case.name,
        "server": row.server,
        "is_valid": not row.problems,
        "problems": row.problems,
        "logged_share": row.logged_share,
        "median": {figure.__name__: _middle(row, figure) for figure in figures},
        "samples": [
            {
                "requests": sample.requests,
                "received_bytes": sample.received_bytes,
                "seconds": sample.seconds,
                "cpu_ns": sample.cpu_ns,
            }
            for sample in row.samples
        ],
    }


def _cells(row: Row, reference: Row | None) -> tuple[str, ...]:
    name = row.server + ("*" if row.problems else "")
    if not row.samples:
        return (row.case.name, name, *("-" for _ in _HEADINGS[_TEXT_COLUMNS:]))
    costs = [microseconds(sample) for sample in row.samples]
    cost = median(costs)
    other = _middle(reference, microseconds) if reference else None
    per_gib = _middle(row, seconds_per_gib) if row.case.by_bytes else None
    return (
        row.case.name,
        name,
        _short(cost),
        f"{_short(min(costs))}..{_short(max(costs))}",
        f"{cost / other:.2f}" if other else "-",
        _short(_middle(row, rate)),
        _short(_middle(row, megabytes_per_second)),
        "-" if per_gib is None else f"{per_gib:.3f}",
        f"{_middle(row, busy_share) or 0:.0%}",
    )


def _middle(row: Row, figure: Callable[[Sample], float]) -> float | None:
    return median(figure(sample) for sample in row.samples) if row.samples else None


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}".replace(",", " ")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.ljust(width) if column < _TEXT_COLUMNS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return f"| {' | '.join(padded)} |"
