"""`python -m bench`: the table of CPU time per request for chute and its peers."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from pathlib import Path

from bench import cpu, load, table
from bench.rounds import Effort, measure
from bench.running import stop_on_signals
from bench.servers import SERVERS, available

_ROUNDS, _SECONDS = 5, 2
_QUICK_ROUNDS, _QUICK_SECONDS = 2, 1


def main() -> int:
    options = _options()
    if shutil.which("wrk") is None:
        print(load.WRK_MISSING, file=sys.stderr)
        return 2
    stop_on_signals()
    effort = Effort(
        options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS),
        options.seconds or (_QUICK_SECONDS if options.quick else _SECONDS),
        options.connections,
    )
    cases = [case for case in load.CASES if not options.case or case.name in options.case]
    servers, versions, skipped = available(options.server or [server.name for server in SERVERS])
    facts = _facts(effort)
    print(*facts, sep="\n")
    for name, version in versions.items():
        print(f"{name}: {version}")
    for name, why in skipped.items():
        print(f"skipped {name}: {why}")
    rows = [row for case in cases for row in measure(case, servers, effort)]
    print(table.markdown(rows))
    if options.json:
        data = {
            "facts": facts,
            "versions": versions,
            "skipped": skipped,
            "rows": [table.as_data(row) for row in rows],
        }
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 1 if any(row.problems for row in rows) else 0


def _facts(effort: Effort) -> list[str]:
    system = platform.uname()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    facts = [
        f"{_processor()}, {system.system} {system.release}, {python}",
        f"{effort.rounds} rounds of {effort.seconds} s, {effort.connections} connections",
        f"servers on core {cpu.SERVER_CORE}, load on core {cpu.LOAD_CORE}",
    ]
    if cpu.SERVER_CORE == cpu.LOAD_CORE:
        facts.append("only one core: requests/s say little, CPU time is slightly too high")
    return facts


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    cases = [case.name for case in load.CASES]
    servers = [server.name for server in SERVERS]
    parser.add_argument("--case", action="append", choices=cases, help="repeatable; all by default")
    parser.add_argument(
        "--server", action="append", choices=servers, help="repeatable; all by default"
    )
    parser.add_argument("--rounds", type=_at_least_one, help=f"{_ROUNDS} by default")
    parser.add_argument("--seconds", type=_at_least_one, help=f"of one turn; {_SECONDS} by default")
    parser.add_argument("--connections", type=_at_least_one, default=64, help="64 by default")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"{_QUICK_ROUNDS} rounds of {_QUICK_SECONDS} s, for a first look",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
