"""The short form of `make soak`, in every test run."""

from __future__ import annotations

import pytest

from onslaught import Onslaught
from running import Serve
from siege import besiege

pytestmark = pytest.mark.soak


def test_honest_clients_do_not_notice_the_others(serve: Serve):
    tally = besiege(serve(), seconds=3, clients=60)
    assert tally.answers > 100
    assert tally.resets > 0
    assert tally.garbage > 0
    assert tally.changes > 0
    assert tally.silent == 3


def test_onslaught_of_requests_is_answered_without_an_error_and_leaves_nothing(serve: Serve):
    """First with honest clients only, then with some that reset and some that crawl; `Onslaught` has the assertions."""
    onslaught = Onslaught(serve())
    onslaught.warm_up(100, within_s=10)
    honest = onslaught.attack(3000, 100, within_s=20)
    assert honest.ranges > 0
    assert honest.carried.keys() == {"buffer", "sendfile"}
    mixed = onslaught.attack(3000, 100, misbehaving=True, within_s=20)
    assert mixed.resets >= 5
    assert mixed.crawlers == 5
