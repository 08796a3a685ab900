"""MobileNet: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017 (arXiv:1704.04861).

A 3x3 convolution is nearly all multiplying: filter each map alone, then mix the maps with 1x1, for an eighth of the price.

`mobilenet_v1` is Table 1; `_075`, `_050`, `_025` thin every layer (Table 6), `_192`, `_160`, `_128` only see smaller pictures
(Table 7), `_full` has one whole 3x3 convolution for each pair (Table 4), `_shallow` lacks the 14 x 14 x 512 layers (Table 5).
Where this differs from the paper:
  Table 1 prints s2 for the last depthwise layer, whose map it leaves at 7 x 7: the stride is 1, as in the authors' code;
  layers are named conv0..conv13 after that code (tensorflow/models, slim/nets/mobilenet_v1.py), for the paper has no names;
  it pads "same" as TensorFlow does: where the stride is 2 and the side even, one line below and to the right. Here, as in all of
  PyTorch, one line on each side: sizes and counts are equal, but what a unit sees lies one pixel up and to the left;
  norms have PyTorch's eps 1e-5 and momentum .1; the code has 1e-3 and .0003.
`mobilenet_v1_relu6` clips every ReLU at 6, as that code and timm's `mobilenetv1_100` do; the paper says ReLU (section 3.2).
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import nn

from .net import ConvBN, Net, pooled_head, start

YEAR = 2017


class Row(NamedTuple):
    stride: int
    width: int
    depth: int


# fmt: off
TABLE_1 = (  # each row a depthwise and a pointwise layer, after the full convolution 3x3x3x32 of stride 2
    #   s     c  n
    Row(1,   64, 1),
    Row(2,  128, 1),
    Row(1,  128, 1),
    Row(2,  256, 1),
    Row(1,  256, 1),
    Row(2,  512, 1),
    Row(1,  512, 5),
    Row(2, 1024, 1),
    Row(1, 1024, 1),
)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Config:
    width: float = 1.0  # the paper's alpha
    full: bool = False
    shallow: bool = False
    act: Literal["relu", "relu6"] = "relu"
    dropout: float = 0.001  # the code's; the paper says nothing of it
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224  # 224 times the paper's rho


VARIANTS = {
    "mobilenet_v1": Config(),
    "mobilenet_v1_075": Config(width=0.75),
    "mobilenet_v1_050": Config(width=0.5),
    "mobilenet_v1_025": Config(width=0.25),
    "mobilenet_v1_192": Config(size=192),
    "mobilenet_v1_160": Config(size=160),
    "mobilenet_v1_128": Config(size=128),
    "mobilenet_v1_full": Config(full=True),
    "mobilenet_v1_shallow": Config(shallow=True),
    "mobilenet_v1_relu6": Config(act="relu6"),
}


def separable(cin: int, cout: int, stride: int, act: type[nn.Module]) -> nn.Sequential:
    """Fig. 3, right: each map filtered alone, then all mixed at each place; norm and activation after both."""
    depthwise = ConvBN(cin, cin, 3, stride, groups=cin, act=act)
    return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=ConvBN(cin, cout, 1, act=act)))


class MobileNetV1(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        act = {"relu": nn.ReLU, "relu6": nn.ReLU6}[cfg.act]
        table = [row for row in TABLE_1 for _ in range(row.depth) if not (cfg.shallow and row.depth == 5)]
        c = int(32 * cfg.width)
        self.features.conv0 = ConvBN(cfg.in_channels, c, 3, 2, act=act)
        for i, row in enumerate(table, 1):
            cout = int(row.width * cfg.width)
            layer = ConvBN(c, cout, 3, row.stride, act=act) if cfg.full else separable(c, cout, row.stride, act)
            self.features.add_module(f"conv{i}", layer)
            c = cout
        self.head = pooled_head(c, cfg.num_classes, cfg.dropout)
        start(self, truncated)


def truncated(layer: nn.Conv2d | nn.Linear) -> None:
    """Fresh weights of all three MobileNets, as their authors' code has them: normal, deviation .09, cut at two deviations.

    The papers do not say. In tensorflow/models, research/slim/nets: `mobilenet_v1_arg_scope`, `mobilenet.training_scope`.
    """
    nn.init.trunc_normal_(layer.weight, std=0.09, a=-0.18, b=0.18)


build = MobileNetV1
