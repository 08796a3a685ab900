"""Krizhevsky et al. 2012, section 3.3: local response normalisation takes 2 points off the test error on CIFAR-10.

Both train at the same rate, as in the paper.
"""

from . import Claim
from .finding import Budget, Finding
from .small import small
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2, 3)), plan(budget, 10, 30, rate=0.02, augment=False)
    makes = {"without": small, "with": lambda channels: small(channels, norm=True)}
    return contest(rivals("response_norm", makes, own, seeds, budget), "without", "with", seeds)


CLAIM = Claim("Local response normalisation lowers the test error: 13 % to 11 % on CIFAR-10.", "Krizhevsky et al. 2012, section 3.3", test)
