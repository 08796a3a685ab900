"""airbench: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024 (arXiv:2404.00498).

Six convolutions behind a frozen one that whitens: all that it takes to learn CIFAR-10 in a few passes.

The first layer's filters do not learn: `prepare=Whitening()` of a recipe takes them from the pictures. Every other filter begins as an
identity, as far as there are maps to pass on. Norms shift but do not scale.
`airbench94` is the paper's; the speedruns' are ours, two of them narrower, for processors, on which each multiplication is paid for.

Where this differs from the paper:
  the whitening layer has no bias; in the paper one learns during the first passes;
  scores are not divided by the number of maps (the later published runs) or 9 (the paper): the head's weights begin that much smaller;
  the last pool takes the whole map, which on 32 pixels is the paper's 3x3.
"""

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, fx, nn
from torch.nn import functional as F

from .net import Net

YEAR = 2024


@dataclass(frozen=True, kw_only=True)
class Config:
    widths: tuple[int, ...]  # maps of each block's two convolutions
    patch: int = 2  # pixels a side that are whitened together
    directions: int | None = None  # of the most variance, that are kept; None: all, as many as a patch has numbers
    momentum: float = 0.4  # share of a batch in the norms' statistics
    trimmed: bool = False  # maps are not computed where the pool after them, on an odd number of pixels, does not look
    in_channels: int = 3
    num_classes: int = 10
    size: int = 32


VARIANTS = {
    "airbench94": Config(widths=(64, 64, 256, 256, 256, 256)),
    "speedrun_cifar10": Config(widths=(64, 64, 256, 256, 256, 256), momentum=0.15, trimmed=True),
    "speedrun_mnist": Config(widths=(16, 16, 48, 48, 64, 64), patch=3, directions=8, momentum=0.15, in_channels=1, size=28),
    "speedrun_fashion": Config(widths=(48, 48, 96, 96, 128, 128), momentum=0.15, in_channels=1, size=28),
}


def whiten(cin: int, k: int, directions: int | None) -> nn.Conv2d:
    """Its filters, each direction in the space of patches and its opposite, are part of the network's state but do not learn."""
    layer = nn.Conv2d(cin, 2 * (directions or cin * k**2), k, bias=False)
    drawn = layer.weight.detach()
    del layer.weight
    layer.register_buffer("weight", drawn)
    return layer


def norm(c: int, momentum: float) -> nn.BatchNorm2d:
    """It shifts, but does not scale."""
    layer = nn.BatchNorm2d(c, eps=1e-12, momentum=momentum)
    layer.register_parameter("weight", None)
    return layer


@fx.wrap  # a trace cannot know which it is
def trimmed(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    odd = x.shape[2] % 2, x.shape[3] % 2
    return F.conv2d(F.pad(x, (1, 1 - odd[1], 1, 1 - odd[0])), weight, bias) if any(odd) else F.conv2d(x, weight, bias, padding=1)


class Trimmed(nn.Conv2d):
    """A 3x3 convolution but for the last row and column of maps of odd size, which a 2x2 pool leaves out."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (as nn.Conv2d has it)
        return trimmed(input, self.weight, self.bias)


def conv(cin: int, cout: int, kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Conv2d:
    """The first `cin` of its filters pass on a map each; the others begin as PyTorch's."""
    layer = kind(cin, cout, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:cin])
    return layer


def block(cin: int, middle: int, cout: int, momentum: float, trimmed: bool) -> nn.Sequential:
    return nn.Sequential(OrderedDict(
        conv1=conv(cin, middle, Trimmed if trimmed else nn.Conv2d), pool=nn.MaxPool2d(2), norm1=norm(middle, momentum), gelu1=nn.GELU(),
        conv2=conv(middle, cout), norm2=norm(cout, momentum), gelu2=nn.GELU(),
    ))  # fmt: skip


class Airbench(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        first = whiten(cfg.in_channels, cfg.patch, cfg.directions)
        self.features.whiten, self.features.gelu, c = first, nn.GELU(), first.out_channels
        for i, (middle, cout) in enumerate(zip(cfg.widths[::2], cfg.widths[1::2], strict=True), 1):
            self.features.add_module(f"block{i}", block(c, middle, cout, cfg.momentum, cfg.trimmed))
            c = cout
        self.head = nn.Sequential()
        self.head.pool, self.head.flatten = nn.AdaptiveMaxPool2d(1), nn.Flatten()
        self.head.output = nn.Linear(c, cfg.num_classes, bias=False)
        nn.init.normal_(self.head.output.weight, std=1 / c)


build = Airbench
