"""Network in Network: Lin, Chen & Yan, "Network In Network", 2013 (arXiv:1312.4400).

A small network of 1x1 layers slides over the picture in place of a filter, and at the end one map per class is averaged.

`nin_cifar10` is the paper's network, read from the authors' NIN/cifar-10_def (github.com/mavenlin/cuda-convnet).
`nin` is their larger one for ImageNet, read from Lin's gist d802a5849de39225bcc6; the paper has no ImageNet result.
The authors' word for a 1x1 layer is cccp, "cascaded cross channel parametric pooling". Where this differs:
  the last cccp, which makes the maps of the classes, stands in the head; its scores are rectified, as the authors' are,
  so that none is below 0;
  pools count a window that hangs over the edge, as those of cuda-convnet and Caffe do.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from .net import Net

YEAR = 2013


class Row(NamedTuple):
    """An mlpconv layer: a k x k convolution, and 1x1 convolutions after it. `std` is how wide the first one's weights start."""

    k: int
    stride: int
    padding: int
    widths: tuple[int, ...]
    std: float
    dropout: bool = False  # behind the pool


@dataclass(frozen=True, kw_only=True)
class Config:
    layers: tuple[Row, ...]  # a pool of 3x3 with stride 2 between two of them
    std: float = 0.05  # of the last weights
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


# fmt: off
IMAGENET = (  #  k  stride  pad  maps of its layers    std   dropout
    Row(        11,    4,    0,  (  96,   96,   96),   .01,  False),
    Row(         5,    1,    2,  ( 256,  256,  256),   .05,  False),
    Row(         3,    1,    1,  ( 384,  384,  384),   .01,  True),
    Row(         3,    1,    1,  (1024, 1024),         .05),  # and one map per class
)
CIFAR = (
    Row(         5,    1,    2,  ( 192,  160,   96),   .05,  True),
    Row(         5,    1,    2,  ( 192,  192,  192),   .05,  True),
    Row(         3,    1,    1,  ( 192,  192),         .05),  # and one map per class
)
# fmt: on

VARIANTS = {
    "nin": Config(layers=IMAGENET, std=0.01),
    "nin_cifar10": Config(layers=CIFAR, num_classes=10, size=32),
}


def mlpconv(cin: int, row: Row) -> nn.Sequential:
    """conv, relu, cccp1, relu1, ...: Fig. 1(b)."""
    layer = nn.Sequential()
    layer.conv, layer.relu = started(nn.Conv2d(cin, row.widths[0], row.k, row.stride, row.padding), row.std), nn.ReLU()
    for i, width in enumerate(row.widths[1:], 1):
        layer.add_module(f"cccp{i}", started(nn.Conv2d(row.widths[i - 1], width, 1), 0.05))
        layer.add_module(f"relu{i}", nn.ReLU())
    return layer


def started(conv: nn.Conv2d, std: float) -> nn.Conv2d:
    """Weights N(0, std), biases 0, as in the authors' files."""
    for p in conv.parameters():
        nn.init.normal_(p, std=std if p.dim() > 1 else 0)
    return conv


class NIN(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        c = cfg.in_channels
        for i, row in enumerate(cfg.layers, 1):
            self.features.add_module(f"mlpconv{i}", mlpconv(c, row))
            if i < len(cfg.layers):
                self.features.add_module(f"pool{i}", nn.MaxPool2d(3, 2, ceil_mode=True))
            if row.dropout:
                self.features.add_module(f"dropout{i}", nn.Dropout(0.5))
            c = row.widths[-1]
        self.head = nn.Sequential()
        self.head.cccp, self.head.relu = started(nn.Conv2d(c, cfg.num_classes, 1), cfg.std), nn.ReLU()
        self.head.pool, self.head.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()


build = NIN
