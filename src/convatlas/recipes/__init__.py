"""How each network is trained, as values. A recipe says where in its paper its numbers stand.

Vary one with `dataclasses.replace(recipe, steps=500)`; add one in the file of its network's family.
"""

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi
from typing import Protocol

from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from ..data.augment import Augment
from ..data.batches import Batches, Cut, Preprocess
from ..data.crops import Crops
from ..data.rest import Rest
from ..mistake import Mistake
from ..models.net import Net
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
    """From `rate` down to `last` along half a cosine, after a straight rise from `first` over the first `warm` of the steps (0..1)."""

    rate: float
    warm: float = 0.0
    last: float = 0.0
    first: float = 0.0

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        rise = self.warm * steps
        if n < rise:
            return self.first + (self.rate - self.first) * (n + 1) / (rise + 1)
        return self.last + (self.rate - self.last) * (1 + cos(pi * (n - rise) / (steps - rise))) / 2


@dataclass(frozen=True)
class Exponential:
    """`rate`, multiplied by `by` after each `every` steps."""

    rate: float
    by: float
    every: int

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        return self.rate * self.by ** (n // self.every)


@dataclass(frozen=True)
class Poly:
    """`rate`, times the share of the run that is left, to the power of `power`: Caffe's "poly"."""

    rate: float
    power: float

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        return self.rate * (1 - n / steps) ** self.power


@dataclass(frozen=True)
class Warm:
    """Another schedule, of which the first `steps` steps are a straight rise from `first` to what it says at their end."""

    schedule: Schedule
    steps: int
    first: float = 0.0

    def __call__(self, n: int, steps: int, errors: Sequence[float] = ()) -> float:
        if n >= self.steps:
            return self.schedule(n, steps, errors)
        return self.first + (self.schedule(self.steps, steps, errors) - self.first) * n / self.steps


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
    """From scores (N, classes) and classes (N,), or shares of them (N, classes), to what training makes small, a mean over the batch."""

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy; `smoothing` is the share of the target that all classes have in common, `weights` what each class counts."""

    smoothing: float = 0.0
    weights: tuple[float, ...] = ()

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor:
        weight = scores.new_tensor(self.weights) if self.weights else None
        return cross_entropy(scores, target, weight, label_smoothing=self.smoothing)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """A question for each class, is it there? (Wightman et al. 2021, arXiv:2110.00476); the mean over the classes, or if `summed` the sum.

    Shares above `threshold`, if it is given, count as there. `smoothing` as in `CrossEntropy`.
    """

    smoothing: float = 0.0
    threshold: float | None = None
    summed: bool = False

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor:
        classes = scores.shape[1]
        share = one_hot(target, classes) if target.dim() == 1 else target
        share = share * (1 - self.smoothing) + self.smoothing / classes
        if self.threshold is not None:
            share = share > self.threshold
        loss = binary_cross_entropy_with_logits(scores, share.to(scores.dtype))
        return loss * classes if self.summed else loss


class Mix(Protocol):
    """From (N, C, H, W) and classes (N,) to pictures of which each is a blend of several, and their shares of the classes (N, classes)."""

    def __call__(self, x: Tensor, y: Tensor, classes: int, generator: Generator) -> tuple[Tensor, Tensor]: ...


class Prepare(Protocol):
    """What a fresh network is given before its first step, from the pictures that it will learn from."""

    def __call__(self, net: Net, batches: Batches | Crops) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Average:
    """The weights that are tested and kept are a mean of those that training went through, taken each `every` steps.

    With `decay` that is an exponential moving average, in which the n-th of the weights counts at most 9 / (10 + n); without, the plain
    mean (Polyak & Juditsky 1992) since the share `start` of the run.
    """

    decay: float | None
    every: int = 1
    start: float = 0.0


@dataclass(frozen=True)
class View:
    """How a test picture is seen: its shorter side scaled to `resize`, then the middle `crop` x `crop`."""

    resize: int
    crop: int


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What a recipe says besides when a network that has learned elsewhere is trained on pictures of one's own.

    The run's folder holds the weights that it begins with, start.safetensors; `weights` says where they came from. `drawn` is the
    seed of whatever split is drawn. With `held` the val pictures are not learned from but watched: training ends when their loss
    has not fallen for `patience` measurements, and the weights of the least loss are the run's. Without, the last ones are.
    `folds` above 0: train and val together are dealt out, and the run is judged by the `fold`-th part, counted from 0.
    `balance` is "weights" (in the loss) or "sampling" (rarer classes more often) against classes of unequal size, or "none".
    """

    weights: str
    classes: tuple[str, ...]
    drawn: int = 0
    held: bool = True
    patience: int = 5
    folds: int = 0
    fold: int = 0
    balance: str = "none"
    kept_norms: bool = False  # batch norms keep the statistics that they came with
    freeze: str = ""  # the last stage that does not learn

    def __post_init__(self) -> None:
        if self.balance not in ("none", "weights", "sampling"):
            raise Mistake(f"balance is {self.balance!r}; it must be none, weights or sampling.")
        if self.folds == 1 or not 0 <= self.fold < max(1, self.folds):
            raise Mistake(f"fold {self.fold} of {self.folds} does not exist; there must be at least 2, counted from 0.")


CHOICES = {"precision": ("float32", "bfloat16", "auto"), "layout": ("plain", "channels_last", "auto")}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a run depends on, but for its seed.

    `test` is the number of steps between two measurements of the test error, `threads` how many processor threads a
    step may use (None: all), `config` changes to the network's settings, and `published` the top-1 error in percent
    that the source reports, None where it reports none. `precision` is "float32" or "bfloat16" (in the products of a step, where
    torch's autocast has them), `layout` of pictures and maps in memory "plain" or "channels_last"; "auto" becomes whichever is faster
    when a run begins. `protocol` of testing is one of `convatlas.protocols`. `steps` are 0 where only the start is tested.

    With `crop` the pictures stay on the disk and each is cut anew by it whenever it is seen; without, they are in memory. `repeats` is
    how often a picture is taken in a row (Hoffer et al. 2019, arXiv:1901.09335). `mix` blends a batch's pictures and classes. `sizes`
    are (share of the run, height and width) from which on pictures come smaller or larger. `rest` leaves out what is known. A batch
    goes through the network in `accumulate` parts. `clip` bounds the gradient's norm. `average` and then `recalibrate`, a number of
    batches whose statistics the batch norms take, make the weights that are tested. `prepare` changes the fresh network before the
    first step. After the steps `kept` (0: none) the weights are kept in the run's folder, to see how features come about. `remembered`
    names the fields whose values were not read again in the source.
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
    precision: str = "float32"
    layout: str = "plain"
    protocol: str = "single view"
    tuning: Tuning | None = None
    crop: Cut | None = None
    repeats: int = 1
    mix: Mix | None = None
    sizes: tuple[tuple[float, int], ...] = ()
    rest: Rest | None = None
    accumulate: int = 1
    clip: float | None = None
    average: Average | None = None
    recalibrate: int = 0
    view: View | None = None
    prepare: Prepare | None = None
    kept: tuple[int, ...] = (0,)
    remembered: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "test", "threads", "repeats", "accumulate"):
            least = 0 if name == "steps" and self.tuning else 1
            if (value := getattr(self, name)) is not None and value < least:
                raise Mistake(f"recipe.{name} is {value}; it must be at least {least}.")
        if self.rest and (self.crop or self.mix or self.repeats * self.accumulate > 1):
            raise Mistake("recipe.rest is for whole batches in memory; leave out crop, mix, repeats and accumulate.")
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise Mistake(f"recipe.{name} is {getattr(self, name)!r}; it must be one of: {', '.join(known)}.")


from . import (  # noqa: E402  (the families' files need the words above)
    airbench,
    alexnet,
    densenet,
    efficientnet,
    googlenet,
    ladder,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nin,
    preresnet,
    resnet,
    resnext,
    senet,
    squeezenet,
    strikes_back,
    vgg,
    wide_resnet,
    xception,
    zfnet,
)

FAMILIES = (
    lenet,
    alexnet, zfnet, nin, vgg, googlenet,
    resnet, ladder, strikes_back, preresnet, wide_resnet, resnext, densenet, senet,
    squeezenet, xception, mobilenet_v1, mobilenet_v2, mobilenet_v3, efficientnet,
    airbench,
)  # fmt: skip
RECIPES = {name: recipe for family in FAMILIES for name, recipe in family.RECIPES.items()}
