"""Xception: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions", 2016 (arXiv:1610.02357).

Inception taken to its end: every map gets a window of its own, and mixing the maps is left entirely to 1x1 convolutions.

`xception` is Fig. 5, without the optional hidden layers of its last part; it equals timm's `legacy_xception`.
Where this differs from the paper:
  the figure says nothing of padding: conv1 and conv2 have none and all else has "same", as in the author's own Keras code;
  "same" there pads an even side of 74, in entry2's pool, only below and to the right; here on both sides, like timm;
  norms have PyTorch's eps 1e-5 and momentum .1, like timm's; Keras has 1e-3 and .01.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from .net import ConvBN, Net, pooled_head, start

YEAR = 2016


class Row(NamedTuple):
    name: str
    relu: bool  # whether the block begins with one
    widths: tuple[int, ...]
    stride: int


# fmt: off
FIG_5 = (  # the residual blocks, between two convolutions and two separable ones; where the stride is 2 they end in a pool
    #    name         ReLU   widths           s
    Row("entry1",     False, (128, 128),      2),
    Row("entry2",     True,  (256, 256),      2),
    Row("entry3",     True,  (728, 728),      2),
  *(Row(f"middle{i}", True,  (728, 728, 728), 1) for i in range(1, 9)),
    Row("exit1",      True,  (728, 1024),     2),
)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Config:
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 299


VARIANTS = {"xception": Config()}


def conv(cin: int, cout: int, stride: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(cin, cout, 3, stride, bias=False)
    return nn.Sequential(OrderedDict(conv=layer, bn=nn.BatchNorm2d(cout), act=nn.ReLU()))


class SeparableConv(nn.Sequential):
    """Each map filtered alone, then all mixed, with no activation between them (section 4.7) and one norm after both."""

    def __init__(self, cin: int, cout: int):
        super().__init__()
        self.depthwise = nn.Conv2d(cin, cin, 3, padding=1, groups=cin, bias=False)
        self.pointwise = nn.Conv2d(cin, cout, 1, bias=False)
        self.bn = nn.BatchNorm2d(cout)


class Block(nn.Module):
    """Separable convolutions, each behind a ReLU, then a pool where the map shrinks; and past them x, or a 1x1 of it."""

    def __init__(self, cin: int, row: Row):
        super().__init__()
        shrinks = row.stride > 1
        self.shortcut = ConvBN(cin, row.widths[-1], 1, row.stride, act=None) if shrinks else nn.Identity()
        self.f = nn.Sequential()
        for i, (c, cout) in enumerate(zip((cin, *row.widths), row.widths, strict=False), 1):
            if i > 1 or row.relu:
                self.f.add_module(f"act{i}", nn.ReLU())
            self.f.add_module(f"sepconv{i}", SeparableConv(c, cout))
        if shrinks:
            self.f.pool = nn.MaxPool2d(3, row.stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.f(x)


class Xception(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        self.features.conv1 = conv(cfg.in_channels, 32, stride=2)
        self.features.conv2 = conv(32, 64)
        c = 64
        for row in FIG_5:
            self.features.add_module(row.name, Block(c, row))
            c = row.widths[-1]
        self.features.exit2 = nn.Sequential(OrderedDict(sepconv=SeparableConv(c, 1536), act=nn.ReLU()))
        self.features.exit3 = nn.Sequential(OrderedDict(sepconv=SeparableConv(1536, 2048), act=nn.ReLU()))
        self.head = pooled_head(2048, cfg.num_classes, cfg.dropout)
        start(self, glorot)


def glorot(layer: nn.Conv2d | nn.Linear) -> None:
    """The paper says nothing of fresh weights; Keras, in which it was written, draws Glorot's (from memory)."""
    nn.init.xavier_uniform_(layer.weight)


build = Xception
