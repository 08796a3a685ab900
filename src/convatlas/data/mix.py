"""Pictures and their classes blended with those of the picture half a batch away: the order is drawn already.

The neighbour would not do: where a recipe repeats pictures, it is the same one. Each value, called with x (N, C, H, W), classes y (N,)
int64 and how many classes there are, gives new pictures and the shares of the classes in them, (N, classes), each row of sum 1.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from ..mistake import Mistake


class Mixer(Protocol):
    def __call__(self, x: Tensor, y: Tensor, classes: int, generator: Generator) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class Mixup:
    """Sums of two pictures, in shares that are drawn from Beta(alpha, alpha) for a batch (Zhang et al. 2017, arXiv:1710.09412)."""

    alpha: float

    def __call__(self, x: Tensor, y: Tensor, classes: int, generator: Generator) -> tuple[Tensor, Tensor]:
        own = beta(self.alpha, generator)
        return partners(x).mul_(1 - own).add_(x, alpha=own), shares(y, classes, own)


@dataclass(frozen=True)
class CutMix:
    """A box of each picture replaced by another picture's (Yun et al. 2019, arXiv:1905.04899), the same box in a batch.

    Its share of the area is drawn from Beta(alpha, alpha), its middle evenly; what reaches over the edge is cut off, and the classes'
    shares are those of the area that is left.
    """

    alpha: float

    def __call__(self, x: Tensor, y: Tensor, classes: int, generator: Generator) -> tuple[Tensor, Tensor]:
        height, width = x.shape[2:]
        half = 0.5 * (1 - beta(self.alpha, generator)) ** 0.5
        rows, columns = (stretch(side, half, generator) for side in (height, width))
        out = x.clone()
        out[:, :, rows, columns] = partners(x[:, :, rows, columns])
        return out, shares(y, classes, 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width))


@dataclass(frozen=True)
class OneOf:
    """One of `values` for each batch, drawn with these chances, or evenly; the rest to 1 is the chance that nothing is mixed."""

    values: tuple[Mixer, ...]
    chances: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.chances and (len(self.chances) != len(self.values) or min(self.chances) < 0 or sum(self.chances) > 1 + 1e-6):
            raise Mistake(
                f"chances of OneOf are {self.chances}; there must be one for each of {len(self.values)} values, 1 at most together."
            )

    def __call__(self, x: Tensor, y: Tensor, classes: int, generator: Generator) -> tuple[Tensor, Tensor]:
        chances = self.chances or (1 / len(self.values),) * len(self.values)
        draw = torch.rand((), generator=generator, dtype=torch.float64).item()
        for value, chance in zip(self.values, chances, strict=True):
            if draw < chance:
                return value(x, y, classes, generator)
            draw -= chance
        return x, shares(y, classes, 1.0)


def partners(rows: Tensor) -> Tensor:
    """What each row (N, ...) is blended with, in memory of its own."""
    return rows.roll(len(rows) // 2, 0)


def beta(alpha: float, generator: Generator) -> float:
    """A draw from Beta(alpha, alpha). torch's own has no way to be given a generator."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return np.random.default_rng(seed).beta(alpha, alpha)


def stretch(side: int, half: float, generator: Generator) -> slice:
    """The part of a side that is inside, of a stretch of twice `half` of it about a middle that is drawn."""
    middle, reach = int(torch.randint(side, (), generator=generator)), int(half * side)
    return slice(max(0, middle - reach), min(side, middle + reach))


def shares(y: Tensor, classes: int, own: float) -> Tensor:
    """(N, classes): `own` of the picture's class, the rest of its partner's."""
    whole = one_hot(y, classes).float()
    return partners(whole).mul_(1 - own).add_(whole, alpha=own)
