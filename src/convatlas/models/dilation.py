"""Denser maps from the same weights: later strides become dilations (the "hole algorithm", Chen et al. 2014, arXiv:1412.7062).

A layer that had `j` pixels of the picture between the units it reads, and now has fewer, looks at every second or fourth of them.
So each unit that was there still reads what it read, to the rim of the picture, and says the same; between them stand new ones.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from ..analysis import analyse, side

if TYPE_CHECKING:
    from .net import Net

SIDE = 224  # pixels of the pictures that the strides are read off with; they do not depend on it
STRIDES = (8, 16, 32)


class DilatedMaxPool2d(nn.Module):
    """The largest of kernel_size x kernel_size units that stand `dilation` apart, around every unit.

    Windows reach `padding` units beyond the upper and left edge and `over` beyond the others, as those of `ceil_mode` do. PyTorch's
    own pool takes no padding that is wider than half of a kernel without holes.
    """

    stride = 1

    def __init__(self, kernel_size: int, dilation: int, padding: int, over: int):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.over = kernel_size, dilation, padding, over

    def forward(self, x: Tensor) -> Tensor:
        x = pad(x, (self.padding, self.over, self.padding, self.over), value=-torch.inf)
        return max_pool2d(x, self.kernel_size, 1, 0, self.dilation)


class DilatedAvgPool2d(nn.Module):
    """The mean of kernel_size x kernel_size units that stand `dilation` apart, around every unit that has them all."""

    stride, padding = 1, 0

    def __init__(self, kernel_size: int, dilation: int):
        super().__init__()
        self.kernel_size, self.dilation = kernel_size, dilation

    def forward(self, x: Tensor) -> Tensor:
        for dim in (2, 3):
            left = x.shape[dim] - self.dilation * (self.kernel_size - 1)
            x = sum(x.narrow(dim, i * self.dilation, left) for i in range(1, self.kernel_size)) + x.narrow(dim, 0, left)
        return x / self.kernel_size**2


def dilate(net: "Net", output_stride: int) -> None:
    if output_stride not in STRIDES:
        raise ValueError(f"an output stride is one of {', '.join(map(str, STRIDES))}, not {output_stride}")
    first = next(layer for layer in net.features.modules() if isinstance(layer, nn.Conv2d))
    rows = analyse(net.features, SIDE, first.in_channels).layers
    layers = [(row, net.features.get_submodule(row.name)) for row in rows if row.kind != "function"]
    strided = [(row.name, layer, row.jump) for row, layer in layers if hasattr(layer, "kernel_size") and hasattr(layer, "stride")]
    if max(row.jump for row in rows) < output_stride and any(side(getattr(layer, "dilation", 1)) > 1 for _, layer, _ in strided):
        raise ValueError(f"this network was dilated already and cannot go back to an output stride of {output_stride}; build it anew")
    for name, layer, jump in strided:
        stride, hole = side(layer.stride), side(getattr(layer, "dilation", 1))
        was = jump // stride * hole  # pixels between the units that it read as published
        reset(net.features, name, layer, min(was * stride, output_stride) // min(was, output_stride), max(1, was // output_stride))


def reset(features: nn.Module, name: str, layer: Any, stride: int, dilation: int) -> None:
    """Gives the layer this stride and dilation; a pool that cannot have them makes room for one that can."""
    old, hole = side(layer.stride), side(getattr(layer, "dilation", 1))
    if (stride, dilation) == (old, hole) or (stride == old and side(layer.kernel_size) == 1):
        return
    k, padding = side(layer.kernel_size), side(getattr(layer, "padding", 0)) // hole * dilation
    if (new := pool(layer, k, dilation, padding)) is None:
        layer.stride = (stride,) * 2 if isinstance(layer.stride, tuple) else stride
        if k > 1:
            layer.padding, layer.dilation = (padding, padding), (dilation, dilation)
    else:
        parent, _, last = name.rpartition(".")
        setattr(features.get_submodule(parent), last, new.train(layer.training))


def pool(layer: nn.Module, k: int, dilation: int, padding: int) -> nn.Module | None:
    """The pool of stride 1 that takes the layer's place, if that is a pool."""
    match layer:
        case nn.MaxPool2d():
            return DilatedMaxPool2d(k, dilation, padding, padding + layer.ceil_mode * (side(layer.stride) - 1) * dilation)
        case DilatedMaxPool2d():
            return DilatedMaxPool2d(k, dilation, padding, layer.over // layer.dilation * dilation)
        case nn.AvgPool2d() | DilatedAvgPool2d():
            return DilatedAvgPool2d(k, dilation)
    return None
