"""Krizhevsky et al. 2012, section 3.1 and figure 1: with ReLUs a four-layer network reaches 25 % training error six times sooner."""

from torch import nn

from . import Claim
from .finding import FAILS, HOLDS, Budget, Finding
from .small import small
from .trial import curves, open_, plan, rivals, seconds

RATES = (0.003, 0.01, 0.03)  # each non-linearity by its best, as the paper has it


def test(budget: Budget) -> Finding:
    passes, seeds = 12, budget.of((0,), (0, 1, 2))
    makes, target = {}, budget.of(60.0, 25.0)
    for name, act in (("relu", nn.ReLU), ("tanh", nn.Tanh)):
        for rate in budget.of(RATES[1:2], RATES):
            own = plan(budget, passes, falls=False, rate=rate, augment=False, decay=0.0, points=60)
            makes[f"{name} {rate}"] = (lambda channels, act=act: small(channels, act), own)
    found = rivals("relu_sooner", makes, plan(budget, passes), seeds, budget)
    steps = {name: [course.reached(target) for course in courses] for name, courses in found.items()}
    figures, picture = {"steps": steps, "training error": target}, curves(found, passes)
    best = {}
    for act in ("relu", "tanh"):
        full = {name: own for name, own in steps.items() if name.startswith(act) and None not in own}
        if full:
            best[act] = min(full.items(), key=lambda item: sum(step or 0 for step in item[1]))
    if len(best) < 2 or len(seeds) < 2:
        return open_(f"not every network reached {target:.0f} % training error on every seed", figures, seeds, seconds(found), picture)
    ratios = [b / a for a, b in zip(best["relu"][1], best["tanh"][1], strict=True)]
    verdict = HOLDS if min(ratios) > 2 else FAILS
    says = f"{target:.0f} % training error comes {min(ratios):.1f} to {max(ratios):.1f} times sooner with ReLUs, each by its best rate"
    return Finding(verdict, says, figures | {"ratios": ratios}, picture, seeds, seconds(found))


CLAIM = Claim("A small network with ReLUs reaches 25 % training error on CIFAR-10 several times sooner than with tanh.",
              "Krizhevsky et al. 2012, section 3.1, figure 1", test)  # fmt: skip
