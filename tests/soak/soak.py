"""The long siege: `make soak`, or

    python tests/soak/soak.py --seconds 120 --clients 200

Half of the time over epoll, half over the portable poller. It ends by itself, with exit code 0 when nothing was wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from running import start_chute
from siege import Tally, besiege


def besiege_over(poller: str, seconds: float, clients: int) -> Tally:
    """Start a server, besiege it, and stop it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "site"
        folder.mkdir()
        chute = start_chute(folder, Path(place), "--poller", poller)
        try:
            tally = besiege(chute, seconds, clients)
        finally:
            status = chute.stop()
        assert status == 0, f"SIGTERM ended the server with {status}"
        return tally


def main() -> None:
    """Besiege a server over each poller, and print what happened."""
    parser = argparse.ArgumentParser(description="Besiege a chute of its own, bounded in time.")
    parser.add_argument("--seconds", type=float, default=120, help="of both sieges together")
    parser.add_argument("--clients", type=int, default=200, help="that behave well")
    options = parser.parse_args()
    for poller in ("auto", "portable"):
        tally = besiege_over(poller, options.seconds / 2, options.clients)
        print(
            f"{poller}: {tally.answers} answers, {tally.bytes / 2**30:.1f} GiB, 0 errors, "
            f"memory {tally.resident_growth / 2**20:+.1f} MiB; beside them {tally.resets} resets, "
            f"{tally.slow} slow readers, {tally.silent} silent, {tally.garbage} with garbage, "
            f"{tally.changes} changes of a file and {tally.cut} answers cut by them",
            flush=True,
        )


if __name__ == "__main__":
    main()
