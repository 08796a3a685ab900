"""Local response normalisation (Krizhevsky et al. 2012, section 3.3) in the parts that a convolution computes it by.

x / (k + alpha / size * the sum of x^2 over `size` maps around each) ^ beta: that sum is a 1x1 convolution by a band of ones, so that
the whole takes fewer passes over the maps than the seven of torch.
"""

import torch
from torch import Tensor, nn


class Banded(nn.Module):
    """`norm` for so many `maps`, in float64: made for other types, its numbers are rounded once."""

    def __init__(self, norm: nn.LocalResponseNorm, maps: int):
        super().__init__()
        self.around, self.beta = nn.Conv2d(maps, maps, 1, dtype=torch.float64).requires_grad_(False), norm.beta
        self.around.weight.copy_(band(self.around.weight, norm.size) * (norm.alpha / norm.size))
        self.around.bias.fill_(norm.k)  # pyright: ignore[reportOptionalMemberAccess]: it has one

    def forward(self, x: Tensor) -> Tensor:
        return inverse_power(self.around(x.square()), self.beta).mul_(x)


def band(x: Tensor, size: int) -> Tensor:
    """The weights (C, C, 1, 1) by which a convolution sums `size` maps around each of those of x (N, C, ...), as torch places them."""
    maps = torch.arange(x.shape[1], device=x.device)
    first = maps[:, None] - size // 2
    return ((first <= maps) & (maps < first + size)).to(x.dtype)[:, :, None, None]


def inverse_power(u: Tensor, beta: float) -> Tensor:
    """u ^ -beta."""
    if beta == 0.75:  # everybody's
        root = u.rsqrt()
        return root.sqrt().mul_(root)
    return u.pow(-beta)
