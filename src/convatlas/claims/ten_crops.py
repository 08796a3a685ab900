"""Krizhevsky et al. 2012, section 4.1: the mean over corners, middle and mirror images errs 1.5 points less than one view.

Here the crops are of pictures with their edges reflected, as `ten-crop` has it of small ones.
"""

from statistics import mean

import torch

from ..evaluate import scores
from ..intervals import margin
from . import Claim
from .finding import Budget, Finding, more, signed
from .small import small
from .trial import PREPROCESS, bars, learn, part, plan


def test(budget: Budget) -> Finding:
    own, seeds = plan(budget, 10, 20, rate=0.02), budget.of((0, 1), tuple(range(7)))
    pictures, how = part(own.data, "test", own.tested), PREPROCESS[own.data]

    def both(net: torch.nn.Module) -> dict[str, float]:
        return {
            protocol: 100 * float((scores(net, pictures.x, how, protocol=protocol).argmax(1) != pictures.y).double().mean())
            for protocol in ("single view", "ten-crop")
        }

    courses = [learn("ten_crops", small, own, seed, budget, tell=both) for seed in seeds]
    one, ten = ([course.told[name] for course in courses] for name in ("single view", "ten-crop"))
    verdict, middle, (low, high) = more(one, ten, margin)
    says = f"{mean(one):.2f} % by one view, {mean(ten):.2f} % by ten, {signed(-middle, -high, -low)}"
    figures = {"one view": one, "ten crops": ten, "margin": [middle, low, high]}
    return Finding(verdict, says, figures, bars({"one view": one, "ten crops": ten}), seeds, sum(c.seconds for c in courses))


CLAIM = Claim("The mean over ten crops errs less than a single view.", "Krizhevsky et al. 2012, sections 4.1 and 6", test)
