"""DenseNet: Huang, Liu, van der Maaten & Weinberger, "Densely Connected Convolutional Networks", 2016 (arXiv:1608.06993).

Each layer reads all that was made before it in its block, and adds a few maps of its own; nothing has to be learnt twice.

`densenet_40_12` is Table 2's DenseNet with L = 40 layers and growth rate k = 12; "BC" adds the bottleneck of 4k maps in front
of each 3x3 (B) and halves the maps in each transition (C). The ImageNet nets are all BC.
`dropout` stands after every convolution but the first; the paper has .2 where it does not augment, and none elsewhere.
What others ship:
  torchvision has `densenet161` (k = 48), which earlier versions of the paper have, and not `densenet264`, of the last one;
  here a CIFAR net begins with 16 maps, or 2k if BC, as in the paper; the authors' later code has 2k for both;
  some give the CIFAR nets a batch norm right after the first convolution; here, as in that code, there is none.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .net import ConvBN, Net, pooled_head, start
from .resnet import he
from .thrifty import DenseBlock

YEAR = 2016


@dataclass(frozen=True, kw_only=True)
class Config:
    depths: tuple[int, ...]  # layers of each dense block
    growth: int = 32  # k: maps that each layer adds
    stem: Literal["imagenet", "cifar"] = "imagenet"
    stem_width: int = 64
    bottleneck: bool = True
    compression: float = 0.5  # theta: the share of maps that a transition keeps
    dropout: float = 0.0
    thrifty: bool = False  # trains in a third of the memory, without dropout
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


def plain(layers: int, growth: int) -> Config:
    n = (layers - 4) // 3
    return Config(depths=(n, n, n), growth=growth, stem="cifar", stem_width=16, bottleneck=False, compression=1.0, num_classes=10, size=32)


def bc(layers: int, growth: int) -> Config:
    n = (layers - 4) // 6
    return Config(depths=(n, n, n), growth=growth, stem="cifar", stem_width=2 * growth, num_classes=10, size=32)


# fmt: off
VARIANTS = {  # Table 1           dense1   2   3   4
    "densenet121": Config(depths=(6,      12, 24, 16)),
    "densenet169": Config(depths=(6,      12, 32, 32)),
    "densenet201": Config(depths=(6,      12, 48, 32)),
    "densenet264": Config(depths=(6,      12, 64, 48)),
    "densenet161": Config(depths=(6,      12, 36, 24), growth=48, stem_width=96),
    # Table 2               L   k
    "densenet_40_12":   plain( 40, 12),
    "densenet_100_12":  plain(100, 12),
    "densenet_100_24":  plain(100, 24),
    "densenet_bc_100_12":  bc(100, 12),
    "densenet_bc_250_24":  bc(250, 24),
    "densenet_bc_190_40":  bc(190, 40),
}
# fmt: on


def bn_relu_conv(cin: int, cout: int, k: int, dropout: float) -> nn.Sequential:
    """The paper's composite function H."""
    conv = nn.Conv2d(cin, cout, k, padding=k // 2, bias=False)
    h = nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(cin), relu=nn.ReLU(), conv=conv))
    if dropout:
        h.dropout = nn.Dropout(dropout)
    return h


class Dense(nn.Module):
    """[x, f(x)]: the maps that were there, and after them the new ones."""

    def __init__(self, f: nn.Sequential):
        super().__init__()
        self.f = f

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.f(x)], 1)


def dense(cfg: Config, cin: int) -> Dense:
    if not cfg.bottleneck:
        return Dense(bn_relu_conv(cin, cfg.growth, 3, cfg.dropout))
    return Dense(
        nn.Sequential(
            bn_relu_conv(cin, 4 * cfg.growth, 1, cfg.dropout),
            bn_relu_conv(4 * cfg.growth, cfg.growth, 3, cfg.dropout),
        )
    )


def transition(cfg: Config, cin: int, cout: int) -> nn.Sequential:
    layers = bn_relu_conv(cin, cout, 1, cfg.dropout)
    layers.pool = nn.AvgPool2d(2)
    return layers


class DenseNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        if cfg.thrifty and cfg.dropout:
            raise ValueError("a thrifty DenseNet has no dropout: it would have to keep what it computes again")
        c, block = cfg.stem_width, DenseBlock if cfg.thrifty else nn.Sequential
        if cfg.stem == "imagenet":
            self.features.conv1 = ConvBN(cfg.in_channels, c, 7, 2)
            self.features.pool1 = nn.MaxPool2d(3, 2, padding=1)
        else:
            self.features.conv1 = nn.Conv2d(cfg.in_channels, c, 3, padding=1, bias=False)
        for i, depth in enumerate(cfg.depths, 1):
            if i > 1:
                kept = int(c * cfg.compression)
                self.features.add_module(f"transition{i - 1}", transition(cfg, c, kept))
                c = kept
            self.features.add_module(f"dense{i}", block(*(dense(cfg, c + j * cfg.growth) for j in range(depth))))
            c += depth * cfg.growth
        self.features.activation = nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(c), relu=nn.ReLU()))
        self.head = pooled_head(c, cfg.num_classes)
        start(self, he)


build = DenseNet
