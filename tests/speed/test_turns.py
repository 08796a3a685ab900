"""Processes that take turns."""

import pytest

from convatlas.speed.turns import worker

WORK = """
import itertools
from convatlas.speed.turns import work
work(iter([{"about": "me"}, *range(6)]))
"""


def test_a_worker_says_what_it_is_and_how_long_each_step_took():
    with worker("-c", WORK) as ask:
        assert ask(None) == {"about": "me"}
        for n in (1, 3):
            times = ask(n)
            assert len(times) == n
            assert all(0 <= t < 1 for t in times)


def test_one_that_has_ended_is_told():
    with worker("-c", "pass") as ask, pytest.raises(RuntimeError, match="has ended: see above"):
        ask(None)
