"""Krizhevsky et al. 2012, section 3.1 and figure 1: with ReLUs a four-layer network reaches 25 % training error six times sooner."""

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import NamedTuple

from torch import nn

from ..intervals import between
from . import Claim
from .finding import FAILS, HOLDS, OPEN, Budget, Finding
from .small import small
from .trial import plan, rivals, seconds

RATES = (0.003, 0.01, 0.03)  # each non-linearity by its best, as the paper has it; one that is too much answers, too: it never gets there
SEVERAL = 2.0
Steps = Sequence[float | None]  # at which a network got there, for each seed; None if it did not


class Sooner(NamedTuple):
    verdict: str
    times: float
    low: float
    high: float


def sooner(relu: Steps, tanh: Steps, limit: int) -> Sooner:
    """How many times sooner, and whether SEVERAL times. One that did not get there with tanh would have taken more than `limit` steps."""
    reached = [step for step in relu if step is not None]
    if len(reached) < len(relu) or len(reached) < 2:
        return Sooner(OPEN, 0.0, 0.0, 0.0)
    middle, (low, high) = between([log(step or limit) for step in tanh], [log(step) for step in reached])
    verdict = HOLDS if exp(low) > SEVERAL else FAILS if exp(high) < SEVERAL and None not in tanh else OPEN
    return Sooner(verdict, exp(middle), exp(low), exp(high))


def best(steps: Mapping[str, Steps], limit: int) -> str:
    return min(steps, key=lambda name: sum(step or limit for step in steps[name]))


def test(budget: Budget) -> Finding:
    passes, seeds, target = 12, budget.of((0,), (0, 1, 2)), budget.of(60.0, 25.0)
    makes, limit = {}, 0
    for name, act in (("relu", nn.ReLU), ("tanh", nn.Tanh)):
        for rate in budget.of(RATES[1:2], RATES):
            own = plan(budget, passes, falls=False, rate=rate, augment=False, decay=0.0, points=60, tested=1_000, enough=target)
            makes[f"{name}, rate {rate}"] = (lambda channels, act=act: small(channels, act), own)
            limit = own.steps
    found = rivals("relu_sooner", makes, plan(budget, passes), seeds, budget, must=False)
    steps = {name: [course.reached(target) for course in courses] for name, courses in found.items()}
    relu, tanh = (best({name: own for name, own in steps.items() if name.startswith(act)}, limit) for act in ("relu", "tanh"))
    verdict, times, low, high = sooner(steps[relu], steps[tanh], limit)
    series = {
        name: [[0, 90.0], *([course.passes * n / course.plan["steps"], a] for n, a, _ in course.curve)]
        for name, (course, *_) in ((name, found[name]) for name in (relu, tanh))
    }
    least = "at least " if None in steps[tanh] else ""
    says = (
        f"{target:.0f} % training error comes {least}{times:.1f} times sooner with ReLUs ({low:.1f} to {high:.1f}), each by its best rate"
    )
    if verdict == OPEN and not times:
        says = f"too few networks with ReLUs reached {target:.0f} % training error to say how much sooner they do"
    figures = {"steps": steps, "best": [relu, tanh], "training error": target, "times sooner": [times, low, high]}
    picture = {"kind": "lines", "x": "passes", "y": "training error, %", "series": series}
    return Finding(verdict, says, figures, picture, seeds, seconds(found))


CLAIM = Claim("A small network with ReLUs reaches 25 % training error on CIFAR-10 more than twice as soon as with tanh.",
              "Krizhevsky et al. 2012, section 3.1, figure 1", test)  # fmt: skip
