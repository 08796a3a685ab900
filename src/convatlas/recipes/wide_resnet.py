"""Zagoruyko & Komodakis 2016: CIFAR-10 in 200 passes, the rate a fifth after 60, 120 and 160."""

from dataclasses import replace

from ..data.augment import Flip, Shift
from . import Recipe, Steps
from .cifar import CIFAR, passes
from .optimisers import SGD
from .resnet import FAIR

# scripts/train_cifar.sh and the defaults of train.lua. Pictures are moved by up to four pixels, with what is missing reflected.
WRN28_10 = Recipe(
    source='Zagoruyko & Komodakis 2016, "Wide Residual Networks", section 3, as released: scripts/train_cifar.sh and train.lua',
    model="wide_resnet28_10",
    data="cifar10",
    steps=passes(200, 128),
    batch=128,
    rate=Steps(rate=0.1, at=(passes(60, 128), passes(120, 128), passes(160, 128)), by=5),
    optimiser=SGD(momentum=0.9, decay=5e-4, nesterov=True),
    augment=(Shift(4, reflect=True), Flip()),
    preprocess=CIFAR,
    test=passes(2, 128),
    published=4.0,
    precision="auto",
    layout="auto",
)

RECIPES = {
    "wide_resnet28_10-cifar10": WRN28_10,
    "wide_resnet28_10-cifar10-dropout": replace(WRN28_10, config=(("dropout", 0.3),), published=3.89),
    "wide_resnet40_4-cifar10": replace(WRN28_10, model="wide_resnet40_4", published=4.53, remembered=("published",)),
    "wide_resnet50_2-imagenet": replace(
        FAIR,
        source="Zagoruyko & Komodakis 2016, section 3 and Table 8, with the code of fb.resnet.torch; results: README.md",
        model="wide_resnet50_2",
        published=21.9,
        remembered=("steps", "batch", "rate", "optimiser", "augment"),
    ),
}
