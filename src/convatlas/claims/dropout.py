"""Krizhevsky et al. 2012, section 4.2: without dropout the network overfits; with it, training takes twice as long.

Here both train as long.
"""

from . import Claim
from .finding import Budget, Finding
from .small import small
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2)), plan(budget, 16, 30, rate=0.02, augment=False)
    makes = {
        "without": lambda channels: small(channels, hidden=512),
        "with": lambda channels: small(channels, hidden=512, dropout=0.5),
    }
    return contest(rivals("dropout", makes, own, seeds, budget), "without", "with", seeds)


CLAIM = Claim("Dropout in the linear layers lowers the test error of a network that overfits.", "Krizhevsky et al. 2012, section 4.2", test)
