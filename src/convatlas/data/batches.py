"""Batches from pictures in memory. Which pictures make batch n, and how they are changed, follows from (seed, n) alone."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from .augment import Augment
from .pictures import Pictures

BLOCK = 2048  # pictures that are gathered, augmented and normalised together: large enough to cost little, small enough to stay in cache


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
        return (x.float() - mean) / std

    def __call__(self, x: Tensor) -> Tensor:
        return self.normalise(self.place(x))


@dataclass
class Order:
    """The endless row in which `count` pictures come: pass after pass, each pass in an order of its own that `seed` draws."""

    count: int
    seed: int
    drawn: tuple[int, Tensor] = field(init=False, default=(-1, torch.empty(0)))

    def rows(self, start: int, count: int) -> Tensor:
        """Which pictures stand at places `start` to `start + count` of the endless row."""
        taken = []
        while count:
            pass_, at = divmod(start, self.count)
            if self.drawn[0] != pass_:
                self.drawn = pass_, torch.randperm(self.count, generator=generator(self.seed, pass_))
            piece = self.drawn[1][at : at + count]
            taken.append(piece)
            start, count = start + len(piece), count - len(piece)
        return torch.cat(taken)


@dataclass
class Batches:
    """An endless row of batches, `batches[n]`, each (batch, C, H, W) float and (batch,) int64.

    The pictures come pass after pass, each pass in an order of its own; a batch may reach from one pass into the next,
    so that in n passes every picture is seen n times. Reading `batches[n]` for growing n is fast, for any n is possible.
    """

    pictures: Pictures
    batch: int
    seed: int
    preprocess: Preprocess
    augment: tuple[Augment, ...] = ()
    block: tuple[int, Tensor, Tensor] = field(init=False, default=(-1, torch.empty(0), torch.empty(0)))

    def __post_init__(self) -> None:
        self.x = self.preprocess.place(self.pictures.x)
        self.order = Order(len(self.pictures), self.seed)
        self.per_block = max(1, BLOCK // self.batch) * self.batch

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        number, start = divmod(n * self.batch, self.per_block)
        if self.block[0] != number:
            self.block = number, *self.make(number)
        _, x, y = self.block
        return x[start : start + self.batch], y[start : start + self.batch]

    def make(self, number: int) -> tuple[Tensor, Tensor]:
        """Block `number` of the row: pictures as the network takes them, and their classes."""
        rows = self.order.rows(number * self.per_block, self.per_block)
        x = self.x[rows].float()
        for n, augment in enumerate(self.augment):
            x = augment(x, generator(self.seed, number, n))
        return self.preprocess.normalise(x), self.pictures.y[rows]


def generator(*key: int) -> torch.Generator:
    """A random generator that depends on the numbers of `key` and on nothing else."""
    (seed,) = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seed >> 1))
