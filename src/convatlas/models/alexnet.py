"""AlexNet: Krizhevsky, Sutskever & Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012 (NIPS 25).

A large convolutional network, made of rectifiers, kept honest by dropout and trained on two GPUs, beats features made by hand.

`alexnet` is the paper's network: 60,965,224 parameters. Where it differs:
  pictures have 227 pixels a side, not the printed 224: (227 - 11) / 4 + 1 = 55, the side that the paper draws for conv1;
  the two GPUs are two groups of maps on one device: conv2, conv4 and conv5 see their own half only.
`lrn` says how maps restrain each other. "paper": x / (2 + 1e-4 * sum over 5 maps of x^2)^.75. "code": what cuda-convnet2
  computes and so what probably ran, a mean in place of the sum. PyTorch takes means too, hence 5e-4 for the paper's 1e-4.
  None: without. Caffe has k = 1, not 2; its CaffeNet also pools before it normalises.
`alexnet_1col` lets every map see all others, as most copies do: 62,378,344 parameters. It is not the paper's one-GPU net.
`alexnet_owt` is torchvision's: the widths of Krizhevsky's "One weird trick" (2014, arXiv:1404.5997), but padded to fit 224
  pixels, without that paper's LRN (lrn="code" brings it back) and with dropout in front of fc6 and fc7, not behind them.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import nn

from .net import Net

YEAR = 2012

LRN = Literal["paper", "code"]
Drop = Literal["outputs", "inputs"]


class Row(NamedTuple):
    maps: int
    k: int
    stride: int
    padding: int
    groups: int = 1
    norm: bool = False
    pool: bool = False


# fmt: off
SECTION_3_5 = {  # maps   k  stride  pad  groups  LRN    pool
    "conv1": Row(   96,  11,   4,     0,    1,   True,   True),
    "conv2": Row(  256,   5,   1,     2,    2,   True,   True),
    "conv3": Row(  384,   3,   1,     1,    1,   False,  False),
    "conv4": Row(  384,   3,   1,     1,    2,   False,  False),
    "conv5": Row(  256,   3,   1,     1,    2,   False,  True),
}
OWT = {  # "One weird trick", the layers of cuda-convnet2
    "conv1": Row(   64,  11,   4,     2,    1,   True,   True),
    "conv2": Row(  192,   5,   1,     2,    1,   True,   True),
    "conv3": Row(  384,   3,   1,     1,    1,   False,  False),
    "conv4": Row(  256,   3,   1,     1,    1,   False,  False),
    "conv5": Row(  256,   3,   1,     1,    1,   False,  True),
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Config:
    trick: bool = False  # the layers of "One weird trick"
    columns: Literal[1, 2] = 2
    lrn: LRN | None = "paper"
    dropout: float = 0.5
    drop: Drop = "outputs"  # of fc6 and fc7
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 227


VARIANTS = {
    "alexnet": Config(),
    "alexnet_1col": Config(columns=1),
    "alexnet_owt": Config(trick=True, columns=1, lrn=None, drop="inputs", size=224),
}


def local_response_norm(lrn: LRN = "paper") -> nn.LocalResponseNorm:
    """Each map divided by how strongly five neighbouring maps respond at the same place (section 3.3)."""
    return nn.LocalResponseNorm(5, alpha={"paper": 5e-4, "code": 1e-4}[lrn], beta=0.75, k=2)


def convolution(cin: int, row: Row, cfg: Config) -> nn.Sequential:
    layer = nn.Sequential()
    layer.conv = nn.Conv2d(cin, row.maps, row.k, row.stride, row.padding, groups=min(row.groups, cfg.columns))
    layer.relu = nn.ReLU()
    if row.norm and cfg.lrn:
        layer.norm = local_response_norm(cfg.lrn)
    return layer


def fully_connected(maps: int, side: int, num_classes: int, dropout: float, drop: Drop = "outputs") -> nn.Sequential:
    """Two layers of 4096 units and the scores. Maps that are not `side` pixels wide and high are averaged until they are."""
    head = nn.Sequential()
    head.pool, head.flatten = nn.AdaptiveAvgPool2d(side), nn.Flatten()
    for name, cin in {"fc6": maps * side**2, "fc7": 4096}.items():
        unit: OrderedDict[str, nn.Module] = OrderedDict(linear=nn.Linear(cin, 4096), relu=nn.ReLU(), dropout=nn.Dropout(dropout))
        unit.move_to_end("dropout", last=drop == "outputs")
        head.add_module(name, nn.Sequential(unit))
    head.fc8 = nn.Linear(4096, num_classes)
    return head


class AlexNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        c = cfg.in_channels
        for name, row in (OWT if cfg.trick else SECTION_3_5).items():
            self.features.add_module(name, convolution(c, row, cfg))
            if row.pool:
                self.features.add_module(name.replace("conv", "pool"), nn.MaxPool2d(3, 2))  # overlapping: section 3.4
            c = row.maps
        self.head = fully_connected(c, 6, cfg.num_classes, cfg.dropout, cfg.drop)
        start(self)


def start(net: AlexNet) -> None:
    """Section 5, from memory: weights N(0, .01); biases 1 where that feeds the rectifiers positive inputs early on, else 0."""
    for name, p in net.named_parameters():
        if p.dim() > 1:
            nn.init.normal_(p, std=0.01)
        else:
            nn.init.constant_(p, name.split(".")[1] in ("conv2", "conv4", "conv5", "fc6", "fc7"))


build = AlexNet
