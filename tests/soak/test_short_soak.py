"""The short form of `make soak`, in every test run."""

from __future__ import annotations

import pytest

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
