"""Krizhevsky et al. 2012, section 4.1: without shifted and mirrored pictures the network overfits substantially."""

from dataclasses import replace

from torch import nn

from . import Claim
from .finding import Budget, Finding
from .small import small
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2)), plan(budget, 16, 30, rate=0.02)

    def net(channels: int) -> nn.Module:
        return small(channels, hidden=512)

    makes = {"as they are": (net, replace(own, augment=False)), "shifted and mirrored": net}
    return contest(rivals("augmentation", makes, own, seeds, budget), "as they are", "shifted and mirrored", seeds)


CLAIM = Claim("Shifted and mirrored pictures lower the test error.", "Krizhevsky et al. 2012, section 4.1", test)
