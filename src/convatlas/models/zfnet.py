"""ZFNet: Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", 2013 (arXiv:1311.2901).

Projecting a unit's activity back into the picture shows what it looks for; what that shows wrong in AlexNet, this mends.

`zfnet` is Fig. 3: AlexNet with 7x7 windows at stride 2 first and nothing split over two GPUs; 62,357,608 parameters.
`zfnet_b` is the paper's larger one: 512, 1024 and 512 maps in conv3, conv4 and conv5; 107,627,624 parameters.
Where they differ from the paper, or had to choose what it leaves open:
  paddings are those that give the sides of Fig. 3 on 224 pixels: 110, 55, 26, 13, 13, 13, 6. Pools count a window that
  hangs over the edge, as cuda-convnet's do;
  maps are pooled, then normalised, as the caption of Fig. 3 says (from memory); copies made out of AlexNet do it the other
  way round. The constants of the norm are AlexNet's; the paper gives none;
  the paper also resets any filter whose root mean square exceeds .1 to .1 while it trains: that is up to a recipe.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from .alexnet import fully_connected, local_response_norm
from .net import Net

YEAR = 2013


class Row(NamedTuple):
    k: int
    stride: int
    padding: int
    pool: bool
    norm: bool


# fmt: off
FIG_3 = {  #      k  stride  pad   pool   norm
    "conv1": Row( 7,   2,     1,  True,   True),
    "conv2": Row( 5,   2,     0,  True,   True),
    "conv3": Row( 3,   1,     1,  False,  False),
    "conv4": Row( 3,   1,     1,  False,  False),
    "conv5": Row( 3,   1,     1,  True,   False),
}
# fmt: on


@dataclass(frozen=True, kw_only=True)
class Config:
    widths: tuple[int, int, int, int, int]
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


VARIANTS = {
    "zfnet": Config(widths=(96, 256, 384, 384, 256)),
    "zfnet_b": Config(widths=(96, 256, 512, 1024, 512)),
}


class ZFNet(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        c = cfg.in_channels
        for i, (width, row) in enumerate(zip(cfg.widths, FIG_3.values(), strict=True), 1):
            layer = nn.Sequential()
            layer.conv, layer.relu = nn.Conv2d(c, width, row.k, row.stride, row.padding), nn.ReLU()
            self.features.add_module(f"conv{i}", layer)
            if row.pool:
                self.features.add_module(f"pool{i}", nn.MaxPool2d(3, 2, ceil_mode=True))
            if row.norm:
                self.features.add_module(f"norm{i}", local_response_norm())
            c = width
        self.head = fully_connected(c, 6, cfg.num_classes, cfg.dropout)
        start(self)

    @torch.no_grad()
    def after_step(self) -> None:
        """Section 3.1: a filter whose root mean square has grown beyond 0.1 is scaled back to that."""
        for layer in self.features.modules():
            if isinstance(layer, nn.Conv2d) and layer.weight.requires_grad:
                rms = layer.weight.pow(2).mean((1, 2, 3), keepdim=True).sqrt()
                layer.weight.mul_((0.1 / rms).clamp(max=1))


def start(net: ZFNet) -> None:
    """Section 3, from memory: weights "to 1e-2", which can only mean a spread of that; biases 0."""
    for p in net.parameters():
        nn.init.normal_(p, std=0.01 if p.dim() > 1 else 0)


build = ZFNet
