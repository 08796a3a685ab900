"""SqueezeNet: Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016
(arXiv:1602.07360).

Wide layers are affordable if each reads few maps: a fire module squeezes its input with 1x1 windows before it expands it.

`squeezenet1_0` is the paper's Table 1, `squeezenet1_1` the authors' later one: a smaller conv1, earlier pools, half the cost.
Both are torchvision's too. Where they differ from the paper and from the authors' files (github.com/forresti/SqueezeNet):
  pictures have 227 pixels a side, as in the files, not Table 1's 224 (from memory): only so is conv1's map 111 wide. At 224
  it is 109, and that is what torchvision feeds it;
  the file of version 1.0 pads the 1x1 conv10 by a pixel, which puts a rim of bare biases into its average. Neither the
  file of version 1.1 nor torchvision does, and neither do these.
Scores are rectified maps averaged, as published, so that none is below 0.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .net import Net

YEAR = 2016


class Row(NamedTuple):
    s1: int
    e1: int
    e3: int


# fmt: off
TABLE_1 = {  #       squeeze1x1  expand1x1  expand3x3
    "fire2": Row(        16,         64,        64),
    "fire3": Row(        16,         64,        64),
    "fire4": Row(        32,        128,       128),
    "fire5": Row(        32,        128,       128),
    "fire6": Row(        48,        192,       192),
    "fire7": Row(        48,        192,       192),
    "fire8": Row(        64,        256,       256),
    "fire9": Row(        64,        256,       256),
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Config:
    width: int  # of conv1
    k: int  # of conv1
    pools: tuple[str, ...]  # the fires that a pool follows
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 227


VARIANTS = {
    "squeezenet1_0": Config(width=96, k=7, pools=("fire4", "fire8")),
    "squeezenet1_1": Config(width=64, k=3, pools=("fire3", "fire5")),
}


def conv(cin: int, cout: int, k: int, stride: int = 1, padding: int = 0) -> nn.Sequential:
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(cin, cout, k, stride, padding), relu=nn.ReLU()))


class Fire(nn.Module):
    """Few maps, then what 1x1 and 3x3 windows see of them, stacked (Fig. 1)."""

    def __init__(self, cin: int, row: Row):
        super().__init__()
        self.squeeze1x1 = conv(cin, row.s1, 1)
        self.expand1x1 = conv(row.s1, row.e1, 1)
        self.expand3x3 = conv(row.s1, row.e3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze1x1(x)
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1)


class SqueezeNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        c = cfg.width
        self.features.conv1 = conv(cfg.in_channels, cfg.width, cfg.k, stride=2)
        self.features.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        for name, row in TABLE_1.items():
            self.features.add_module(name, Fire(c, row))
            if name in cfg.pools:
                self.features.add_module(name.replace("fire", "pool"), nn.MaxPool2d(3, 2, ceil_mode=True))
            c = row.e1 + row.e3
        self.head = nn.Sequential()
        self.head.dropout = nn.Dropout(cfg.dropout)
        self.head.conv10 = conv(c, cfg.num_classes, 1)
        self.head.pool10, self.head.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        start(self)


def start(net: SqueezeNet) -> None:
    """The authors' files: uniform weights of variance 1/fan-in, which Caffe calls Xavier; N(0, .01) in conv10; biases 0."""
    for name, p in net.named_parameters():
        if p.dim() == 1:
            nn.init.zeros_(p)
        elif "conv10" in name:
            nn.init.normal_(p, std=0.01)
        else:
            nn.init.kaiming_uniform_(p, nonlinearity="linear")


build = SqueezeNet
