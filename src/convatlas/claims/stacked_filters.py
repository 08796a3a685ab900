"""Simonyan & Zisserman 2014, section 4.1: a network of 3x3 pairs beats the same with 5x5: 7 points of top-1 error."""

from torch import nn

from . import Claim
from .finding import Budget, Finding
from .small import small
from .trial import contest, plan, rivals


def pair(cin: int, cout: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(cin, cout, 3, padding=1), nn.ReLU(), nn.Conv2d(cout, cout, 3, padding=1))


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2, 3)), plan(budget, 10, 30, rate=0.02)
    makes = {
        "5x5": small,
        "two 3x3": lambda channels: small(channels, first=pair, conv=pair),
    }
    return contest(rivals("stacked_filters", makes, own, seeds, budget), "5x5", "two 3x3", seeds)


CLAIM = Claim("Pairs of 3x3 convolutions do better than single 5x5 of the same field.", "Simonyan & Zisserman 2014, section 4.1", test)
