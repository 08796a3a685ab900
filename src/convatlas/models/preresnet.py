"""Pre-activation ResNet: He, Zhang, Ren & Sun, "Identity Mappings in Deep Residual Networks", 2016 (arXiv:1603.05027).

Batch norm and ReLU move in front of the convolutions, so that from one end of the net to the other nothing but sums is passed on.

The first unit's activation stands right after conv1, and one more stands after the last sum. A projecting shortcut reads its
unit's activated input and has no batch norm, as in the authors' Torch code for 164 and 1001 layers.
Where this differs from the paper, which prints no table of its nets:
  110 layers keep ResNet-110's zero-padding, of the input as it is (from memory: the authors' code has no basic unit);
  200 layers halve the map in the first 1x1, as the authors' code for CIFAR does, and are 152 with 16 more units in conv3_x;
  FAIR's ResNet-200, the one whose weights are known, halves it in the 3x3 and projects the input as it is, with a batch norm.
"""

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn

from .net import ConvBN, Net, pooled_head, start
from .resnet import EXPANSION, Pad, he, stages

YEAR = 2016


@dataclass(frozen=True, kw_only=True)
class Config:
    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    stem: Literal["imagenet", "cifar"] = "imagenet"
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


def cifar(block: Literal["basic", "bottleneck"], n: int) -> Config:
    """Three stages of n units: 6n + 2 layers if basic, 9n + 2 if bottlenecks."""
    return Config(block=block, depths=(n, n, n), widths=(16, 32, 64), stem="cifar", num_classes=10, size=32)


VARIANTS = {  # Tables 3 and 5
    "preresnet110": cifar("basic", 18),
    "preresnet164": cifar("bottleneck", 18),
    "preresnet1001": cifar("bottleneck", 111),
    "preresnet200": Config(block="bottleneck", depths=(3, 24, 36, 3), widths=(64, 128, 256, 512)),
}


def activation(c: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(c), relu=nn.ReLU()))


def conv(cin: int, cout: int, k: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, k, stride, padding=k // 2, bias=False)


class Unit(nn.Module):
    """y = x + f(act(x)), with nothing after the sum (Fig. 1b); a shortcut that has weights reads act(x) too."""

    def __init__(self, act: nn.Module, f: nn.Sequential, shortcut: nn.Module):
        super().__init__()
        self.act = act
        self.f = f
        self.shortcut = shortcut
        self.projects = isinstance(shortcut, nn.Conv2d)

    def forward(self, x: Tensor) -> Tensor:
        a = self.act(x)
        return self.f(a) + self.shortcut(a if self.projects else x)


def basic(cin: int, width: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv(cin, width, 3, stride),
        activation(width),
        conv(width, width, 3),
    )


def bottleneck(cin: int, width: int, cout: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv(cin, width, 1, stride),
        activation(width),
        conv(width, width, 3),
        activation(width),
        conv(width, cout, 1),
    )


def shortcut(cin: int, cout: int, stride: int, padded: bool = False) -> nn.Module:
    if (cin, stride) == (cout, 1):
        return nn.Identity()
    return Pad(cin, cout, stride) if padded else conv(cin, cout, 1, stride)


def unit(kind: str, cin: int, width: int, stride: int) -> Unit:
    cout = width * EXPANSION[kind]
    f = basic(cin, width, stride) if kind == "basic" else bottleneck(cin, width, cout, stride)
    return Unit(activation(cin), f, shortcut(cin, cout, stride, padded=kind == "basic"))


def bare_first_unit(net: Net) -> None:
    """The first unit's activation stands in conv1, so not in the unit."""
    next(layer for layer in net.modules() if isinstance(layer, Unit)).act = nn.Identity()


class PreResNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        cin, expansion = cfg.widths[0], EXPANSION[cfg.block]
        if cfg.stem == "imagenet":
            self.features.conv1 = ConvBN(cfg.in_channels, cin, 7, 2)
            self.features.pool1 = nn.MaxPool2d(3, 2, padding=1)
        else:
            self.features.conv1 = ConvBN(cfg.in_channels, cin, 3)
        for i, stage in enumerate(stages(partial(unit, cfg.block), cin, cfg.widths, cfg.depths, expansion), 2):
            self.features.add_module(f"conv{i}_x", stage)
        bare_first_unit(self)
        self.features.activation = activation(cfg.widths[-1] * expansion)
        self.head = pooled_head(cfg.widths[-1] * expansion, cfg.num_classes)
        start(self, he)


build = PreResNet
