"""Wide ResNet: Zagoruyko & Komodakis, "Wide Residual Networks", 2016 (arXiv:1605.07146).

Sixteen wide layers learn as much as a thousand thin ones, and in far less time.

`wide_resnet28_10` has 28 layers, each ten times as wide as ResNet's: pre-activated units for CIFAR, with `dropout`
between their two convolutions (the paper tries .3). The ImageNet nets are ResNets whose 3x3 is twice as wide, not pre-activated.
They halve the map in the 3x3, as the authors' code does.
Where this differs from the paper: `wide_resnet101_2` is not in it; torchvision ships it.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from . import preresnet, resnet
from .net import ConvBN, Net, pooled_head, start
from .preresnet import activation, bare_first_unit, conv
from .resnet import he, stages

YEAR = 2016


@dataclass(frozen=True, kw_only=True)
class Config:
    depths: tuple[int, ...]  # three stages: for CIFAR; four: for ImageNet
    widen: int
    dropout: float = 0.0  # of the CIFAR nets
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


def cifar(layers: int, widen: int) -> Config:
    """Table 1: 6n + 4 layers."""
    n = (layers - 4) // 6
    return Config(depths=(n, n, n), widen=widen, num_classes=10, size=32)


VARIANTS = {
    "wide_resnet28_10": cifar(28, widen=10),
    "wide_resnet40_4": cifar(40, widen=4),
    "wide_resnet50_2": Config(depths=(3, 4, 6, 3), widen=2),
    "wide_resnet101_2": Config(depths=(3, 4, 23, 3), widen=2),
}


def wide_basic(cfg: Config, cin: int, width: int, stride: int) -> preresnet.Unit:  # Fig. 1(d)
    f = nn.Sequential(conv(cin, width, 3, stride), activation(width))
    if cfg.dropout:
        f.append(nn.Dropout(cfg.dropout))
    f.append(conv(width, width, 3))
    return preresnet.Unit(activation(cin), f, preresnet.shortcut(cin, width, stride))


def wide_bottleneck(cfg: Config, cin: int, width: int, stride: int) -> resnet.Residual:
    f = resnet.bottleneck(cin, cfg.widen * width, 4 * width, stride)
    return resnet.Residual(f, resnet.shortcut(cin, 4 * width, stride))


class WideResNetCIFAR(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        widths = (16 * cfg.widen, 32 * cfg.widen, 64 * cfg.widen)
        self.features.conv1 = ConvBN(cfg.in_channels, 16, 3)
        for i, stage in enumerate(stages(partial(wide_basic, cfg), 16, widths, cfg.depths, 1), 2):
            self.features.add_module(f"conv{i}", stage)
        bare_first_unit(self)
        self.features.activation = activation(widths[-1])
        self.head = pooled_head(widths[-1], cfg.num_classes)
        start(self, he)


class WideResNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        self.features.conv1 = ConvBN(cfg.in_channels, 64, 7, 2)
        self.features.pool1 = nn.MaxPool2d(3, 2, padding=1)
        for i, stage in enumerate(stages(partial(wide_bottleneck, cfg), 64, (64, 128, 256, 512), cfg.depths, 4), 2):
            self.features.add_module(f"conv{i}", stage)
        self.head = pooled_head(2048, cfg.num_classes)
        start(self, he)


def build(cfg: Config) -> Net:
    return WideResNetCIFAR(cfg) if len(cfg.depths) == 3 else WideResNet(cfg)
