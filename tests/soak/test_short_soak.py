"""The short form of `make soak`, in every test run."""

from __future__ import annotations

from running import Serve
from siege import besiege


def test_honest_clients_do_not_notice_the_others(serve: Serve):
    tally = besiege(serve(), seconds=4, clients=60)
    assert tally.answers > 100
    assert tally.resets > 0
    assert tally.garbage > 0
