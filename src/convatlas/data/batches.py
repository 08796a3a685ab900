"""Batches from pictures in memory. Which pictures make batch n, and how they are changed, follows from (seed, n) alone."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol, Self

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
        """Which pictures stand at places `start` to `start + count` of the endless row."""
        first, last = start // self.repeats, -(-(start + count) // self.repeats)
        taken = []
        while first < last:
            pass_, at = divmod(first, self.count)
            if self.drawn[0] != pass_:
                self.drawn = pass_, torch.randperm(self.count, generator=generator(self.seed, pass_))
            piece = self.drawn[1][at : at + last - first]
            taken.append(piece)
            first += len(piece)
        rows = torch.cat(taken)
        return rows if self.repeats == 1 else rows.repeat_interleave(self.repeats)[start % self.repeats :][:count]

    def seen(self, start: int, count: int) -> Tensor:
        """How often each of these pictures has stood in the row before."""
        places = torch.arange(start, start + count)
        return places // self.repeats // self.count * self.repeats + places % self.repeats


@dataclass
class Batches:
    """An endless row of batches, `batches[n]`, each (batch, C, H, W) float and (batch,) int64.

    The pictures come pass after pass, each pass in an order of its own; a batch may reach from one pass into the next,
    so that in n passes every picture is seen n times. Reading `batches[n]` for growing n is fast, for any n is possible.
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
    block: tuple[int, Tensor, Tensor] = field(init=False, default=(-1, torch.empty(0), torch.empty(0)))

    def __post_init__(self) -> None:
        self.x = self.preprocess.place(self.pictures.x)
        self.order = Order(len(self.pictures) if self.among is None else len(self.among), self.seed, self.repeats)
        self.per_block = max(1, BLOCK // (self.x[0].numel() * self.batch)) * self.batch
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
        x, y = (held[start : start + self.batch][self.share] for held in self.block[1:])
        return x.to(self.device), y.to(self.device)

    def make(self, number: int) -> tuple[Tensor, Tensor]:
        """Block `number` of the row: pictures as the network takes them, and their classes."""
        start = number * self.per_block
        rows = self.order.rows(start, self.per_block)
        at = torch.stack([rows, self.order.seen(start, self.per_block)])
        rows = rows if self.among is None else self.among[rows]
        x = self.x.index_select(0, rows).float()
        for n, augment in enumerate(self.augment):
            x = augment(x, generator(self.seed, number, n), at)
        return self.preprocess.normalise(x), self.pictures.y[rows]


def generator(*key: int) -> torch.Generator:
    """A random generator that depends on the numbers of `key` and on nothing else."""
    (seed,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed >> 1))
