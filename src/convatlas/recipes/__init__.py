"""How each network is trained, as values. A recipe says where in its paper its numbers stand.

Vary one with `dataclasses.replace(recipe, steps=500)`; add one in the file of its network's family.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi
from typing import Protocol

from torch import Tensor
from torch.nn.functional import cross_entropy

from ..data.augment import Augment
from ..data.batches import Preprocess
from ..mistake import Mistake
from .optimisers import Optimiser


class Schedule(Protocol):
    """The learning rate of step `n` of `steps`, given the test errors measured so far. It has no state of its own."""

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float: ...


@dataclass(frozen=True)
class Steps:
    """`rate`, divided by `by` at each of the steps in `at`."""

    rate: float
    at: tuple[int, ...]
    by: float = 10.0

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        return self.rate / self.by ** bisect(self.at, n)


@dataclass(frozen=True)
class Stairs:
    """`rates[i]` from step `at[i]` until the next; `at` begins with 0."""

    at: tuple[int, ...]
    rates: tuple[float, ...]

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        return self.rates[bisect(self.at, n) - 1]


@dataclass(frozen=True)
class Cosine:
    """From `rate` down to `last` along half a cosine, after a straight rise over the first `warm` of the steps (0..1)."""

    rate: float
    warm: float = 0.0
    last: float = 0.0

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        rise = self.warm * steps
        if n < rise:
            return self.rate * (n + 1) / (rise + 1)
        return self.last + (self.rate - self.last) * (1 + cos(pi * (n - rise) / (steps - rise))) / 2


@dataclass(frozen=True)
class Knots:
    """Straight lines between (share of the steps, rate) points, shares rising from 0 to 1."""

    points: tuple[tuple[float, float], ...]

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        at = n / steps
        for (a, low), (b, high) in pairwise(self.points):
            if at <= b:
                return low + (high - low) * (at - a) / (b - a)
        return self.points[-1][1]


@dataclass(frozen=True)
class OneCycle:
    """Up from peak/25 to `peak` over the first `warm` of the steps, then down to peak/10,000, both along half a cosine (Smith 2018)."""

    peak: float
    warm: float = 0.3

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        at = n / max(1, steps - 1)
        low, share = (self.peak / 25, 1 - at / self.warm) if at < self.warm else (self.peak / 1e4, (at - self.warm) / (1 - self.warm))
        return low + (self.peak - low) * (1 + cos(pi * share)) / 2


@dataclass(frozen=True)
class Plateau:
    """`rate`, divided by `by` whenever the error has not fallen below its best for `patience` measurements, at most `times` times."""

    rate: float
    by: float = 10.0
    patience: int = 3
    times: int = 3

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        best, waited, drops = float("inf"), 0, 0
        for error in errors:
            best, waited = (error, 0) if error < best else (best, waited + 1)
            if waited == self.patience:
                waited, drops = 0, min(drops + 1, self.times)
        return self.rate / self.by**drops


class Loss(Protocol):
    """From scores (N, classes) and classes (N,) to what training makes small, a mean over the batch."""

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy; `smoothing` is the share of the target that all classes have in common."""

    smoothing: float = 0.0

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(scores, target, label_smoothing=self.smoothing)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a run depends on, but for its seed.

    `test` is the number of steps between two measurements of the test error, `threads` how many processor threads a
    step may use (None: all), `config` changes to the network's settings, and `published` the top-1 error in percent
    that the source reports, None where it reports none.
    """

    source: str
    model: str
    data: str
    steps: int
    batch: int
    rate: Schedule
    optimiser: Optimiser
    preprocess: Preprocess
    test: int
    loss: Loss = CrossEntropy()
    augment: tuple[Augment, ...] = ()
    config: tuple[tuple[str, str | int | float | bool], ...] = ()
    threads: int | None = None
    published: float | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "test", "threads"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise Mistake(f"recipe.{name} is {value}; it must be at least 1.")


from . import lenet  # noqa: E402  (the families' files need the words above)

FAMILIES = (lenet,)
RECIPES = {name: recipe for family in FAMILIES for name, recipe in family.RECIPES.items()}
