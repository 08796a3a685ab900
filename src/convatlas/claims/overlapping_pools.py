"""Krizhevsky et al. 2012, section 3.4: pools of 3 with stride 2 do better than pools of 2, and overfit less."""

from . import Claim
from .finding import Budget, Finding
from .small import small
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2, 3)), plan(budget, 10, 30, rate=0.02, augment=False)
    makes = {"2 by 2": lambda channels: small(channels, pool=(2, 2)), "3 by 2": small}
    return contest(rivals("overlapping_pools", makes, own, seeds, budget), "2 by 2", "3 by 2", seeds)


CLAIM = Claim("Overlapping pools lower the error.", "Krizhevsky et al. 2012, section 3.4", test)
