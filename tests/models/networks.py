"""What the tests of several families ask of a network by its name. Nothing takes memory: all of it stands on the meta device."""

from math import prod

import torch
from torch import nn

from convatlas.analysis import Analysis, analyse
from convatlas.check import analysis
from convatlas.models import build
from convatlas.models.net import Net


def shell(name: str, **changes: object) -> Net:
    with torch.device("meta"):
        return build(name, **changes)


def parts(name: str, kind: type[nn.Module], **changes: object) -> list:
    """Its modules of one kind, in the order in which a picture meets them."""
    return [module for module in shell(name, **changes).modules() if isinstance(module, kind)]


def counted(name: str, **changes: object) -> tuple[int, int]:
    """Parameters and multiply-accumulates."""
    cost = analyse(shell(name, **changes))
    return cost.parameters, cost.macs


def sides(model: str, size: int | None = None) -> list[int]:
    """How wide the maps are that leave each child of the features."""
    last = {x.name.split(".")[1]: x.shape for x in analysis(model, size).layers if x.name.startswith("features")}
    return [shape[-1] for shape in last.values()]


def numbers(cost: Analysis, *kinds: str) -> int:
    """How many come out of all layers of these kinds."""
    return sum(layer.activations for layer in cost.layers if layer.kind in kinds)


def averaged(cost: Analysis) -> list[int]:
    """How many numbers each average over whole maps reads."""
    return [prod(layer.given) for layer in cost.layers if layer.kind == "AdaptiveAvgPool2d"]
