"""`python -m bench.forms`: what answers cost that are no plain files: compressed forms, and listings.

A compressed form should cost what a plain file of its size costs. So a text and a file of random bytes are made, the
latter as large as the former is when gzip has been at it, and both are asked for in turns; nginx compresses each answer
anew. A listing of 10 000 entries is asked for as a page and as JSON, from chute as it is, from chute with `--valid 0`
(which reads the folder for every answer), and from nginx's autoindex.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench import cpu, environment, load, servers
from bench.running import RunningServer, started, stop_on_signals
from bench.servers import available

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.servers import Launch, Place, Server

_ENTRIES = 10_000
_TEXT_LINES = 60_000
_READY_SECONDS = 10
_GZIP = {"Accept-Encoding": "gzip"}


class Asked:
    """One thing to ask one server for, and what it cost each time."""

    def __init__(
        self, title: str, running: RunningServer, target: str, fields: dict[str, str]
    ) -> None:
        self.title = title
        self.samples: list[float] = []
        self._running = running
        self._url = running.url(target)
        self._fields = fields

    def content(self) -> bytes:
        """Fetch it once, as soon as the server listens."""
        request = urllib.request.Request(self._url, headers=self._fields)
        give_up_s = time.monotonic() + _READY_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=_READY_SECONDS) as answer:
                    return bytes(answer.read())
            except urllib.error.URLError:
                if time.monotonic() > give_up_s:
                    raise
                time.sleep(0.05)

    def take_turn(self, seconds: int, connections: int) -> None:
        """Load the server for some seconds."""
        before = cpu.read_cpu(self._running.pid)
        count = load.count_answers(
            self._url, self._fields, seconds=seconds, connections=connections
        )
        spent = cpu.cpu_between(before, cpu.read_cpu(self._running.pid))
        self.samples.append(spent / 1000 / max(1, count))


def main() -> int:
    options = _options()
    if shutil.which("wrk") is None:
        print(load.WRK_MISSING, file=sys.stderr)
        return 2
    stop_on_signals()
    with tempfile.TemporaryDirectory(prefix="bench-forms-") as folder:
        site = Path(folder)
        _fill(site)
        found, _, skipped = available(["chute", "nginx"])
        if skipped:
            print(f"cannot compare: {skipped}", file=sys.stderr)
            return 2
        ours, theirs = found
        theirs = replace(theirs, launch=servers.nginx(in_server=_IN_SERVER.format(site=site)))
        with (
            started(_at(site, ours)) as chute,
            started(_at(site, ours, "--valid", "0")) as anew,
            started(_at(site, theirs)) as nginx,
        ):
            _compare_forms(site, chute, nginx, options)
            _compare_listings(chute, anew, nginx, options)
    return 0


_IN_SERVER = """
    gzip on; gzip_types text/plain; gzip_comp_level 6; autoindex on;
    location /json/ {{ alias {site}/; autoindex on; autoindex_format json; }}
"""


def _fill(site: Path) -> None:
    lines = (
        b"%d: a line of a text that shrinks, %x\n" % (number, number**3)
        for number in range(_TEXT_LINES)
    )
    (site / "text.txt").write_bytes(b"".join(lines))
    _date_back(site / "text.txt")
    (site / "many").mkdir()
    for number in range(_ENTRIES):
        (site / "many" / f"file-{number:05d}.bin").write_bytes(bytes(number % 97))


def _date_back(path: Path) -> None:
    """Make a file older than the two seconds for which it might change unnoticed."""
    os.utime(path, (1_700_000_000, 1_700_000_000))


def _at(site: Path, server: Server, *more: str) -> Server:
    """Return `server` as it serves `site`, with further options."""

    def launch(place: Place) -> Launch:
        launched = server.launch(replace(place, site=site))
        return replace(launched, argv=[*launched.argv, *more])

    return replace(server, launch=launch)


def _compare_forms(
    site: Path, chute: RunningServer, nginx: RunningServer, options: argparse.Namespace
) -> None:
    form = Asked("chute, compressed form", chute, "text.txt", _GZIP)
    size = len(form.content())
    plain_path = environment.site_file(f"{size}.plain", size)
    shutil.copyfile(plain_path, site / "plain.bin")
    _date_back(site / "plain.bin")
    plain = Asked("chute, plain file of its size", chute, "plain.bin", _GZIP)
    theirs = Asked("nginx, compressed each time", nginx, "text.txt", _GZIP)
    their_plain = Asked("nginx, plain file of its size", nginx, "plain.bin", _GZIP)
    print(f"A text that gzip makes {size:,} bytes of:")
    _measure([plain, form, their_plain, theirs], options, connections=16)


def _compare_listings(
    chute: RunningServer, anew: RunningServer, nginx: RunningServer, options: argparse.Namespace
) -> None:
    print(f"A listing of {_ENTRIES:,} entries:")
    asked = [
        Asked("nginx, page", nginx, "many/", {}),
        Asked("chute, page", chute, "many/", {}),
        Asked("chute --valid 0, page", anew, "many/", {}),
        Asked("nginx, JSON", nginx, "json/many/", {}),
        Asked("chute, JSON", chute, "many/?format=json", {}),
        Asked("chute --valid 0, JSON", anew, "many/?format=json", {}),
    ]
    _measure(asked, options, connections=2)


def _measure(asked: Iterable[Asked], options: argparse.Namespace, *, connections: int) -> None:
    asked = list(asked)
    for each in asked:
        each.content()
    for _ in range(options.rounds):
        for each in asked:
            each.take_turn(options.seconds, connections)
    first = median(asked[0].samples)
    for each in asked:
        cost = median(each.samples)
        spread = f"{min(each.samples):.1f}..{max(each.samples):.1f}"
        print(f"  {each.title:32} {cost:10.1f} µs/request  {cost / first:6.2f}  {spread}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.forms", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of one turn; 2 by default")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
