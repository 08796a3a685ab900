"""GoogLeNet: Szegedy et al., "Going Deeper with Convolutions", 2014 (arXiv:1409.4842).

A module looks at its input through windows of several sizes at once; 1x1 convolutions first make that input affordable.

`googlenet` is Table 1 with both auxiliary classifiers: 6,998,552 parameters, and 6,379,728 more that only training uses.
In training it gives `Scores`, three of them, for `Auxiliary` to add up; in evaluation the main classifier's alone.
Where it differs from the paper, or had to choose what the paper leaves open:
  conv1 is 7x7, as Table 1 says; its costs there (2.7K, 34M) are those of a separable convolution, 8 maps for each colour,
  and one was "the first layer of Inception V1" (Chollet 2016, section 2);
  the parameters in Table 1 fit its own maps only in conv2, 3a, 3b and the last layer: 4c has 509,440 (463K), 5a 1,042,432 (1072K);
  norm, pools that hang over the edge, and fresh weights are those of BVLC's copy in Caffe, which an author helped with.
`googlenet_naive` is ours, with the module of Fig. 2(a) throughout and the same stem: nothing in it is reduced, and the pool
  hands on all that it is given.
  So no module can give fewer maps than it gets: 4,944 leave the last one, not 1,024, for eight times the multiplications
  and fourteen times the weights.
`googlenet_bn` is torchvision's and takes its weights. It differs from the paper in more than its batch norm: 3x3 windows
  in place of 5x5 (a known bug there, kept for the weights), pool4 of 2x2, no LRN, dropout of .2 and not .4, auxiliary maps
  pooled 4x4 over windows of 4 and not of 5. A unit of 5b sees 379 pixels and not 715. Its published weights want pixels of
  mean .5 and deviation .5, which torchvision hides in a `transform_input`.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .net import Net, pooled_head

YEAR = 2014


class Row(NamedTuple):
    n1: int
    reduce3: int
    n3: int
    reduce5: int
    n5: int
    proj: int


# fmt: off
TABLE_1 = {  #            1x1  reduce  3x3  reduce  5x5  proj
    "inception3a": Row(    64,    96,  128,    16,   32,   32),
    "inception3b": Row(   128,   128,  192,    32,   96,   64),
    "pool3": None,
    "inception4a": Row(   192,    96,  208,    16,   48,   64),
    "inception4b": Row(   160,   112,  224,    24,   64,   64),
    "inception4c": Row(   128,   128,  256,    24,   64,   64),
    "inception4d": Row(   112,   144,  288,    32,   64,   64),
    "inception4e": Row(   256,   160,  320,    32,  128,  128),
    "pool4": None,
    "inception5a": Row(   256,   160,  320,    32,  128,  128),
    "inception5b": Row(   384,   192,  384,    48,  128,  128),
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Config:
    naive: bool = False  # Fig. 2(a), not 2(b)
    bn: bool = False  # all that torchvision changed
    aux: bool = True
    dropout: float = 0.4
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


VARIANTS = {
    "googlenet": Config(),
    "googlenet_naive": Config(naive=True),
    "googlenet_bn": Config(bn=True, dropout=0.2),
}


class Scores(NamedTuple):
    """What the network says in training, (N, classes) each; its errors and answers are those of `main`."""

    main: Tensor
    aux1: Tensor
    aux2: Tensor


@dataclass(frozen=True)
class Auxiliary:
    """Section 5: cross-entropy of the main scores, and `weight` times that of each auxiliary classifier's."""

    weight: float = 0.3

    def __call__(self, scores: Tensor | Scores, target: Tensor) -> Tensor:
        if isinstance(scores, Tensor):
            return cross_entropy(scores, target)
        main, *others = (cross_entropy(s, target) for s in scores)
        return main + self.weight * sum(others)


def conv(cin: int, cout: int, k: int, cfg: Config, stride: int = 1) -> nn.Sequential:
    layer = nn.Sequential()
    layer.conv = nn.Conv2d(cin, cout, k, stride, padding=k // 2, bias=not cfg.bn)
    if cfg.bn:
        layer.bn = nn.BatchNorm2d(cout, eps=1e-3)
    layer.relu = nn.ReLU()
    return layer


def window(cin: int, reduced: int, cout: int, k: int, cfg: Config) -> nn.Sequential:
    if cfg.naive:
        return conv(cin, cout, k, cfg)
    return nn.Sequential(OrderedDict(reduce=conv(cin, reduced, 1, cfg), conv=conv(reduced, cout, k, cfg)))


class Inception(nn.Module):
    """The same maps through four windows, stacked (Fig. 2)."""

    def __init__(self, cin: int, row: Row, cfg: Config):
        super().__init__()
        pool = nn.Sequential(OrderedDict(pool=nn.MaxPool2d(3, 1, padding=1)))
        if not cfg.naive:
            pool.proj = conv(cin, row.proj, 1, cfg)
        self.add_module("1x1", conv(cin, row.n1, 1, cfg))
        self.add_module("3x3", window(cin, row.reduce3, row.n3, 3, cfg))
        self.add_module("5x5", window(cin, row.reduce5, row.n5, 3 if cfg.bn else 5, cfg))
        self.add_module("pool", pool)
        self.cout = row.n1 + row.n3 + row.n5 + (cin if cfg.naive else row.proj)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], 1)


def auxiliary(cin: int, cfg: Config) -> nn.Sequential:
    """Section 5: 128 maps of 4x4, 1024 units, scores."""
    head = nn.Sequential()
    if not cfg.bn:
        head.average = nn.AvgPool2d(5, 3, ceil_mode=True)
    head.pool = nn.AdaptiveAvgPool2d(4)  # on 224 pixels and behind `average` this changes nothing
    head.reduce = conv(cin, 128, 1, cfg)
    head.flatten = nn.Flatten()
    head.fc, head.relu = nn.Linear(128 * 4 * 4, 1024), nn.ReLU()
    head.dropout = nn.Dropout(0.7)
    head.output = nn.Linear(1024, cfg.num_classes)
    return head


def stem(cfg: Config) -> nn.Sequential:
    """Fig. 3 up to the first module: 192 maps, an eighth as wide and high as the picture."""
    layers = nn.Sequential()
    layers.conv1 = conv(cfg.in_channels, 64, 7, cfg, stride=2)
    layers.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
    if not cfg.bn:
        layers.norm1 = nn.LocalResponseNorm(5)
    layers.conv2 = nn.Sequential(OrderedDict(reduce=conv(64, 64, 1, cfg), conv=conv(64, 192, 3, cfg)))
    if not cfg.bn:
        layers.norm2 = nn.LocalResponseNorm(5)
    layers.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
    return layers


class GoogLeNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        self.aux = cfg.aux
        self.features, c, widths = stem(cfg), 192, {}
        for name, row in TABLE_1.items():
            if row:
                module = Inception(c, row, cfg)
                c = widths[name] = module.cout
            else:
                module = nn.MaxPool2d(2 if cfg.bn and name == "pool4" else 3, 2, ceil_mode=True)
            self.features.add_module(name, module)
        if cfg.aux:
            self.aux1 = auxiliary(widths["inception4a"], cfg)
            self.aux2 = auxiliary(widths["inception4d"], cfg)
        self.head = pooled_head(c, cfg.num_classes, cfg.dropout)
        start(self)

    def forward(self, x: Tensor) -> Tensor | Scores:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not (self.training and self.aux):
            return super().forward(x)
        seen = {}
        for name, layer in self.features.named_children():
            x = seen[name] = layer(x)
        return Scores(self.head(x), self.aux1(seen["inception4a"]), self.aux2(seen["inception4d"]))


def start(net: GoogLeNet) -> None:
    """BVLC's copy: uniform weights of variance 1/fan-in, which Caffe calls Xavier; biases .2, of the classifiers 0."""
    for name, p in net.named_parameters():
        if p.dim() > 1:
            nn.init.kaiming_uniform_(p, nonlinearity="linear")
        elif name.endswith("bias"):
            nn.init.constant_(p, 0.2 if name.endswith(("conv.bias", "fc.bias")) else 0)


build = GoogLeNet
