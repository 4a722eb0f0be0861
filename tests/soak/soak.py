"""The long siege and the onslaughts: `make soak`, or

    python tests/soak/soak.py --seconds 120 --clients 200 --requests 100000 --connections 1000

First a siege, half of its time over epoll and half over the portable poller. Then two onslaughts over epoll, one with
honest clients only and one with clients among them that reset and that crawl, and a tenth of each over the portable
poller. It ends by itself, with exit code 0 when nothing was wrong; `--seconds 0` and `--requests 0` leave a part out.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from onslaught import Onslaught, allow_descriptors
from running import RunningChute, start_chute
from siege import besiege

WARM_UP_S = 30.0
SEND_TIMEOUT_S = 5
"""Shorter than an onslaught, so that a reader who crawls has to be told from a dead one."""


@contextlib.contextmanager
def chute_over(poller: str, *options: str) -> Iterator[RunningChute]:
    """Run a server of an empty folder, and see it stop as it should."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "site"
        folder.mkdir()
        chute = start_chute(folder, Path(place), "--poller", poller, *options)
        try:
            yield chute
        finally:
            status = chute.stop()
        assert status == 0, f"SIGTERM ended the server with {status}"


def siege(poller: str, seconds: float, clients: int) -> None:
    """Besiege a server and print what happened."""
    with chute_over(poller) as chute:
        tally = besiege(chute, seconds, clients)
    print(
        f"siege, {poller}: {tally.answers} answers, {tally.bytes / 2**30:.1f} GiB, 0 errors, "
        f"memory {tally.resident_growth / 2**20:+.1f} MiB; beside them {tally.resets} resets, "
        f"{tally.slow} slow readers, {tally.silent} silent, {tally.garbage} with garbage, "
        f"{tally.changes} changes of a file and {tally.cut} answers cut by them",
        flush=True,
    )


def onslaught(poller: str, requests: int, connections: int, within_s: float) -> None:
    """Attack a server twice, the second time with clients that misbehave, and print what happened."""
    with chute_over(poller, "--send-timeout", str(SEND_TIMEOUT_S)) as chute:
        attacks = Onslaught(chute)
        attacks.warm_up(connections, within_s=WARM_UP_S)
        for misbehaving in (False, True):
            facts = attacks.attack(
                requests, connections, misbehaving=misbehaving, within_s=within_s
            )
            print(f"onslaught, {poller}: {facts}", flush=True)


def main() -> None:
    """Do all of it, each part over each poller."""
    parser = argparse.ArgumentParser(
        description="Besiege and attack a chute of its own, bounded in time."
    )
    parser.add_argument("--seconds", type=float, default=120, help="of both sieges together")
    parser.add_argument("--clients", type=int, default=200, help="of a siege, that behave well")
    parser.add_argument("--requests", type=int, default=100_000, help="of an onslaught over epoll")
    parser.add_argument(
        "--connections", type=int, default=1000, help="of an onslaught, all at the same time"
    )
    parser.add_argument("--within", type=float, default=180, help="seconds for one onslaught")
    options = parser.parse_args()
    try:
        allow_descriptors(max(options.connections, 2 * options.clients))
    except RuntimeError as error:
        sys.exit(str(error))
    for poller, share in (("auto", 1), ("portable", 10)):
        if options.seconds:
            siege(poller, options.seconds / 2, options.clients)
        if options.requests:
            requests = max(1, options.requests // share)
            onslaught(poller, requests, options.connections, options.within)


if __name__ == "__main__":
    main()
