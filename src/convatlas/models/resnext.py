"""ResNeXt: Xie, Girshick, Dollár, Tu & He, "Aggregated Residual Transformations for Deep Neural Networks", 2016 (arXiv:1611.05431).

Many narrow paths side by side, all of one shape, see more for the same cost than one wide path: "cardinality".

A block is Fig. 3(c), which equals the sum over 32 paths of Fig. 3(a): grouped convolution. It halves the map in the 3x3, as
the paper's own ResNet-50 does (Table 1: 4.1 GFLOPs), so `resnet50_v1_5` is that, not `resnet50`.
Where this differs from the paper: `resnext101_32x8d` is not in it; torchvision and Mahajan et al. 2018 (arXiv:1805.00932) have it.
"""

from dataclasses import dataclass
from functools import partial

from torch import nn

from .net import ConvBN, Net, pooled_head, start
from .resnet import Residual, bottleneck, he, shortcut, stages

YEAR = 2016


@dataclass(frozen=True, kw_only=True)
class Config:
    depths: tuple[int, ...]
    cardinality: int  # paths side by side
    width: int  # of each path in conv2
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


# fmt: off
VARIANTS = {  # Tables 1, 3 and 4          conv2 3   4  5
    "resnext50_32x4d":  Config(depths=(3,    4,  6, 3), cardinality=32, width=4),
    "resnext101_32x4d": Config(depths=(3,    4, 23, 3), cardinality=32, width=4),
    "resnext101_64x4d": Config(depths=(3,    4, 23, 3), cardinality=64, width=4),
    "resnext101_32x8d": Config(depths=(3,    4, 23, 3), cardinality=32, width=8),
}
# fmt: on


def block(cfg: Config, cin: int, width: int, stride: int) -> Residual:
    inner, cout = cfg.cardinality * cfg.width * width // 64, 4 * width
    return Residual(bottleneck(cin, inner, cout, stride, groups=cfg.cardinality), shortcut(cin, cout, stride))


class ResNeXt(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        self.features.conv1 = ConvBN(cfg.in_channels, 64, 7, 2)
        self.features.pool1 = nn.MaxPool2d(3, 2, padding=1)
        for i, stage in enumerate(stages(partial(block, cfg), 64, (64, 128, 256, 512), cfg.depths, 4), 2):
            self.features.add_module(f"conv{i}", stage)
        self.head = pooled_head(2048, cfg.num_classes)
        start(self, he)


build = ResNeXt
