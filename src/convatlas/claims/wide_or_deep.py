"""Zagoruyko & Komodakis 2016, section 3: at equal weights wide, shallow networks do as well as thin, deep ones, and train faster."""

from dataclasses import replace
from statistics import median

from ..models.resnet import ResNet, cifar
from . import Claim
from .finding import Budget, Finding
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2)), plan(budget, 8, 4)
    makes = {
        "44 layers of 16, 32, 64": lambda channels: ResNet(replace(cifar(7, "A"), in_channels=channels)),
        "14 layers of 32, 64, 128": lambda channels: ResNet(replace(cifar(2, "A"), widths=(32, 64, 128), in_channels=channels)),
    }
    courses = rivals("wide_or_deep", makes, own, seeds, budget)
    deeper, wider = makes
    found = contest(courses, deeper, wider, seeds)
    faster = median(deep.seconds / max(wide.seconds, 1e-9) for deep, wide in zip(*courses.values(), strict=True))
    says = f"{found.says}; the wide one trains {faster:.2f} times as fast"
    return Finding(found.verdict, says, {**found.figures, "times as fast": round(faster, 3)}, found.picture, seeds, found.seconds)


CLAIM = Claim("With about as many weights, a wide and shallow residual network beats a thin and deep one trained as long.",
              "Zagoruyko & Komodakis 2016, section 3", test)  # fmt: skip
