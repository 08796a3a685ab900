"""EfficientNet: Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019 (arXiv:1905.11946).

One small network, found by search, and one rule that grows its depth, width and resolution together.

`efficientnet_b0`..`b7` are Table 1 and its enlargements, and equal torchvision's. `efficientnet_lite0`..`lite4` are what the authors
shipped for phones in 2020 (tensorflow/tpu, official/efficientnet/lite): no gates, ReLU6 for swish, first and last layers not
enlarged. There is no paper of these: they are as the authors' code has them, which pads as TensorFlow does, and equal timm's
`tf_efficientnet_lite0`..`4`. `efficientnet_lite0_timm` is timm's `efficientnet_lite0`, with the same shapes and other scores.
Where this differs from the paper:
  its rule is depth 1.2^phi, width 1.1^phi, resolution 1.15^phi; B1 to B7 follow it only roughly. The factors here are the authors'
  own table (official/efficientnet/efficientnet_builder.py), and so is the rounding: widths to a multiple of 8 but never more
  than a tenth narrower, depths up (efficientnet_model.py, `round_filters`, `round_repeats`);
  the TensorFlow of the authors pads fewer lines above and left than below and right where the stride is 2 and the side even; B0 to
  B7 pad the same number on each side. Weights trained there (the "tf_" ones of others) do not fit these;
  norms have the paper's momentum, .99 in TensorFlow's words, and the `eps` of the networks they equal; the authors' is 1e-3.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from .mobilenet_v2 import to_eights
from .net import ConvBN, Net, SqueezeExcite, StochasticDepth, pooled_head, start

YEAR = 2019


class Row(NamedTuple):
    expand: int
    kernel: int
    stride: int
    width: int
    depth: int


# fmt: off
TABLE_1 = (  # EfficientNet-B0, stages 2 to 8: MBConv. Stage 1 is a 3x3 convolution of 32 maps, stage 9 a 1x1 of 1280
    #   t  k  s    c  n
    Row(1, 3, 1,  16, 1),
    Row(6, 3, 2,  24, 2),
    Row(6, 5, 2,  40, 2),
    Row(6, 3, 2,  80, 3),
    Row(6, 5, 1, 112, 3),
    Row(6, 5, 2, 192, 4),
    Row(6, 3, 1, 320, 1),
)


@dataclass(frozen=True, kw_only=True)
class Config:
    width: float
    depth: float
    dropout: float
    eps: float = 1e-5
    lite: bool = False
    same: bool = False  # pads as TensorFlow does
    drop_path: float = 0.2  # chance to skip a last block; earlier ones are skipped less, in proportion to their place
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


VARIANTS = {
    "efficientnet_b0": Config(width=1.0, depth=1.0, size=224, dropout=0.2),
    "efficientnet_b1": Config(width=1.0, depth=1.1, size=240, dropout=0.2),
    "efficientnet_b2": Config(width=1.1, depth=1.2, size=260, dropout=0.3),
    "efficientnet_b3": Config(width=1.2, depth=1.4, size=300, dropout=0.3),
    "efficientnet_b4": Config(width=1.4, depth=1.8, size=380, dropout=0.4),
    "efficientnet_b5": Config(width=1.6, depth=2.2, size=456, dropout=0.4, eps=1e-3),
    "efficientnet_b6": Config(width=1.8, depth=2.6, size=528, dropout=0.5, eps=1e-3),
    "efficientnet_b7": Config(width=2.0, depth=3.1, size=600, dropout=0.5, eps=1e-3),
    "efficientnet_lite0": Config(width=1.0, depth=1.0, size=224, dropout=0.2, eps=1e-3, lite=True, same=True),
    "efficientnet_lite0_timm": Config(width=1.0, depth=1.0, size=224, dropout=0.2, lite=True),
    "efficientnet_lite1": Config(width=1.0, depth=1.1, size=240, dropout=0.2, eps=1e-3, lite=True, same=True),
    "efficientnet_lite2": Config(width=1.1, depth=1.2, size=260, dropout=0.3, eps=1e-3, lite=True, same=True),
    "efficientnet_lite3": Config(width=1.2, depth=1.4, size=280, dropout=0.3, eps=1e-3, lite=True, same=True),
    "efficientnet_lite4": Config(width=1.4, depth=1.8, size=300, dropout=0.3, eps=1e-3, lite=True, same=True),
}
# fmt: on


def enlarged(cfg: Config) -> tuple[Row, ...]:
    """Table 1 for this depth and width; lite networks keep the depth of their first and last stage."""
    kept = (TABLE_1[0], TABLE_1[-1]) if cfg.lite else ()
    deep = (row if row in kept else row._replace(depth=ceil(row.depth * cfg.depth)) for row in TABLE_1)
    return tuple(row._replace(width=to_eights(row.width * cfg.width)) for row in deep)


class MBConv(nn.Module):
    """MobileNetV2's bottleneck, with a gate that squeezes to a quarter of the maps that come in; x is added where it fits."""

    def __init__(self, cin: int, row: Row, stride: int, lite: bool, drop_path: float):
        super().__init__()
        mid, act = cin * row.expand, nn.ReLU6 if lite else nn.SiLU
        self.f = nn.Sequential()
        if row.expand > 1:
            self.f.expand = ConvBN(cin, mid, 1, act=act)
        self.f.depthwise = ConvBN(mid, mid, row.kernel, stride, groups=mid, act=act)
        if not lite:
            self.f.se = SqueezeExcite(mid, cin // 4, act=nn.SiLU)
        self.f.project = ConvBN(mid, row.width, 1, act=None)
        self.residual = (cin, stride) == (row.width, 1)
        if self.residual:
            self.f.skip = StochasticDepth(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(x) if self.residual else self.f(x)


def blocks(cin: int, row: Row, lite: bool, chances: list[float]) -> nn.Sequential:
    """A row of the table: one block for each chance to be skipped, of which only the first widens and strides."""
    first = MBConv(cin, row, row.stride, lite, chances[0])
    return nn.Sequential(first, *(MBConv(row.width, row, 1, lite, chance) for chance in chances[1:]))


class EfficientNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        act = nn.ReLU6 if cfg.lite else nn.SiLU
        c, last = (32, 1280) if cfg.lite else (to_eights(32 * cfg.width), to_eights(1280 * cfg.width))
        table = enlarged(cfg)
        depth, place = sum(row.depth for row in table), 0
        self.features.stage1 = ConvBN(cfg.in_channels, c, 3, 2, act=act)
        for i, row in enumerate(table, 2):
            chances = [cfg.drop_path * j / depth for j in range(place, place + row.depth)]
            self.features.add_module(f"stage{i}", blocks(c, row, cfg.lite, chances))
            c, place = row.width, place + row.depth
        self.features.stage9 = ConvBN(c, last, 1, act=act)
        self.head = pooled_head(last, cfg.num_classes, cfg.dropout)
        if cfg.same:
            pad_as_tensorflow(self)
        start(self, by_fan_out)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps, layer.momentum = cfg.eps, 1e-2


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": its windows lie evenly over the map, so with a stride the odd row of zeros is below.

    If the stride is taken away and dilations make up for it, windows still lie where they lay with the stride as built.
    """

    def __init__(self, cin: int, cout: int, k: int, stride: int, groups: int):
        super().__init__(cin, cout, k, stride, k // 2, groups=groups, bias=False)
        self.steps = stride

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]: its name there is `input`
        (up, down), (left, right) = self.missing(x.shape[2]), self.missing(x.shape[3])
        return conv2d(pad(x, (left, right, up, down)), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def missing(self, side: int) -> tuple[int, int]:
        """Rows of zeros above and below a map of so many rows."""
        k, stride, hole = self.kernel_size[0], self.stride[0], self.dilation[0]
        rows = (side + hole - 1) // hole  # without those that dilation has put between
        above = hole * (((rows + self.steps - 1) // self.steps * self.steps - self.steps + k - rows) // 2)
        return above, (side + stride - 1) // stride * stride - stride + hole * (k - 1) + 1 - side - above


def pad_as_tensorflow(net: nn.Module) -> None:
    """Only a stride makes a difference: without one, TensorFlow pads alike on all sides, too."""
    for layer in net.modules():
        if isinstance(layer, ConvBN) and layer.conv.stride != (1, 1):
            old = layer.conv
            layer.conv = SameConv2d(old.in_channels, old.out_channels, old.kernel_size[0], old.stride[0], old.groups)


def by_fan_out(layer: nn.Conv2d | nn.Linear) -> None:
    """Fresh weights as the authors' code has them (efficientnet_model.py, `conv_kernel_initializer`, `dense_kernel_initializer`).

    A convolution's are normal, of variance 2 / fan-out, where a depthwise one counts a single map; torchvision's counts them all.
    """
    if isinstance(layer, nn.Linear):
        nn.init.uniform_(layer.weight, -1 / sqrt(layer.out_features), 1 / sqrt(layer.out_features))
    else:
        fan_out = layer.out_channels * layer.weight[0, 0].numel() // layer.groups
        nn.init.normal_(layer.weight, std=sqrt(2 / fan_out))


build = EfficientNet
