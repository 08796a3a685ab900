"""Zeiler & Fergus 2013: seventy passes, the rate lowered by hand, filters kept from growing. And a modern recipe."""

from dataclasses import replace

from ..data.jitter import JitteredCrop
from . import Plateau, Recipe, View
from .alexnet import MODERN
from .imagenet import centred, passes
from .optimisers import SGD

# Section 3.1. Filters of a root mean square above .1 are scaled back by the network itself after each step. The crops are those of the
# corners and the middle there, and from anywhere here. By what the rate was divided, and a weight decay, the paper does not print:
# 10 and 5e-4 are those of Krizhevsky et al., on whose code theirs was based.
ZFNET = Recipe(
    source='Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks", section 3.1 and Table 3',
    model="zfnet",
    data="imagenet",
    steps=passes(70, 128),
    batch=128,
    rate=Plateau(rate=0.01, by=10, patience=4, times=3),
    optimiser=SGD(momentum=0.9, decay=5e-4),
    crop=JitteredCrop(size=224, shorter=(256, 256)),
    preprocess=centred(224),
    view=View(resize=256, crop=256),
    test=passes(1, 128),
    published=38.4,
    protocol="ten-crop",
    precision="auto",
    layout="auto",
)

RECIPES = {
    "zfnet-imagenet": ZFNET,
    "zfnet_b-imagenet": replace(ZFNET, model="zfnet_b", published=37.5),
    "zfnet-imagenet-modern": replace(
        MODERN,
        source="ours, section 3.1 of the paper made new; not yet run to its end",
        model="zfnet",
        preprocess=replace(MODERN.preprocess, size=224),
        view=View(resize=256, crop=224),
    ),
}
