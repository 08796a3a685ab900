"""Augmentation of whole batches: each value here, called, changes (N, C, H, W) float pictures in 0..255, all at once."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor
from torch.nn.functional import grid_sample, pad

from ..mistake import Mistake


class Augment(Protocol):
    """`at` (2, N) int64 is each picture's place in the data set and how often it has been seen before; most values do not ask."""

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Shift:
    """Each picture moved by up to `pixels` pixels in each direction.

    From the edge comes `fill`, a value in 0..255 for each colour, or black; its mean picture is what papers mean that pad with zeros
    after they took the mean away. With `reflect` comes what the edge mirrors.
    """

    pixels: int
    fill: tuple[float, ...] = ()
    reflect: bool = False

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        p = self.pixels
        down, right = torch.randint(2 * p + 1, (2, len(x)), generator=generator)
        if self.reflect:
            return cut(pad(x, (p, p, p, p), mode="reflect"), down, right, *x.shape[2:])
        return self.moved(x, down, right, x.new_tensor(self.fill or (0.0,)).view(-1, 1, 1))

    def moved(self, x: Tensor, down: Tensor, right: Tensor, edge: Tensor) -> Tensor:
        """Each map is read as one stretch of memory that begins early or late; what is not its own is then made `edge`."""
        (n, maps, height, width), p = x.shape, self.pixels
        spare = p * width + p
        memory = x.new_zeros(spare + x.numel() + spare)
        torch.sub(x, edge, out=memory[spare : spare + x.numel()].view(x.shape))
        starts = torch.arange(n * maps) * height * width + (down * width + right).repeat_interleave(maps)
        out = memory.unfold(0, height * width, 1).index_select(0, starts).view(x.shape)
        return out.mul_(box(x, p - down, p - right, height, width)).add_(edge)


def cut(x: Tensor, down: Tensor, right: Tensor, height: int, width: int) -> Tensor:
    """Of each picture the window whose top left corner is at (down, right), both (N,) int64: (N, C, height, width)."""
    n, maps, rows, columns = x.shape
    length = (height - 1) * columns + width  # from a window's first value in memory to its last
    starts = torch.arange(n * maps) * rows * columns + (down * columns + right).repeat_interleave(maps)
    stretches = x.flatten().unfold(0, length, 1).index_select(0, starts)
    return stretches.as_strided((n, maps, height, width), (maps * length, length, columns, 1))


def box(x: Tensor, top: Tensor, left: Tensor, height: Tensor | int, width: Tensor | int) -> Tensor:
    """(N, 1, H, W) of x's kind: 1 where in each picture of x lies the box with these sides (N,), as far as it is inside, else 0."""

    def within(side: int, first: Tensor, length: Tensor | int) -> Tensor:
        return ((torch.arange(side) >= first[:, None]) & (torch.arange(side) < (first + length)[:, None])).to(x.dtype)

    return (within(x.shape[2], top, height)[:, :, None] * within(x.shape[3], left, width)[:, None, :])[:, None]


@dataclass(frozen=True)
class Flip:
    """Each picture mirrored, left for right, with this chance."""

    chance: float = 0.5

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        return flipped(x, torch.rand(len(x), generator=generator) < self.chance)


@dataclass(frozen=True)
class AlternatingFlip:
    """Each picture mirrored, left for right, in every other pass (Jordan 2024, arXiv:2404.00498).

    Whether in the even or the odd ones is a hash of its place in the data set, the same for all seeds. Raises Mistake where no
    places are told.
    """

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        if at is None:
            raise Mistake("AlternatingFlip has to know how often a picture was seen, which is not told here; use Flip.")
        place, seen = at
        mixed = (place + 1) * 0x9E3779B1 & 0xFFFFFFFF  # by constants of xxHash32
        mixed = (mixed ^ mixed >> 15) * 0x85EBCA77 & 0xFFFFFFFF
        return flipped(x, ((mixed >> 16) + seen) % 2 == 1)


def flipped(x: Tensor, which: Tensor) -> Tensor:
    """x with the pictures mirrored that `which` (N,) bool says: a sum of which one part is 0, in half the time of `where`."""
    mirrored = which.to(x.dtype).view(-1, 1, 1, 1)
    return x.flip(3).mul_(mirrored).addcmul_(x, 1 - mirrored)


@dataclass(frozen=True)
class Cutout:
    """A square of `size` pixels, its middle anywhere in the picture, covered with `fill` (DeVries & Taylor 2017, arXiv:1708.04552).

    `fill` is a value in 0..255 for each colour, or black; the paper's is the mean picture.
    """

    size: int
    fill: tuple[float, ...] = ()

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        top, left = (torch.randint(side, (len(x),), generator=generator) - self.size // 2 for side in x.shape[2:])
        return torch.where(box(x, top, left, self.size, self.size).bool(), x.new_tensor(self.fill or (0.0,)).view(-1, 1, 1), x)


@dataclass(frozen=True, kw_only=True)
class Erase:
    """With this chance a part of a picture is covered, random erasing (Zhong et al. 2017, arXiv:1708.04896).

    `scale` bounds the part's share of the area, drawn evenly; `ratio` bounds height / width, drawn evenly in its logarithm. A part
    that does not fit is drawn again, ten times in all; then the picture stays. What covers it is `fill`, a value in 0..255 for
    each colour, or if that is None values that are drawn evenly, which the paper found best.
    """

    chance: float = 0.5
    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    fill: tuple[float, ...] | None = None

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        n, rows, columns = len(x), x.shape[2], x.shape[3]
        chosen = torch.rand(n, generator=generator) < self.chance
        share, stretch = torch.rand(2, 10, n, generator=generator, dtype=torch.float64)
        area = rows * columns * (self.scale[0] + share * (self.scale[1] - self.scale[0]))
        aspect = self.ratio[0] * (self.ratio[1] / self.ratio[0]) ** stretch
        sides = torch.stack([(area * aspect).sqrt().round(), (area / aspect).sqrt().round()])
        fits = (sides[0] < rows) & (sides[1] < columns)
        height, width = sides[:, fits.int().argmax(0), torch.arange(n)].long()
        down, right = torch.rand(2, n, generator=generator, dtype=torch.float64)
        top, left = (down * (rows - height + 1)).long(), (right * (columns - width + 1)).long()
        which = chosen & fits.any(0)
        hole = box(x, top, left, height, width)[which].bool()
        out = x.clone()
        noise = torch.rand(out[which].shape, generator=generator) * 255 if self.fill is None else x.new_tensor(self.fill).view(-1, 1, 1)
        out[which] = torch.where(hole, noise, x[which])
        return out


@dataclass(frozen=True)
class Crop:
    """A square of `size` pixels cut from each picture at a place drawn evenly; a side that is smaller stays as it is."""

    size: int

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        spare = [max(0, side - self.size) for side in x.shape[2:]]
        down, right = (torch.randint(s + 1, (len(x),), generator=generator) for s in spare)
        return cut(x, down, right, x.shape[2] - spare[0], x.shape[3] - spare[1])


@dataclass(frozen=True, kw_only=True)
class Affine:
    """Small planar distortions, each drawn evenly from minus to plus its bound; LeCun et al. 1998, section III-A.

    `translate` in pixels; `scale` of both sides, `squeeze` of one side while the other stretches, `shear` of rows
    against each other and `rotate` in radians. `chance` is the share of pictures that are distorted at all.
    """

    translate: float = 0.0
    scale: float = 0.0
    squeeze: float = 0.0
    shear: float = 0.0
    rotate: float = 0.0
    chance: float = 1.0

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        n, height, width = len(x), x.shape[2], x.shape[3]
        draw = torch.rand(7, n, generator=generator)
        down, right, scale, squeeze, shear, turn = draw[:6] * 2 - 1
        sx = torch.exp(scale * self.scale + squeeze * self.squeeze)
        sy = torch.exp(scale * self.scale - squeeze * self.squeeze)
        cos, sin = torch.cos(turn * self.rotate), torch.sin(turn * self.rotate)
        k = shear * self.shear
        # Rows of the inverse map, from a place in the new picture to one in the old, both in -1..1.
        theta = torch.stack([
            torch.stack([cos * sx, (k * cos - sin) * sx, right * self.translate * 2 / width], 1),
            torch.stack([sin * sy, (k * sin + cos) * sy, down * self.translate * 2 / height], 1),
        ], 1)  # fmt: skip
        still = draw[6] >= self.chance
        theta[still] = torch.eye(2, 3)
        across, along = ((2 * torch.arange(side) + 1) / side - 1 for side in (width, height))
        by_x, by_y, shift = theta[..., None, None].unbind(2)
        places = (shift + by_y * along[:, None] + by_x * across).permute(0, 2, 3, 1)
        return grid_sample(x, places, mode="bilinear", align_corners=False)
