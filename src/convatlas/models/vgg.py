"""VGG: Simonyan & Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014 (arXiv:1409.1556).

Only 3x3 windows and 2x2 pools: three 3x3 layers see as far as one of 7x7 for 27/49 of the weights, so depth comes cheap.

All six columns of Table 1. Where they differ from the paper:
  the paper grew its deep nets out of a trained A, which had started from N(0, variance .01), and later found the rule of
  Glorot & Bengio to do as well (section 3.1, from memory); that rule is used here, for every variant;
  the constants of the LRN of A-LRN are AlexNet's, as the paper says (from memory).
`vgg11_bn` to `vgg19_bn` are torchvision's, with batch norm (2015) after each convolution, whose bias is then idle but kept.
"""

from dataclasses import dataclass, replace

from torch import nn

from .alexnet import fully_connected, local_response_norm
from .net import Net, start

YEAR = 2014

Stage = tuple[int, ...]  # the kernels of its convolutions; a 2x2 pool follows


@dataclass(frozen=True, kw_only=True)
class Config:
    stages: tuple[Stage, Stage, Stage, Stage, Stage]
    lrn: bool = False  # after the first convolution
    bn: bool = False
    dropout: float = 0.5
    in_channels: int = 3
    num_classes: int = 1000
    size: int = 224


WIDTHS = (64, 128, 256, 512, 512)

# fmt: off
TABLE_1 = {  #   64       128      256           512           512
    "A":     ((3,),    (3,),    (3, 3),       (3, 3),       (3, 3)),
    "B":     ((3, 3),  (3, 3),  (3, 3),       (3, 3),       (3, 3)),
    "C":     ((3, 3),  (3, 3),  (3, 3, 1),    (3, 3, 1),    (3, 3, 1)),
    "D":     ((3, 3),  (3, 3),  (3, 3, 3),    (3, 3, 3),    (3, 3, 3)),
    "E":     ((3, 3),  (3, 3),  (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
# fmt: on

VARIANTS = {
    "vgg11": Config(stages=TABLE_1["A"]),
    "vgg11_lrn": Config(stages=TABLE_1["A"], lrn=True),
    "vgg13": Config(stages=TABLE_1["B"]),
    "vgg16_c": Config(stages=TABLE_1["C"]),
    "vgg16": Config(stages=TABLE_1["D"]),
    "vgg19": Config(stages=TABLE_1["E"]),
}
VARIANTS |= {f"{name}_bn": replace(VARIANTS[name], bn=True) for name in ("vgg11", "vgg13", "vgg16", "vgg19")}


def stage(cin: int, width: int, kernels: Stage, bn: bool, lrn: bool) -> nn.Sequential:
    """conv1, relu1, conv2, relu2, ..., pool: half as wide and high as what comes in."""
    layers = nn.Sequential()
    for i, k in enumerate(kernels, 1):
        layers.add_module(f"conv{i}", nn.Conv2d(cin, width, k, padding=k // 2))
        if bn:
            layers.add_module(f"bn{i}", nn.BatchNorm2d(width))
        layers.add_module(f"relu{i}", nn.ReLU())
        if lrn:
            layers.add_module(f"lrn{i}", local_response_norm())
        cin = width
    layers.pool = nn.MaxPool2d(2)
    return layers


class VGG(Net):
    def __init__(self, cfg: Config):
        super().__init__(cfg.size)
        c = cfg.in_channels
        for i, (width, kernels) in enumerate(zip(WIDTHS, cfg.stages, strict=True), 1):
            self.features.add_module(f"stage{i}", stage(c, width, kernels, cfg.bn, lrn=cfg.lrn and i == 1))
            c = width
        self.head = fully_connected(c, 7, cfg.num_classes, cfg.dropout)
        start(self, glorot)


def glorot(layer: nn.Conv2d | nn.Linear) -> None:
    """Glorot & Bengio 2010: as much variance forwards as backwards."""
    nn.init.xavier_uniform_(layer.weight)


build = VGG
