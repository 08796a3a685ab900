"""Claims of the papers, each a file with the sentence, its place and an experiment: convatlas claims [NAME] [--quick|--full].

A verdict is "holds" or "does not hold here" only where an interval of 95 % excludes chance, or where numbers are counted; else "cannot
be decided at this budget". "Here" is small pictures on a small machine; most claims were made of ImageNet.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..machine import environment
from ..mistake import Mistake
from .finding import Budget, Finding

NAMES = (
    "lenet_counts", "stacked_fields", "vgg_weights", "inception_reduced", "one_by_one", "separable_cost", "bottleneck_cost",
    "dense_weights",
    "relu_sooner", "response_norm", "overlapping_pools", "dropout", "augmentation", "seven_networks", "ten_crops", "small_first_filters",
    "stacked_filters", "auxiliary_heads", "degradation", "shortcuts", "dense_accuracy", "separable_accuracy", "wide_or_deep",
)  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """`sentence` is the paper's claim in our words, `place` where it stands; `test` tries it within a budget, if `trained` by training."""

    sentence: str
    place: str
    test: Callable[[Budget], Finding]
    trained: bool = True


def claim(name: str) -> Claim:
    """Raises Mistake for one that there is not."""
    if name not in NAMES:
        raise Mistake(f"no claim {name!r}; there are: {', '.join(NAMES)}.")
    return import_module(f".{name}", __name__).CLAIM


def examine(name: str, budget: Budget) -> dict[str, Any]:
    """The claim, what was found, and on what."""
    is_, begun = claim(name), time.perf_counter()
    found = is_.test(budget)
    return {
        "claim": name,
        "sentence": is_.sentence,
        "place": is_.place,
        "trained": is_.trained,
        "budget": "full" if budget.full else "quick",
        "verdict": found.verdict,
        "says": found.says,
        "seeds": list(found.seeds),
        "figures": found.figures,
        "picture": found.picture,
        "seconds": round(found.seconds or time.perf_counter() - begun, 1),
        "command": f"convatlas claims {name} --{'full' if budget.full else 'quick'}",
        "environment": environment(),
    }
