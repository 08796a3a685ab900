"""Batches from pictures in memory. Which pictures make batch n, and how they are changed, follows from (seed, n) alone."""

from dataclasses import InitVar, dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from .augment import Augment
from .pictures import Pictures

BLOCK = 2048 * 32 * 32  # values that are gathered, augmented and normalised together: enough to cost little, few enough to stay in cache


class Cut(Protocol):
    """Which part of a picture is stretched to `size` x `size`; `flip` is the share of parts that are mirrored."""

    @property
    def size(self) -> int: ...

    @property
    def flip(self) -> float: ...

    def box(self, height: int, width: int, draw: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of a part of a picture of that height and width."""
        ...


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """From (N, C, H, W) uint8 to the float that a network takes: padded with black to `size`, then (x / 255 - mean) / std."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def place(self, x: Tensor) -> Tensor:
        down, right = self.size - x.shape[2], self.size - x.shape[3]
        return pad(x, (right // 2, right - right // 2, down // 2, down - down // 2)) if down > 0 or right > 0 else x

    def normalise(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(v).view(-1, 1, 1) * 255 for v in (self.mean, self.std))
        return x.sub(mean).div_(std)

    def __call__(self, x: Tensor) -> Tensor:
        return self.normalise(self.place(x))


@dataclass
class Order:
    """The endless row in which `count` pictures come: pass after pass, each in an order of its own that `seed` draws.

    Each picture comes `repeats` times in a row.
    """

    count: int
    seed: int
    repeats: int = 1
    drawn: tuple[int, Tensor] = field(init=False, default=(-1, torch.empty(0)))

    def rows(self, start: int, count: int) -> Tensor:
        """(2, count): which pictures stand at places `start` to `start + count` of the endless row, and how often they did before."""
        first, last = start // self.repeats, -(-(start + count) // self.repeats)
        taken = []
        while first < last:
            pass_, at = divmod(first, self.count)
            if self.drawn[0] != pass_:
                self.drawn = pass_, torch.randperm(self.count, generator=generator(self.seed, pass_))
            piece = self.drawn[1][at : at + last - first]
            taken.append(piece)
            first += len(piece)
        places = torch.arange(start, start + count)
        rows = torch.cat(taken).repeat_interleave(self.repeats)[start % self.repeats :][:count]
        return torch.stack([rows, places // self.repeats // self.count * self.repeats + places % self.repeats])

    def heard(self, rows: Tensor, losses: Tensor) -> None:
        """What the losses of these pictures were, both (N,). This order does not mind."""

    def state(self) -> dict[str, Any]:
        """What it takes, besides the seed, to go on in the same order: here nothing."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Makes a fresh order go on as the one that gave this state."""


@dataclass
class Batches:
    """An endless row of batches, `batches[n]`, each (batch, C, H, W) float and (batch,) int64.

    The pictures come pass after pass, each pass in an order of its own; a batch may reach from one pass into the next,
    so that in n passes every picture is seen n times, unless an `other` order is given.
    Reading `batches[n]` for growing n is fast, for any n is possible.
    With `among` (M,) int64 a pass goes through these places in `pictures`, of which some may stand there more than once.
    Of several processes that train together, each with its `rank` in 0..ranks-1, each is given its share of the same batch,
    on its `device`.
    """

    pictures: Pictures
    batch: int
    seed: int
    preprocess: Preprocess
    augment: tuple[Augment, ...] = ()
    among: Tensor | None = None
    repeats: int = 1
    rank: int = 0
    ranks: int = 1
    device: torch.device = torch.device("cpu")
    other: InitVar[Order | None] = None
    order: Order = field(init=False)
    block: tuple[int, Tensor, Tensor, Tensor] = field(init=False, default=(-1, torch.empty(0), torch.empty(0), torch.empty(0)))

    def __post_init__(self, other: Order | None) -> None:
        self.x = self.preprocess.place(self.pictures.x)
        self.order = other or Order(len(self.pictures) if self.among is None else len(self.among), self.seed, self.repeats)
        blocked = 1 if other else BLOCK // (self.x[0].numel() * self.batch)  # an order of its own may hang on the batch before
        self.per_block = max(1, blocked) * self.batch
        self.share = slice(self.batch * self.rank // self.ranks, self.batch * (self.rank + 1) // self.ranks)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.pictures.classes

    @cached_property
    def whole(self) -> Self:
        """The same batches, of which nobody else has a share."""
        return self if self.ranks == 1 else replace(self, rank=0, ranks=1)

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        number, start = divmod(n * self.batch, self.per_block)
        if self.block[0] != number:
            self.block = number, *self.make(number)
        x, y = (held[start : start + self.batch][self.share] for held in self.block[2:])
        return x.to(self.device), y.to(self.device)

    def heard(self, losses: Tensor) -> None:
        """What the loss of each picture was of the batch that was read last: the order may want to know."""
        self.order.heard(self.block[1], losses)

    def make(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Block `number` of the row: which pictures, these as the network takes them, and their classes."""
        start = number * self.per_block
        at = self.order.rows(start, self.per_block)
        rows = at[0] if self.among is None else self.among[at[0]]
        x = self.x.index_select(0, rows).float()
        for n, augment in enumerate(self.augment):
            x = augment(x, generator(self.seed, number, n), at)
        return at[0], self.preprocess.normalise(x), self.pictures.y[rows]


def generator(*key: int) -> torch.Generator:
    """A random generator that depends on the numbers of `key` and on nothing else."""
    (seed,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed >> 1))
