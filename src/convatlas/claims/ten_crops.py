"""Krizhevsky et al. 2012, section 4.1: the mean over corners, middle and mirror images errs 1.5 points less than one view."""

import torch

from ..evaluate import scores
from . import Claim
from .finding import Budget, Finding, more
from .small import small
from .trial import PREPROCESS, learn, part, plan


def test(budget: Budget) -> Finding:
    own, seeds = plan(budget, 8, 20, rate=0.02), budget.of((0, 1), (0, 1, 2))
    pictures, how = part(own.data, "test", own.tested), PREPROCESS[own.data]

    def both(net: torch.nn.Module) -> dict[str, float]:
        return {
            protocol: 100 * float((scores(net, pictures.x, how, protocol=protocol).argmax(1) != pictures.y).double().mean())
            for protocol in ("single view", "ten-crop")
        }

    courses = [learn("ten_crops", small, own, seed, budget, tell=both) for seed in seeds]
    one, ten = ([course.told[name] for course in courses] for name in ("single view", "ten-crop"))
    verdict, middle, (low, high) = more(one, ten)
    bars = {name: [sum(v) / len(v), min(v), max(v)] for name, v in (("one view", one), ("ten crops", ten))}
    says = f"{bars['one view'][0]:.2f} % by one view, {bars['ten crops'][0]:.2f} % by ten: {middle:.2f} less ({low:.2f} to {high:.2f})"
    figures = {"one view": one, "ten crops": ten, "margin": [middle, low, high]}
    return Finding(verdict, says, figures, {"kind": "bars", "y": "test error, %", "bars": bars}, seeds, sum(c.seconds for c in courses))


CLAIM = Claim("The mean over ten crops errs less than a single view.", "Krizhevsky et al. 2012, section 4.1", test)
