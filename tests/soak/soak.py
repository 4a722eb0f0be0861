"""The long siege: `make soak`, or

    PYTHONPATH=tests/support python tests/soak/soak.py --seconds 120 --clients 200

Half of the time over epoll, half over the portable poller.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from running import start_chute
from siege import besiege


def main() -> None:
    """Besiege a server over each poller, and print what happened."""
    parser = argparse.ArgumentParser(description="Besiege a chute of its own, bounded in time.")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=200)
    options = parser.parse_args()
    for poller in ("auto", "portable"):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "site"
            folder.mkdir()
            chute = start_chute(folder, Path(place), "--poller", poller)
            try:
                tally = besiege(chute, options.seconds / 2, options.clients)
            finally:
                status = chute.stop()
            assert status == 0
        print(
            f"{poller}: {tally.answers} answers, {tally.bytes / 2**30:.1f} GiB, 0 errors beside "
            f"{tally.resets} resets, {tally.slow} slow readers, {tally.garbage} others"
        )


if __name__ == "__main__":
    main()
