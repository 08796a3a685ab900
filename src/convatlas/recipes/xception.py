"""Chollet 2016: Inception V3's rates, 6 % less each two passes, and averaged weights."""

from ..data.crops import RandomResizedCrop
from . import Average, Exponential, Recipe, View
from .imagenet import halved, passes, wrong
from .optimisers import SGD

# Sections 4.2 to 4.4; dropout of .5 is the network's own. Neither batch nor length is printed, nor how crops were cut: 32 for each of the
# 60 GPUs and 100 passes, as Inception V3 was trained, are ours; so is that weights are averaged over the last tenth.
XCEPTION = Recipe(
    source='Chollet 2016, "Xception: Deep Learning with Depthwise Separable Convolutions", sections 4.2 to 4.4 and Table 1',
    model="xception",
    data="imagenet",
    steps=passes(100, 1920),
    batch=1920,
    rate=Exponential(rate=0.045, by=0.94, every=passes(2, 1920)),
    optimiser=SGD(momentum=0.9, decay=1e-5),
    crop=RandomResizedCrop(size=299, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    average=Average(decay=None, start=0.9),
    preprocess=halved(299),
    view=View(resize=342, crop=299),
    test=passes(1, 1920),
    published=wrong(79.0),
    precision="auto",
    layout="auto",
)

RECIPES = {"xception-imagenet": XCEPTION}
