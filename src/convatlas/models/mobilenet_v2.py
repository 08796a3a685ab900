"""MobileNetV2: Sandler, Howard, Zhu, Zhmoginov & Chen, "Inverted Residuals and Linear Bottlenecks", 2018 (arXiv:1801.04381).

Carry thin maps from block to block, widen them only inside, and leave the thin ones unclipped: a ReLU would lose what they hold.

`mobilenet_v2` is Table 2, and equals torchvision's; `mobilenet_v2_140` is 1.4 times as wide (Table 4).
Where this differs from the paper:
  layers are numbered by the rows of Table 2, which make 17 bottlenecks, though the text says 19; the strides are those of the
  paper's later versions (the first misprinted them);
  TensorFlow's "same" padding adds lines only below and to the right where the stride is 2 and the side even; here one on each side;
  widths go to a multiple of 8, as in the authors' code (slim/nets/mobilenet/mobilenet.py, `_make_divisible`), not in the paper;
  norms have PyTorch's eps 1e-5 and momentum .1, like torchvision's; the code has 1e-3 and .003.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn

from .mobilenet_v1 import truncated
from .net import ConvBN, Net, pooled_head, start

YEAR = 2018


class Row(NamedTuple):
    expand: int
    width: int
    depth: int
    stride: int


# fmt: off
TABLE_2 = (  # the bottlenecks, between conv2d 3x3 of 32 maps and conv2d 1x1 of 1280
    #   t    c  n  s
    Row(1,  16, 1, 1),
    Row(6,  24, 2, 2),
    Row(6,  32, 3, 2),
    Row(6,  64, 4, 2),
    Row(6,  96, 3, 1),
    Row(6, 160, 3, 2),
    Row(6, 320, 1, 1),
)
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Config:
    width: float = 1.0
    dropout: float = 0.2  # the code's; the paper does not say how much
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


VARIANTS = {
    "mobilenet_v2": Config(),
    "mobilenet_v2_140": Config(width=1.4),
}


def to_eights(width: float) -> int:
    """The nearest multiple of 8, but never more than a tenth narrower."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * width else rounded + 8


class Bottleneck(nn.Module):
    """Table 1: widen with 1x1, filter each map alone, narrow with 1x1 and no activation; add x where the shape allows."""

    def __init__(self, cin: int, cout: int, expand: int, stride: int):
        super().__init__()
        mid = cin * expand
        self.f = nn.Sequential()
        if expand > 1:
            self.f.expand = ConvBN(cin, mid, 1, act=nn.ReLU6)
        self.f.depthwise = ConvBN(mid, mid, 3, stride, groups=mid, act=nn.ReLU6)
        self.f.project = ConvBN(mid, cout, 1, act=None)
        self.residual = (cin, stride) == (cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x) if self.residual else self.f(x)


class MobileNetV2(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        c, last = to_eights(32 * cfg.width), to_eights(1280 * max(1.0, cfg.width))
        self.features.conv1 = ConvBN(cfg.in_channels, c, 3, 2, act=nn.ReLU6)
        for i, row in enumerate(TABLE_2, 2):
            stage, cout = nn.Sequential(), to_eights(row.width * cfg.width)
            for j in range(row.depth):
                stage.append(Bottleneck(c, cout, row.expand, row.stride if j == 0 else 1))
                c = cout
            self.features.add_module(f"bottleneck{i}", stage)
        self.features.conv9 = ConvBN(c, last, 1, act=nn.ReLU6)
        self.head = pooled_head(last, cfg.num_classes, cfg.dropout)
        start(self, truncated)


build = MobileNetV2
