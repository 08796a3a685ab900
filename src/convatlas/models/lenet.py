"""LeNet-5: LeCun, Bottou, Bengio & Haffner, "Gradient-Based Learning Applied to Document Recognition", 1998.

Local windows with shared weights find strokes anywhere; maps that shrink step by step forget exactly where.

`lenet5` is the paper's network, section II-B: 60,000 trained parameters, 340,908 connections. Where it differs:
  an output is the negative of the paper's penalty, so that here too the largest score is the answer;
  the digits' bitmaps (the paper's Fig. 3) are as others have transcribed them, for its pixels could not be read anew;
  classes other than ten get random codes of +-1, which section II-B names as the alternative;
  weights start with variance 1/fan-in; from the +-2.4/fan-in of Appendix A (remembered, not re-read) it never learned
  under the paper's schedule, and its effective rates were not those that section III-B prints: docs/log.md, 2026-11-23.
`lenet5_modern` is the network that courses teach: full C3, plain pooling, a softmax.
On pictures of another `size` than 32, which must be square, the maps of C5 are larger, and F6 reads all of them.
"""

from collections import OrderedDict
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, pad

from .net import Net

YEAR = 1998

# Table I: the maps of S2 that each map of C3 reads; 60 pairs of the 96 there could be.
TABLE_I = ("012", "123", "234", "345", "045", "015", "0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245", "0235", "012345")

# Fig. 3: what the 84 units of F6, 7 across and 12 down, should draw for each digit.
FIG_3 = """
    .#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
    ....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
    ..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
    .##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
    ##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
    ##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
    ##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
    ##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
    .##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
    ..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
    ....... ....... ....... ....... .....## ....... ....... ....... ....... .......
    ....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


@dataclass(frozen=True, kw_only=True)
class Config:
    modern: bool = False
    pool: Literal["max", "average"] = "max"  # of the modern form, like `act`
    act: Literal["relu", "tanh", "sigmoid"] = "relu"
    in_channels: int = 1
    num_classes: int = 10
    size: int = 32


VARIANTS = {
    "lenet5": Config(),
    "lenet5_modern": Config(modern=True),
}


class Squash(nn.Module):
    """f(a) = 1.7159 tanh(2a/3): f(1) = 1 and f(-1) = -1, where its second derivative is largest (Appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsample(nn.Module):
    """The sum of each 2x2 square, times the map's one coefficient, plus its one bias."""

    kernel_size, stride = 2, 2

    def __init__(self, maps: int):
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(maps, 1, 1))
        self.bias = nn.Parameter(torch.empty(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return avg_pool2d(x, 2, divisor_override=1) * self.coefficient + self.bias


class TableConv2d(nn.Module):
    """A convolution with a k x k kernel for each (input, output) pair of maps in `table`, and none for the other pairs."""

    pairs: Tensor

    def __init__(self, cin: int, table: tuple[str, ...], k: int):
        super().__init__()
        self.shape, self.kernel_size = (len(table), cin, k, k), k
        self.weight = nn.Parameter(torch.empty(sum(map(len, table)), k, k))
        self.bias = nn.Parameter(torch.empty(len(table)))
        self.register_buffer("pairs", torch.tensor([cin * i + int(j) for i, maps in enumerate(table) for j in maps]))

    def full(self) -> Tensor:
        return self.weight.new_zeros(self.shape).flatten(0, 1).index_copy(0, self.pairs, self.weight).view(self.shape)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(x, self.full(), self.bias)


class RBF(nn.Module):
    """Minus the squared distance to each class's fixed code: how badly F6 draws that class, as a score."""

    weight: Tensor

    def __init__(self, codes: Tensor):
        super().__init__()
        self.register_buffer("weight", codes)

    def forward(self, x: Tensor) -> Tensor:
        return -(x[:, None] - self.weight).square().sum(2)


@dataclass(frozen=True)
class Penalty:
    """Equation 8: the mean penalty of the right class. Scores (N, classes) of `lenet5`, classes (N,)."""

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor:
        return -scores.gather(1, target[:, None]).mean()


@dataclass(frozen=True)
class MAP:
    """Equation 9, maximum a posteriori: the right class's penalty falls, and those of all others rise.

    `garbage` is the paper's constant j, the penalty of a class for all that is no digit: others that are
    farther than it are left in peace. The paper does not print its value; docs/log.md, 2026-11-23, tells how 20 was found.
    """

    garbage: float = 20.0

    def __call__(self, scores: Tensor, target: Tensor) -> Tensor:
        rivals = pad(scores, (0, 1), value=-self.garbage).logsumexp(1)
        return (rivals - scores.gather(1, target[:, None])[:, 0]).mean()


def codes(num_classes: int) -> Tensor:
    """(classes, 84) of +-1: the bitmaps of Fig. 3 for ten digits; else drawn at random, the same ones each time."""
    if num_classes == 10:
        rows = [line.split() for line in FIG_3.split("\n") if line]
        return torch.tensor([[1.0 if c == "#" else -1.0 for c in "".join(digit)] for digit in zip(*rows[:12], strict=True)])
    drawn = torch.randint(2, (num_classes, 84), generator=torch.Generator("cpu").manual_seed(84), device="cpu")
    return torch.empty(num_classes, 84).copy_(drawn * 2 - 1)


def units(cfg: Config) -> int:
    """How many C5 has: 120 maps, of one unit each on 32 pixels. Raises ValueError where no unit is left."""
    side = ((cfg.size - 4) // 2 - 4) // 2 - 4
    if side < 1:
        raise ValueError(f"LeNet-5 needs pictures of 32 pixels a side or more, not {cfg.size}; pad smaller ones, as its authors did.")
    return 120 * side**2


class LeNet5(Net):
    counts = ("parameters", "connections", "macs")

    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        self.features.C1 = squashed(conv=nn.Conv2d(cfg.in_channels, 6, 5))
        self.features.S2 = squashed(pool=Subsample(6))
        self.features.C3 = squashed(conv=TableConv2d(6, TABLE_I, 5))
        self.features.S4 = squashed(pool=Subsample(16))
        self.features.C5 = squashed(conv=nn.Conv2d(16, 120, 5))
        self.head = nn.Sequential(OrderedDict(flatten=nn.Flatten()))
        self.head.F6 = squashed(linear=nn.Linear(units(cfg), 84))
        self.head.output = RBF(codes(cfg.num_classes))
        start(self)


def squashed(**layer: nn.Module) -> nn.Sequential:
    """A layer of the paper: weighted sums, then the squashing function."""
    return nn.Sequential(OrderedDict(**layer, squash=Squash()))


@torch.no_grad()
def start(net: LeNet5) -> None:
    """Fresh weights: uniform, of variance 1/F, where F is the number of inputs of the unit that a weight belongs to.

    A subsampling coefficient begins between the 1/2 that keeps the spread of four strangers and the 1/4 that keeps that
    of four equals, without dice: a map whose coefficient fell near zero was lost for good.
    """
    for layer in net.modules():
        match layer:
            case TableConv2d():
                spread(layer.weight, [25 * len(maps) for maps in TABLE_I for _ in maps])
                spread(layer.bias, [25 * len(maps) for maps in TABLE_I])
            case Subsample():
                layer.coefficient.fill_(1 / sqrt(8))
                spread(layer.bias, [4])
            case nn.Conv2d() | nn.Linear():
                for p in layer.parameters():
                    spread(p, [layer.weight[0].numel()])


def spread(p: Tensor, fan_in: list[int]) -> None:
    bound = torch.tensor([sqrt(3 / f) for f in fan_in])
    p.uniform_(-1, 1).mul_(bound.view(-1, *[1] * (p.dim() - 1)))


class LeNet5Modern(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        act = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[cfg.act]
        pool = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}[cfg.pool]
        self.features.C1 = nn.Sequential(nn.Conv2d(cfg.in_channels, 6, 5), act())
        self.features.S2 = pool(2)
        self.features.C3 = nn.Sequential(nn.Conv2d(6, 16, 5), act())
        self.features.S4 = pool(2)
        self.features.C5 = nn.Sequential(nn.Conv2d(16, 120, 5), act())
        self.head = nn.Sequential(OrderedDict(flatten=nn.Flatten()))
        self.head.F6 = nn.Sequential(nn.Linear(units(cfg), 84), act())
        self.head.output = nn.Linear(84, cfg.num_classes)


def build(cfg: Config) -> Net:
    return LeNet5Modern(cfg) if cfg.modern else LeNet5(cfg)
