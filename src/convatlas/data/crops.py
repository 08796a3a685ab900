"""Batches of random crops from pictures on the disk: read, decoded, cropped and resized as bytes by threads, normalised together.

A crop and what augmentation makes of it follow from (seed, pass, row) alone: from the picture's place in the data set, and from how
often it has been seen. So any number of threads, and of processes that share a batch, gives the same pictures.
"""

import os
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import exp, log, sqrt
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..mistake import Mistake
from .augment import Augment
from .batches import Cut, Order, Preprocess, generator
from .listed import Listed


@dataclass(frozen=True, kw_only=True)
class RandomResizedCrop:
    """A part of a picture, stretched to `size` x `size`, as Szegedy et al. 2014 (section 6) cut them and torchvision draws them.

    `scale` bounds the part's share of the area, drawn evenly; `ratio` bounds width / height, drawn evenly in its logarithm;
    `flip` is the share of crops that are mirrored. A part that does not fit is drawn again, ten times at most; then the
    middle is taken, cut to the bounds of `ratio`.
    """

    size: int = 224
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5

    def box(self, height: int, width: int, draw: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of a part of a picture of that height and width."""
        low, high = log(self.ratio[0]), log(self.ratio[1])
        for share, stretch, down, right in draw.random((10, 4)).tolist():
            area = height * width * (self.scale[0] + share * (self.scale[1] - self.scale[0]))
            aspect = exp(low + stretch * (high - low))
            w, h = round(sqrt(area * aspect)), round(sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                return int(down * (height - h + 1)), int(right * (width - w + 1)), h, w
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (height - h) // 2, (width - w) // 2, h, w


def start(draw: np.random.Generator, key: tuple[int, int], counter: tuple[int, int, int, int]) -> None:
    """Makes `draw` what `Generator(Philox(key=key, counter=counter))` is; to make one takes a twentieth of a picture's time."""
    draw.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {"key": key, "counter": counter},
        "buffer": (0, 0, 0, 0),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }


@dataclass
class Crops:
    """An endless row of batches, `crops[n]`, each (batch, 3, size, size) float and (batch,) int64, of a set that stays on the disk.

    As `Batches`, of which it keeps the order and the shares of several processes, each of which reads only its own; `threads` (all
    cores by default) make the batches that come next while this one is in use. Augmentation sees one picture at a time. A picture
    that cannot be read is told in `listed.problems`, and the next one that can stands in for it. Raises Mistake where no picture
    can be read.
    """

    listed: Listed
    batch: int
    seed: int
    preprocess: Preprocess
    crop: Cut = RandomResizedCrop()
    augment: tuple[Augment, ...] = ()
    repeats: int = 1
    threads: int | None = None
    ahead: int = 2  # batches
    rank: int = 0
    ranks: int = 1
    device: torch.device = torch.device("cpu")
    making: dict[int, list[Future[None]]] = field(init=False, default_factory=dict)
    made: dict[int, tuple[Tensor | list[Tensor], Tensor]] = field(init=False, default_factory=dict)
    free: dict[Any, list[NDArray[Any]]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.listed):
            raise Mistake("there are no pictures to take crops from.")
        self.order = Order(len(self.listed), self.seed, self.repeats)
        self.share = slice(self.batch * self.rank // self.ranks, self.batch * (self.rank + 1) // self.ranks)
        self.count = os.cpu_count() or 1 if self.threads is None else self.threads
        self.pool = ThreadPoolExecutor(self.count) if self.count else None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.listed.classes

    @cached_property
    def whole(self) -> Self:
        """The same batches, of which nobody else has a share."""
        return self if self.ranks == 1 else replace(self, rank=0, ranks=1)

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        for old in [k for k in self.making if not n <= k <= n + self.ahead]:
            for future in self.making.pop(old):
                future.cancel()
            del self.made[old]
        for k in range(n, n + 1 + (self.ahead if self.pool else 0)):
            if k not in self.making:
                self.begin(k)
        for future in self.making.pop(n):
            future.result()
        x, y = self.made.pop(n)
        x = torch.stack(x) if isinstance(x, list) else self.normalised(x)
        return x.to(self.device), y.to(self.device)

    def normalised(self, x: Tensor) -> Tensor:
        """What `preprocess.normalise` gives, to the bit, a picture at a time: it stays in the cache, and its rows are long."""
        rows = x.permute(0, 2, 3, 1).flatten(2)
        mean, std = (torch.tensor(v).mul(255).repeat(x.shape[3]) for v in (self.preprocess.mean, self.preprocess.std))
        out = self.recycled(tuple(rows.shape), np.dtype(np.float32))
        for into, row in zip(out, rows, strict=True):
            into.copy_(row).sub_(mean).div_(std)
        return out.view(*rows.shape[:2], -1, x.shape[1]).permute(0, 3, 1, 2)

    def recycled(self, shape: tuple[int, ...], kind: np.dtype[Any]) -> Tensor:
        """Memory for a batch: that of an earlier one once nothing looks at it any more, as fresh memory costs more than the sums."""
        free = self.free.setdefault((shape, kind.name), [])
        held = free.pop() if free else np.empty(shape, kind)
        lent = held.view()  # lives as long as any tensor that shares the memory
        weakref.finalize(lent, free.append, held).atexit = False
        return torch.from_numpy(lent)

    def begin(self, n: int) -> None:
        """Starts batch n: its pictures are shared out among the threads, or made here where there are none."""
        at = self.order.rows(n * self.batch, self.batch)[:, self.share]
        rows, seen = at.tolist()
        x, y = self.room(len(rows)), torch.empty(len(rows), dtype=torch.int64)
        self.made[n] = x, y

        def some(first: int) -> None:
            draw = np.random.Generator(np.random.Philox(0))
            for i in range(first, len(rows), max(1, self.count)):
                start(draw, (self.seed, seen[i]), (0, 0, rows[i], 0))
                picture, y[i] = self.one(rows[i], draw)
                x[i] = self.changed(picture, at[:, i : i + 1]) if self.augment else picture

        if self.pool:
            self.making[n] = [self.pool.submit(some, first) for first in range(self.count)]
        else:
            some(0)
            self.making[n] = []

    def room(self, count: int) -> Tensor | list[Tensor]:
        """A place for as many pictures: as bytes, or if they are augmented, after which each may have any size, as whatever they become."""
        if self.augment:
            return [torch.empty(0)] * count
        return self.recycled((count, self.crop.size, self.crop.size, 3), np.dtype(np.uint8)).permute(0, 3, 1, 2)

    def changed(self, picture: Tensor, at: Tensor) -> Tensor:
        """A picture augmented and normalised; `at` (2, 1) as augmentation is told it."""
        x, (row, seen) = picture[None].float(), at[:, 0].tolist()
        for number, augment in enumerate(self.augment):
            x = augment(x, generator(self.seed, seen, row, number), at)
        return self.preprocess.normalise(x)[0]

    def one(self, row: int, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
        """A crop of a picture as `draw` has it, or of the next picture that can be read."""
        mirrored = draw.random() < self.crop.flip
        for i in range(row, row + len(self.listed)):
            at = i % len(self.listed)
            x = self.listed.attempt(at, lambda at: self.listed.read_part(at, lambda h, w: self.crop.box(h, w, draw), self.crop.size))
            if x is not None:
                return x.flip(2) if mirrored else x, self.listed.y[at]
        raise Mistake(f"none of the {len(self.listed):,} pictures can be read; the first: {next(iter(self.listed.problems.values()), '')}")
