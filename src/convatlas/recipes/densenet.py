"""Huang, Liu, van der Maaten & Weinberger 2016: CIFAR-10 in 300 passes, ImageNet in 90."""

from dataclasses import replace

from . import Recipe, Steps
from .cifar import CIFAR, SHIFTED, passes
from .optimisers import SGD
from .resnet import FAIR

PAPER = 'Huang et al. 2016, "Densely Connected Convolutional Networks", section {}, as released: README.md, opts.lua and train.lua'

# The rate falls once half and once three quarters of the passes are over.
PLAIN = Recipe(
    source=PAPER.format("4.2 and Table 2"),
    model="densenet_40_12",
    data="cifar10",
    steps=passes(300, 64),
    batch=64,
    rate=Steps(rate=0.1, at=(passes(150, 64), passes(225, 64))),
    optimiser=SGD(momentum=0.9, decay=1e-4, nesterov=True),
    preprocess=CIFAR,
    test=passes(2, 64),
    precision="auto",
    layout="auto",
)
DROPPED = (("dropout", 0.2),)  # "on CIFAR-10 and CIFAR-100 without data augmentation"

# By depth and growth: test errors without and with shifts and flips (C10, C10+).
TABLE_2 = {
    "densenet_40_12": (7.00, 5.24),
    "densenet_100_12": (5.77, 4.10),
    "densenet_100_24": (5.83, 3.74),
    "densenet_bc_100_12": (5.92, 4.51),
    "densenet_bc_250_24": (5.19, 3.62),
    "densenet_bc_190_40": (None, 3.46),
}
IMAGENET = {"densenet121": 25.0, "densenet169": 23.6, "densenet201": 22.5, "densenet161": 22.2}

RECIPES = {f"{name}-cifar10": replace(PLAIN, model=name, augment=SHIFTED, published=both[1]) for name, both in TABLE_2.items()}
RECIPES |= {
    f"{name}-cifar10-bare": replace(PLAIN, model=name, config=DROPPED, published=both[0]) for name, both in TABLE_2.items() if both[0]
}
RECIPES |= {
    f"{name}-imagenet": replace(FAIR, source=PAPER.format("4.2 and the README's table"), model=name, published=error)
    for name, error in IMAGENET.items()
}
