"""Luo et al. 2016, "Understanding the Effective Receptive Field in Deep CNNs", section 3: what a unit looks at."""

import torch
from torch import Tensor, nn

from .what import as_maps, given, gradient


def receptive(net: nn.Module, layer: str, x: Tensor) -> Tensor:
    """(H, W), at most 1: how strongly the middle unit of a layer's maps depends on each pixel: the size of the
    gradient of its maps' sum, the mean over pictures x.
    """

    def middle(net: nn.Module, x: Tensor) -> Tensor:
        maps = as_maps(given(net, x, layer), layer)
        return maps[:, :, maps.shape[2] // 2, maps.shape[3] // 2].sum(1)

    found = gradient(net, x, middle).abs().mean((0, 1))
    return found / found.max().clamp(min=torch.finfo(found.dtype).tiny)


def effective(found: Tensor, least: float = 0.0455) -> float:
    """The side of a square as large as the part of the field that depends by more than `least`, Luo's 1 - 95.45 %."""
    return float((found > least).sum()) ** 0.5
