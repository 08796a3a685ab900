"""Huang et al. 2016, "Densely Connected Convolutional Networks", section 5 and figure 5: which earlier layers a layer reads."""

from itertools import count, takewhile

import torch
from torch import Tensor, nn

from ..mistake import Mistake
from ..models.densenet import DenseNet


def reuse(net: nn.Module) -> list[Tensor]:
    """For each dense block (sources, layers + 1): the mean absolute weight with which a layer, and in the last column the transition or
    classifier behind the block, reads the block's input (row 0) and each of its layers (rows 1 and on); nan where there is nothing to
    read. Raises Mistake for other networks.
    """
    if not isinstance(net, DenseNet):
        raise Mistake(f"feature reuse is a picture of dense blocks; {type(net).__name__} has none.")
    found, parts = [], dict(net.features.named_children())
    for n in takewhile(lambda n: f"dense{n}" in parts, count(1)):
        block = parts[f"dense{n}"]
        readers = [reader(layer) for layer in [*block.children(), parts.get(f"transition{n}", net.head)]]
        start, growth = readers[0].shape[1], readers[1].shape[1] - readers[0].shape[1]
        heat = torch.full((len(readers), len(readers)), float("nan"))
        for column, weight in enumerate(readers):
            read = weight.detach().abs().flatten(2).mean((0, 2)).split([start, *[growth] * column])
            heat[: column + 1, column] = torch.stack([part.mean() for part in read])
        found.append(heat)
    return found


def reader(layer: nn.Module) -> Tensor:
    """The weights (out, in, ...) of a layer's first convolution or linear map, which read all that is before it."""
    weight = next(part.weight for part in layer.modules() if isinstance(part, nn.Conv2d | nn.Linear))
    return weight if weight.ndim == 4 else weight[:, :, None]
