"""Huang et al. 2016, "Densely Connected Convolutional Networks", section 5 and figure 5: which earlier layers a layer reads."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..mistake import Mistake
from ..models.densenet import DenseNet


def reuse(net: nn.Module) -> list[Tensor]:
    """For each dense block (sources, layers): the mean absolute weight with which a layer reads the block's input (row 0) and each layer
    before it (rows 1 and on), divided by the layer's largest; nan where there is nothing to read. Raises Mistake for other networks.
    """
    if not isinstance(net, DenseNet):
        raise Mistake(f"feature reuse is a picture of dense blocks; {type(net).__name__} has none.")
    found = []
    for _, block in net.features.named_children():
        layers = [first for child in block.children() if (first := reader(child)) is not None]
        if len(layers) > 1 and all(a.in_channels < b.in_channels for a, b in pairwise(layers)):
            growth, start = layers[1].in_channels - layers[0].in_channels, layers[0].in_channels
            heat = torch.full((len(layers), len(layers)), float("nan"))
            for n, conv in enumerate(layers):
                parts = conv.weight.detach().abs().mean((0, 2, 3)).split([start, *[growth] * n])
                heat[: n + 1, n] = torch.stack([part.mean() for part in parts])
            found.append(heat / heat.nan_to_num(0).amax(0))
    return found


def reader(layer: nn.Module) -> nn.Conv2d | None:
    """The first convolution of a dense layer, which reads all before it."""
    return next((part for part in layer.modules() if isinstance(part, nn.Conv2d)), None)
