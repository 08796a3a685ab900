"""Howard et al. 2017, section 4.1 and Table 4: separable convolutions lose a point of accuracy and save most of the work.

And the clock? Operations and seconds are both measured here: on most machines they disagree.
"""

from statistics import median

from torch import nn

from ..analysis import analyse
from . import Claim
from .finding import FAILS, HOLDS, OPEN, Budget, Finding
from .trial import contest, plan, rivals

WIDTHS = (32, 64, 128, 128)


def network(channels: int, separable: bool) -> nn.Sequential:
    layers, cin = [nn.Conv2d(channels, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()], 32
    for n, width in enumerate(WIDTHS):
        stride = 1 + (n > 0)
        if separable:
            layers += [nn.Conv2d(cin, cin, 3, stride, 1, groups=cin, bias=False), nn.BatchNorm2d(cin), nn.ReLU(),
                       nn.Conv2d(cin, width, 1, bias=False)]  # fmt: skip
        else:
            layers.append(nn.Conv2d(cin, width, 3, stride, 1, bias=False))
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        cin = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, 10))


def test(budget: Budget) -> Finding:
    seeds, own = (0, 1), plan(budget, 8, 10)
    makes = {"separable": lambda channels: network(channels, True), "full": lambda channels: network(channels, False)}
    courses = rivals("separable_accuracy", makes, own, seeds, budget)
    found = contest(courses, "separable", "full", seeds)
    work = [analyse(make(3), 32).macs for make in (makes["full"], makes["separable"])]
    times = median(a.seconds / max(b.seconds, 1e-9) for a, b in zip(courses["full"], courses["separable"], strict=True))
    figures = {
        **found.figures,
        "macs": work,
        "times less work": round(work[0] / work[1], 2),
        "times less time": round(times, 2),
    }
    _, low, high = found.figures["margin"]
    verdict = (HOLDS if high < 5 and work[0] > 5 * work[1] else FAILS if low > 5 else OPEN) if budget.full else OPEN
    says = f"{found.says}; for {figures['times less work']} times less work its training is {figures['times less time']} times as fast"
    return Finding(verdict, says, figures, found.picture, seeds, found.seconds)


CLAIM = Claim("Separable convolutions cost little accuracy (a point on ImageNet; here less than five) for a fraction of the work.",
              "Howard et al. 2017, section 4.1, Table 4", test)  # fmt: skip
