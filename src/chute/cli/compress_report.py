"""What `chute compress` says: the count of what was done, as a table, as lines, or as JSON.

A terminal gets colours, a pipe the same rows without. Standard output has the summary; what went wrong goes to standard
error, one line each.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.text import Text

from chute.static.codecs import BR, GZIP, ZSTD, Coding
from chute.static.sidecars import Outcome, Result
from chute.static.survey import Orphan, Reason, Skipped, Source, Unreadable

_FAILURES = {
    Result.CHANGED: "changed meanwhile, so nothing was written (run it again)",
    Result.FAILED: "",
}
_PACKAGES = {GZIP: "zlib", BR: "brotli", ZSTD: "zstandard"}
_POOR, _QUIET = "yellow", "dim"


@dataclass
class Tally:
    """What became of the sidecars in one coding.

    Attributes:
        results: how often each result came.
        replaced: how many that were not up to date are gone, or would go.
        source_bytes: the size of the files that have a sidecar now.
        sidecar_bytes: the size of those sidecars.
    """

    results: Counter[Result] = field(default_factory=Counter)
    replaced: int = 0
    source_bytes: int = 0
    sidecar_bytes: int = 0

    @property
    def ratio(self) -> float | None:
        """Return what is left of the sources, as a share."""
        return self.sidecar_bytes / self.source_bytes if self.source_bytes else None


@dataclass
class Summary:
    """What one run did.

    Attributes:
        folder: the top, as the user named it.
        codings: what was to be made.
        missing: codings that are not installed.
        bytes_min: smaller files were skipped.
        jobs: how many sidecars were made at a time.
        is_trial: whether nothing was done, and only said.
        files: how many files may have sidecars.
        file_bytes: their size.
        tallies: for each coding.
        skipped: how many names were skipped, and why.
        due: paths of what would be made.
        failed: paths, and what went wrong with them.
        orphans: paths of sidecars of ours whose source has gone.
        is_pruning: whether those are removed.
        left: paths that look like sidecars without a source, and have no mark of ours.
        seconds: how long it took.
        was_stopped: whether the user pressed Ctrl-C.
    """

    folder: str
    codings: Sequence[Coding]
    missing: Sequence[Coding]
    bytes_min: int
    jobs: int
    is_trial: bool
    is_pruning: bool
    files: int = 0
    file_bytes: int = 0
    tallies: dict[Coding, Tally] = field(default_factory=dict)
    skipped: Counter[Reason] = field(default_factory=Counter)
    due: list[bytes] = field(default_factory=list)
    failed: list[tuple[bytes, str]] = field(default_factory=list)
    orphans: list[bytes] = field(default_factory=list)
    left: list[bytes] = field(default_factory=list)
    seconds: float = 0.0
    was_stopped: bool = False

    def __post_init__(self) -> None:
        self.tallies = {coding: Tally() for coding in self.codings}

    def count(self, source: Source, coding: Coding, outcome: Outcome) -> None:
        """Take down what became of one sidecar."""
        tally = self.tallies[coding]
        tally.results[outcome.result] += 1
        tally.replaced += outcome.has_replaced
        path = source.path + coding.suffix
        if outcome.result in (Result.MADE, Result.UP_TO_DATE):
            tally.source_bytes += source.size
            tally.sidecar_bytes += outcome.sidecar_bytes
        elif outcome.result is Result.DUE:
            self.due.append(path)
        self._count_failure(path, outcome)

    def count_orphan(self, orphan: Orphan, outcome: Outcome) -> None:
        """Take down what became of something that looked like a sidecar without a source."""
        if outcome.result is Result.PRUNED:
            self.orphans.append(orphan.path)
        elif outcome.result is Result.NOT_OURS:
            self.left.append(orphan.path)
        elif outcome.result is Result.FAILED:
            self._count_failure(orphan.path, outcome)

    def count_skipped(self, skipped: Skipped) -> None:
        """Take down a name that gets no sidecar."""
        self.skipped[skipped.reason] += 1

    def count_unreadable(self, unreadable: Unreadable) -> None:
        """Take down a name that could not be looked at."""
        self.failed.append((unreadable.path, unreadable.detail))

    def failures(self) -> Iterator[str]:
        """Yield a line for whatever went wrong."""
        for path, detail in sorted(self.failed):
            yield f"{_shown(path)}: {detail}"

    def as_json(self) -> str:
        """Return all of it for a program."""
        values = {
            "folder": self.folder,
            "dry_run": self.is_trial,
            "stopped": self.was_stopped,
            "files": self.files,
            "bytes": self.file_bytes,
            "codings": {
                coding.name.decode(): _tally_values(tally) for coding, tally in self.tallies.items()
            },
            "missing": [coding.name.decode() for coding in self.missing],
            "skipped": {reason.name.lower(): count for reason, count in self.skipped.items()},
            "due": _sorted_names(self.due),
            "failed": [
                {"path": _name(path), "detail": detail} for path, detail in sorted(self.failed)
            ],
            "orphans": _sorted_names(self.orphans),
            "orphans_removed": self.is_pruning and not self.is_trial,
            "left": _sorted_names(self.left),
            "jobs": self.jobs,
            "seconds": round(self.seconds, 3),
        }
        return json.dumps(values, indent=2)

    def _count_failure(self, path: bytes, outcome: Outcome) -> None:
        if outcome.result in _FAILURES:
            self.failed.append((path, outcome.detail or _FAILURES[outcome.result]))


def say(line: str) -> None:
    """Print a line of the report."""
    click.echo(line)


def complain(line: str) -> None:
    """Print a line about what went wrong."""
    click.echo(f"chute: error: {line}", err=True)


def show(summary: Summary) -> None:
    """Print the summary: in colours on a terminal, else as lines that nothing wraps."""
    console = Console(highlight=False, soft_wrap=True) if sys.stdout.isatty() else None
    for line, style in _lines(summary):
        if console is None:
            say(line)
        else:
            console.print(Text(line, style=style))


def _lines(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield the lines of the summary and their styles."""
    for path in sorted(summary.due):
        yield f"would make {_shown(path)}", ""
    if summary.is_pruning:
        verb = "would remove" if summary.is_trial else "removed"
        for path in sorted(summary.orphans):
            yield f"{verb} {_shown(path)}", ""
    yield _headline(summary), "bold"
    if summary.files:
        heading, *rows = _aligned(_rows(summary))
        yield heading, _QUIET
        yield from ((row, "") for row in rows)
    yield from ((note, _QUIET) for note in _notes(summary))
    if summary.was_stopped:
        yield "stopped: what is counted is complete, and nothing was left half-written", _POOR
    elif summary.failed:
        yield f"failed: {len(summary.failed):,}, each named on standard error", _POOR


def _headline(summary: Summary) -> str:
    what = _count(summary.files, "file")
    place = _printable(summary.folder)
    if not summary.files:
        return f"nothing to compress in {place}"
    seconds = f"{summary.seconds:.1f} s with {_count(summary.jobs, 'job')}"
    return f"{what} in {place}, {_bytes(summary.file_bytes)}: {seconds}"


def _rows(summary: Summary) -> list[list[str]]:
    """Return the table, its heading first; `before` and `after` are about the files that have sidecars now."""
    made = Result.DUE if summary.is_trial else Result.MADE
    rows = [["coding", made.value, "up to date", "not smaller", "before", "after", "ratio"]]
    for coding, tally in summary.tallies.items():
        counts = [tally.results[each] for each in (made, Result.UP_TO_DATE, Result.NOT_SMALLER)]
        sizes = [_bytes(tally.source_bytes), _bytes(tally.sidecar_bytes)]
        ratio = "-" if tally.ratio is None else f"{tally.ratio:.1%}"
        rows.append([coding.name.decode(), *(f"{count:,}" for count in counts), *sizes, ratio])
    return rows


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [f"{other:>{width}}" for other, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([f"  {first:<{widths[0]}}", *cells])


def _notes(summary: Summary) -> Iterator[str]:
    """Yield what else is worth knowing."""
    if summary.skipped:
        reasons = [
            f"{summary.skipped[reason]:,} {_worded(reason, summary)}"
            for reason in Reason
            if summary.skipped[reason]
        ]
        yield "skipped: " + ", ".join(reasons)
    replaced = sum(tally.replaced for tally in summary.tallies.values())
    if replaced:
        verb = "would be replaced" if summary.is_trial else "replaced"
        yield f"{verb}: {_count(replaced, 'sidecar')} that did not belong to the file as it is now"
    if summary.orphans and not summary.is_pruning:
        whose = _count(len(summary.orphans), "sidecar")
        yield f"orphans: {whose} of files that have gone (--prune removes them)"
    if summary.left and summary.is_pruning:
        yield (
            f"left: {_count(len(summary.left), 'name')} of a sidecar without a source, and without a mark that"
            f" chute made it, such as {_shown(min(summary.left))}"
        )
    if summary.missing:
        names = " and ".join(coding.name.decode() for coding in summary.missing)
        packages = " and ".join(_PACKAGES[coding] for coding in summary.missing)
        yield f"not made: {names}, for want of {packages} (pip install 'chute[compress]')"


def _worded(reason: Reason, summary: Summary) -> str:
    if reason is Reason.SMALL:
        return f"smaller than {summary.bytes_min:,} bytes"
    return str(reason.value)


def _tally_values(tally: Tally) -> dict[str, object]:
    counted = (
        Result.MADE,
        Result.DUE,
        Result.UP_TO_DATE,
        Result.NOT_SMALLER,
        Result.CHANGED,
        Result.FAILED,
    )
    return {
        **{result.name.lower(): tally.results[result] for result in counted},
        "replaced": tally.replaced,
        "bytes_before": tally.source_bytes,
        "bytes_after": tally.sidecar_bytes,
        "ratio": None if tally.ratio is None else round(tally.ratio, 4),
    }


def _sorted_names(paths: Iterable[bytes]) -> list[str]:
    return [_name(path) for path in sorted(paths)]


def _name(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _shown(path: bytes) -> str:
    return _printable(_name(path))


def _printable(text: str) -> str:
    """Return `text` with escapes for what a terminal would obey, or has no character for: names may hold any byte."""
    encoding: str = sys.stdout.encoding or "utf-8"
    escaped = (
        each if each.isprintable() else each.encode("unicode_escape").decode("ascii")
        for each in text
    )
    return "".join(escaped).encode(encoding, "backslashreplace").decode(encoding)


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
