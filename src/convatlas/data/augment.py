"""Augmentation of whole batches: each value here, called, changes (N, C, H, W) float pictures in 0..255, all at once."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample, pad


class Augment(Protocol):
    """`at` (2, N) int64 is each picture's place in the data set and how often it has been seen before; most values do not ask."""

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Shift:
    """Each picture moved by up to `pixels` pixels in each direction.

    From the edge comes `fill`, a value in 0..255 for each colour, or black; its mean picture is what papers mean that pad with zeros
    after they took the mean away.
    """

    pixels: int
    fill: tuple[float, ...] = ()

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        n, p = len(x), self.pixels
        edge = x.new_tensor(self.fill or (0.0,)).view(-1, 1, 1)
        windows = (pad(x - edge, (p, p, p, p)) + edge).unfold(2, x.shape[2], 1).unfold(3, x.shape[3], 1)
        down, right = torch.randint(2 * p + 1, (2, n), generator=generator)
        return windows[torch.arange(n), :, down, right]


@dataclass(frozen=True)
class Flip:
    """Each picture mirrored, left for right, with this chance."""

    chance: float = 0.5

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        turned = torch.rand(len(x), generator=generator) < self.chance
        return torch.where(turned.view(-1, 1, 1, 1), x.flip(3), x)


@dataclass(frozen=True)
class Crop:
    """A square of `size` pixels cut from each picture at a place drawn evenly; a side that is smaller stays as it is."""

    size: int

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        spare = [max(0, side - self.size) for side in x.shape[2:]]
        down, right = (torch.randint(s + 1, (len(x),), generator=generator).tolist() for s in spare)
        return torch.stack([p[:, i : i + self.size, j : j + self.size] for p, i, j in zip(x, down, right, strict=True)])


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
        return grid_sample(x, affine_grid(theta, list(x.shape), align_corners=False), mode="bilinear", align_corners=False)
