"""SENet: Hu, Shen & Sun, "Squeeze-and-Excitation Networks", 2017 (arXiv:1709.01507).

Each map is scaled by how much it matters for this picture, which a small net judges from the means of all maps.

The SE-ResNets halve the map in the first 1x1, the SE-ResNeXts and `senet154` in the 3x3, as in the authors' Caffe nets, from
which also comes the pool without padding that rounds up. `senet154`, of the winning entry of ILSVRC 2017, is a ResNeXt-152
(64x4d) with every first 1x1 of half the width, three 3x3 for the 7x7, 3x3 projections where the map is halved, and dropout.
Where this differs from the paper:
  18 and 34 layers are not in it; here they have the gate right after the last batch norm of a block, as in its Fig. 3;
  `se_resnet18_timm` and `se_resnet34_timm` have a ReLU in front of that gate, as timm's `legacy_seresnet18` and 34 do.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from .net import ConvBN, Net, SqueezeExcite, pooled_head, start
from .resnet import Residual, basic, bottleneck, he, shortcut, stages

YEAR = 2017


@dataclass(frozen=True, kw_only=True)
class Config:
    block: Literal["basic", "basic_relu", "bottleneck", "resnext", "senet154"]
    depths: tuple[int, ...]
    reduction: int = 16
    dropout: float = 0.0
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


# fmt: off
VARIANTS = {  # Table 1                                         conv2 3   4  5
    "se_resnet18":         Config(block="basic",      depths=(2,    2,  2, 2)),
    "se_resnet34":         Config(block="basic",      depths=(3,    4,  6, 3)),
    "se_resnet18_timm":    Config(block="basic_relu", depths=(2,    2,  2, 2)),
    "se_resnet34_timm":    Config(block="basic_relu", depths=(3,    4,  6, 3)),
    "se_resnet50":         Config(block="bottleneck", depths=(3,    4,  6, 3)),
    "se_resnet101":        Config(block="bottleneck", depths=(3,    4, 23, 3)),
    "se_resnet152":        Config(block="bottleneck", depths=(3,    8, 36, 3)),
    "se_resnext50_32x4d":  Config(block="resnext",    depths=(3,    4,  6, 3)),
    "se_resnext101_32x4d": Config(block="resnext",    depths=(3,    4, 23, 3)),
    "senet154":            Config(block="senet154",   depths=(3,    8, 36, 3), dropout=0.2),
}
# fmt: on


def branch(kind: str, cin: int, width: int, stride: int) -> nn.Sequential:
    match kind:
        case "basic":
            return basic(cin, width, stride)
        case "basic_relu":
            return nn.Sequential(ConvBN(cin, width, 3, stride), ConvBN(width, width, 3))
        case "bottleneck":
            return bottleneck(cin, width, 4 * width, stride, stride_in="1x1")
        case "resnext":
            return bottleneck(cin, 2 * width, 4 * width, stride, groups=32)
    return nn.Sequential(
        ConvBN(cin, 2 * width, 1),
        ConvBN(2 * width, 4 * width, 3, stride, groups=64),
        ConvBN(4 * width, 4 * width, 1, act=None),
    )


def block(cfg: Config, cin: int, width: int, stride: int) -> Residual:
    cout = width if cfg.block.startswith("basic") else 4 * width
    f = branch(cfg.block, cin, width, stride)
    f.append(SqueezeExcite(cout, cout // cfg.reduction))
    if cfg.block == "senet154" and stride == 2:
        return Residual(f, ConvBN(cin, cout, 3, stride, act=None))
    return Residual(f, shortcut(cin, cout, stride))


class SENet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        cin, expansion = 64, 1 if cfg.block.startswith("basic") else 4
        if cfg.block == "senet154":
            cin = 128
            self.features.conv1 = nn.Sequential(ConvBN(cfg.in_channels, 64, 3, 2), ConvBN(64, 64, 3), ConvBN(64, cin, 3))
        else:
            self.features.conv1 = ConvBN(cfg.in_channels, cin, 7, 2)
        self.features.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        for i, stage in enumerate(stages(partial(block, cfg), cin, (64, 128, 256, 512), cfg.depths, expansion), 2):
            self.features.add_module(f"conv{i}_x", stage)
        self.head = pooled_head(512 * expansion, cfg.num_classes, cfg.dropout)
        start(self, he)


build = SENet
