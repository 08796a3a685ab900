"""MobileNetV3: Howard et al., "Searching for MobileNetV3", 2019 (arXiv:1905.02244).

MobileNetV2's blocks, resized by search on a phone; gates on whole maps, a cheap swish, and a last stage moved behind the pool.

`mobilenet_v3_large` and `_small` are Tables 1 and 2, and equal torchvision's. Where this differs from the paper:
  Table 2 ticks SE for Small's last 1x1 convolution; the authors' code has none there, nor has torchvision, nor this: with one
  there would be 2.7 million parameters, where Table 3 prints 2.5;
  the two layers behind the pool are linear, which on a map of 1 x 1 is what the paper's 1x1 convolutions without norm are;
  a gate squeezes to a quarter of the widened maps, rounded to a multiple of 8, as in the code (slim/nets/mobilenet);
  TensorFlow's "same" padding adds fewer lines above and left than below and right where the stride is 2 and the side even; here
  the same number on each side.
Layers are numbered by the rows of their table. Norms forget a hundredth at each step, as the paper says; eps 1e-3 is TensorFlow's.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from .mobilenet_v1 import truncated
from .mobilenet_v2 import to_eights
from .net import ConvBN, Net, SqueezeExcite, start

YEAR = 2019

RE, HS = nn.ReLU, nn.Hardswish
SE, no = True, False


class Row(NamedTuple):
    kernel: int
    expand: int
    width: int
    se: bool
    act: type[nn.Module]
    stride: int


# fmt: off
TABLE_1 = (  # Large: the rows "bneck", after conv2d 3x3 of 16 maps; then conv2d 1x1 of 960, pool, 1280
    #   k  exp  out  SE  NL  s
    Row(3,  16,  16, no, RE, 1),
    Row(3,  64,  24, no, RE, 2),
    Row(3,  72,  24, no, RE, 1),
    Row(5,  72,  40, SE, RE, 2),
    Row(5, 120,  40, SE, RE, 1),
    Row(5, 120,  40, SE, RE, 1),
    Row(3, 240,  80, no, HS, 2),
    Row(3, 200,  80, no, HS, 1),
    Row(3, 184,  80, no, HS, 1),
    Row(3, 184,  80, no, HS, 1),
    Row(3, 480, 112, SE, HS, 1),
    Row(3, 672, 112, SE, HS, 1),
    Row(5, 672, 160, SE, HS, 2),
    Row(5, 960, 160, SE, HS, 1),
    Row(5, 960, 160, SE, HS, 1),
)
TABLE_2 = (  # Small: likewise; then conv2d 1x1 of 576, pool, 1024
    #   k  exp  out  SE  NL  s
    Row(3,  16,  16, SE, RE, 2),
    Row(3,  72,  24, no, RE, 2),
    Row(3,  88,  24, no, RE, 1),
    Row(5,  96,  40, SE, HS, 2),
    Row(5, 240,  40, SE, HS, 1),
    Row(5, 240,  40, SE, HS, 1),
    Row(5, 120,  48, SE, HS, 1),
    Row(5, 144,  48, SE, HS, 1),
    Row(5, 288,  96, SE, HS, 2),
    Row(5, 576,  96, SE, HS, 1),
    Row(5, 576,  96, SE, HS, 1),
)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Config:
    table: tuple[Row, ...]
    hidden: int  # units of the last layer but one
    dropout: float = 0.2
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


VARIANTS = {
    "mobilenet_v3_large": Config(table=TABLE_1, hidden=1280),
    "mobilenet_v3_small": Config(table=TABLE_2, hidden=1024),
}


class Bneck(nn.Module):
    """Fig. 4: MobileNetV2's bottleneck with a gate on the widened maps; add x where the shape allows."""

    def __init__(self, cin: int, row: Row):
        super().__init__()
        self.f = nn.Sequential()
        if row.expand != cin:
            self.f.expand = ConvBN(cin, row.expand, 1, act=row.act)
        self.f.depthwise = ConvBN(row.expand, row.expand, row.kernel, row.stride, groups=row.expand, act=row.act)
        if row.se:
            self.f.se = SqueezeExcite(row.expand, to_eights(row.expand // 4), gate=nn.Hardsigmoid)
        self.f.project = ConvBN(row.expand, row.width, 1, act=None)
        self.residual = (cin, row.stride) == (row.width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x) if self.residual else self.f(x)


class MobileNetV3(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        c = 16
        self.features.conv1 = ConvBN(cfg.in_channels, c, 3, 2, act=nn.Hardswish)
        for i, row in enumerate(cfg.table, 2):
            self.features.add_module(f"bneck{i}", Bneck(c, row))
            c = row.width
        self.features.add_module(f"conv{len(cfg.table) + 2}", ConvBN(c, 6 * c, 1, act=nn.Hardswish))
        self.head = nn.Sequential()
        self.head.pool, self.head.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.head.hidden, self.head.act = nn.Linear(6 * c, cfg.hidden), nn.Hardswish()
        self.head.dropout = nn.Dropout(cfg.dropout)
        self.head.output = nn.Linear(cfg.hidden, cfg.num_classes)
        start(self, truncated)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps, layer.momentum = 1e-3, 1e-2


build = MobileNetV3
