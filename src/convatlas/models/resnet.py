"""ResNet: He, Zhang, Ren & Sun, "Deep Residual Learning for Image Recognition", 2015 (arXiv:1512.03385).

A block learns what to add to its input, y = x + f(x), so that a hundred layers train more easily than twenty.

`resnet50` and deeper halve the map in the first 1x1 of a bottleneck, as the authors' Caffe nets do: Table 1's 3.8 GFLOPs.
`resnet50_v1_5` and deeper halve it in the 3x3, as nearly everyone has since: 4.1 GFLOPs, and a smaller receptive field.
18 and 34 layers have no 1x1 to move the stride from, so one form of them is both.
`plain18` and the like are the same nets without shortcuts. `shortcut` is Table 3's option: "A" pads with zeros, "B" projects
where the shape changes, "C" projects everywhere. ImageNet nets have B here; Table 2's 18 and 34 are `shortcut="A"`.

Where this differs from the paper:
  its ResNet-50 as released has a bias in conv1, its 101 and 152 have none; here none has;
  batch norm tests with moving averages, the authors' released nets with exact ones;
  weights start by fan-out, as in the Torch code of its later papers: its own filler is not published;
  `drop_path` is stochastic depth (Huang et al. 2016, arXiv:1603.09382), but each picture draws for itself, where that paper
  draws once a batch, and branches are scaled up in training, where that paper scales them down in testing.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import pad

from .net import ConvBN, Net, StochasticDepth, pooled_head, start

YEAR = 2015


@dataclass(frozen=True, kw_only=True)
class Config:
    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: Literal["imagenet", "cifar"] = "imagenet"
    stride_in: Literal["1x1", "3x3"] = "1x1"  # the layer of a bottleneck that halves the map
    shortcut: Literal["A", "B", "C"] | None = "B"  # None: a plain net
    drop_path: float = 0.0  # chance that the last block's branch is skipped in training; the first block's is least
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


def cifar(n: int, shortcut: Literal["A"] | None) -> Config:
    """Section 4.2: 6n + 2 layers."""
    return Config(block="basic", depths=(n, n, n), widths=(16, 32, 64), stem="cifar", shortcut=shortcut, num_classes=10, size=32)


# fmt: off
VARIANTS = {  # Table 1                                  conv2_x 3_x  4_x 5_x
    "plain18":        Config(block="basic",      depths=(2,      2,   2,  2), shortcut=None),
    "plain34":        Config(block="basic",      depths=(3,      4,   6,  3), shortcut=None),
    "resnet18":       Config(block="basic",      depths=(2,      2,   2,  2)),
    "resnet34":       Config(block="basic",      depths=(3,      4,   6,  3)),
    "resnet50":       Config(block="bottleneck", depths=(3,      4,   6,  3)),
    "resnet101":      Config(block="bottleneck", depths=(3,      4,  23,  3)),
    "resnet152":      Config(block="bottleneck", depths=(3,      8,  36,  3)),
    "resnet50_v1_5":  Config(block="bottleneck", depths=(3,      4,   6,  3), stride_in="3x3"),
    "resnet101_v1_5": Config(block="bottleneck", depths=(3,      4,  23,  3), stride_in="3x3"),
    "resnet152_v1_5": Config(block="bottleneck", depths=(3,      8,  36,  3), stride_in="3x3"),
    **{f"plain{6 * n + 2}":  cifar(n, None) for n in (3, 5, 7, 9)},           # 20, 32, 44, 56
    **{f"resnet{6 * n + 2}": cifar(n, "A")  for n in (3, 5, 7, 9, 18, 200)},  # and 110, 1202
}
# fmt: on


class Residual(nn.Module):
    """y = relu(f(x) + shortcut(x)): Fig. 2."""

    def __init__(self, f: nn.Sequential, shortcut: nn.Module):
        super().__init__()
        self.f = f
        self.shortcut = shortcut
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.f(x) + self.shortcut(x))


class Pad(nn.Module):
    """Every `stride`-th pixel, and zeros for the maps that are not there yet: a shortcut with nothing to learn."""

    kernel_size = 1

    def __init__(self, cin: int, cout: int, stride: int):
        super().__init__()
        self.stride, self.extra = stride, cout - cin

    def forward(self, x: Tensor) -> Tensor:
        return pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))


def shortcut(cin: int, cout: int, stride: int, option: str = "B") -> nn.Module:
    """Section 4.1: options A, B and C."""
    if (cin, stride) == (cout, 1) and option != "C":
        return nn.Identity()
    return Pad(cin, cout, stride) if option == "A" else ConvBN(cin, cout, 1, stride, act=None)


def basic(cin: int, width: int, stride: int) -> nn.Sequential:
    """Fig. 5, left."""
    return nn.Sequential(
        ConvBN(cin, width, 3, stride),
        ConvBN(width, width, 3, act=None),
    )


def bottleneck(cin: int, width: int, cout: int, stride: int, *, stride_in: str = "3x3", groups: int = 1) -> nn.Sequential:
    """Fig. 5, right."""
    return nn.Sequential(
        ConvBN(cin, width, 1, stride if stride_in == "1x1" else 1),
        ConvBN(width, width, 3, stride if stride_in == "3x3" else 1, groups),
        ConvBN(width, cout, 1, act=None),
    )


EXPANSION = {"basic": 1, "bottleneck": 4}  # how many times its width a block gives


def block(cfg: Config, cin: int, width: int, stride: int) -> nn.Module:
    cout = width * EXPANSION[cfg.block]
    f = basic(cin, width, stride) if cfg.block == "basic" else bottleneck(cin, width, cout, stride, stride_in=cfg.stride_in)
    if cfg.shortcut is None:
        return nn.Sequential(OrderedDict(f=f, relu=nn.ReLU()))
    return Residual(f, shortcut(cin, cout, stride, cfg.shortcut))


Block = Callable[[int, int, int], nn.Module]  # of cin, width and stride


def stages(make: Block, cin: int, widths: tuple[int, ...], depths: tuple[int, ...], expansion: int) -> Iterator[nn.Sequential]:
    """conv2_x and on: `depth` blocks each; the first block of every stage but conv2_x halves the map."""
    for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        first = make(cin, width, 2 if i else 1)
        cin = width * expansion
        yield nn.Sequential(first, *(make(cin, width, 1) for _ in range(depth - 1)))


def he(layer: nn.Conv2d | nn.Linear) -> None:
    """Fresh weights: normal, of variance 2 / (k * k * cout), by He et al. 2015 (arXiv:1502.01852), equation 14.

    Linear layers keep what Torch and PyTorch begin with, uniform in +-1/sqrt(cin).
    """
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def skip_at_random(net: nn.Module, p: float) -> None:
    """Block l of L is skipped with chance p * l / L: Huang et al. 2016, "linear decay"."""
    residuals = [layer for layer in net.modules() if isinstance(layer, Residual)]
    for i, residual in enumerate(residuals, 1):
        residual.f.append(StochasticDepth(p * i / len(residuals)))


class ResNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        cin, expansion = cfg.widths[0], EXPANSION[cfg.block]
        if cfg.stem == "imagenet":
            self.features.conv1 = ConvBN(cfg.in_channels, cin, 7, 2)
            self.features.pool1 = nn.MaxPool2d(3, 2, padding=1)
        else:
            self.features.conv1 = ConvBN(cfg.in_channels, cin, 3)
        for i, stage in enumerate(stages(partial(block, cfg), cin, cfg.widths, cfg.depths, expansion), 2):
            self.features.add_module(f"conv{i}_x", stage)
        self.head = pooled_head(cfg.widths[-1] * expansion, cfg.num_classes)
        start(self, he)
        if cfg.drop_path:
            skip_at_random(self, cfg.drop_path)


build = ResNet
