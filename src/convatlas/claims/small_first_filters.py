"""Zeiler & Fergus 2013, section 4.1: 7x7 with stride 2 in the first layer keeps more than AlexNet's 11x11 with stride 4.

On pictures of 32 pixels: 5x5 with stride 1 and a pool behind it against 7x7 with stride 2. All that follows is the same. As in the
paper, filter and stride change together, and the first layer has twice the work: what each of them does is not told apart.
"""

from torch import nn

from . import Claim
from .finding import Budget, Finding
from .small import small
from .trial import contest, plan, rivals


def dense(cin: int, cout: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(cin, cout, 5, padding=2), nn.MaxPool2d(2))


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2, 3)), plan(budget, 10, 30, rate=0.02)
    makes = {
        "7x7, stride 2": lambda channels: small(channels, first=lambda cin, cout: nn.Conv2d(cin, cout, 7, 2, 3), pool=(2, 2)),
        "5x5, stride 1": lambda channels: small(channels, first=dense, pool=(2, 2)),
    }
    return contest(rivals("small_first_filters", makes, own, seeds, budget), "7x7, stride 2", "5x5, stride 1", seeds)


CLAIM = Claim(
    "A smaller first filter with a smaller stride lowers the error (here 5x5 with 1 and a pool for 7x7 with 2).",
    "Zeiler & Fergus 2013, section 4.1 and Table 2",
    test,
)
