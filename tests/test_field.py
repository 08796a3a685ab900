"""The receptive field and the jump of every network, proved on the network itself: where the gradient of one unit reaches."""

from itertools import groupby

import pytest
import torch
from torch import Tensor, nn

from convatlas.analysis import analyse
from convatlas.models import MODELS, build
from convatlas.models.net import Net, SqueezeExcite

QUICK = ("lenet5_modern", "alexnet", "vgg16", "googlenet", "resnet20", "resnet18", "squeezenet1_0", "nin", "mobilenet_v3_small")


def opened(net: Net) -> Net:
    """`net` with nothing in the way of a gradient: no gate, an average for each maximum, weights and norms above zero."""
    for layer in net.modules():
        for name, child in layer.named_children():
            if isinstance(child, SqueezeExcite):
                setattr(layer, name, nn.Identity())
            elif isinstance(child, nn.ReLU6):  # no way through above 6
                setattr(layer, name, nn.ReLU())
            elif isinstance(child, nn.MaxPool2d):
                setattr(layer, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
    for p in net.parameters():
        nn.init.constant_(p, 0.0 if p.dim() == 1 else 1 / p[0].numel())
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
    return net.eval()


def reached(x: Tensor, maps: Tensor, row: int) -> tuple[int, int]:
    """First and last row of the picture that a unit reads. Its gradient is not a number, which no rounding can make nothing of."""
    start = torch.zeros_like(maps)
    start[:, :, row, maps.shape[3] // 2] = torch.nan
    (gradient,) = torch.autograd.grad(maps, x, start, retain_graph=True)
    rows = gradient.isnan().any(3).any(1)[0].nonzero()
    return int(rows[0]), int(rows[-1])


def check(name: str) -> None:
    """The stages of a network, on a strip that is higher than the last one sees."""
    net = opened(build(name))
    layers = [layer for layer in analyse(net).layers if layer.name.startswith("features.") and len(layer.shape) == 3]
    stages = {stage: list(group) for stage, group in groupby(layers, key=lambda layer: layer.name.split(".")[1])}
    jump = max(layer.jump for layer in layers)
    tall = max(layer.field for layer in layers) + 4 * jump
    channels = next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d))
    maps = x = torch.ones(1, channels, tall, max(32, 2 * jump + 16), requires_grad=True)
    for stage, child in net.features.named_children():
        maps = child(maps)
        if stage in stages:
            low, high = reached(x, maps, maps.shape[2] // 2)
            assert high - low + 1 == max(layer.field for layer in stages[stage]), stage
            assert reached(x, maps, maps.shape[2] // 2 + 1)[0] - low == stages[stage][-1].jump, stage


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS])
def test_field_and_jump_are_where_the_gradient_reaches(name):
    check(name)
