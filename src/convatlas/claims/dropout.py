"""Krizhevsky et al. 2012, section 4.2: without dropout the network overfits; with it, training takes twice as long."""

from . import Claim
from .finding import Budget, Finding
from .small import small
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2)), plan(budget, 20, 30, rate=0.02, augment=False)
    makes = {
        "without": lambda channels: small(channels, widths=(64, 128, 128)),
        "with": lambda channels: small(channels, dropout=0.5, widths=(64, 128, 128)),
    }
    return contest(rivals("dropout", makes, own, seeds, budget), "without", "with", seeds)


CLAIM = Claim("Dropout in the linear layers lowers the test error of a network that overfits.", "Krizhevsky et al. 2012, section 4.2", test)
