"""Szegedy et al. 2014: 4 % less each eight passes, auxiliary classifiers, averaged weights. BVLC's copy; and a modern recipe."""

from dataclasses import replace

from ..data.colour import Photometric
from ..data.crops import RandomResizedCrop
from ..data.jitter import JitteredCrop
from ..models.googlenet import Auxiliary
from . import Average, Exponential, Poly, Recipe, View
from .alexnet import MODERN
from .imagenet import centred, passes
from .optimisers import SGD

CAFFE = "BVLC/caffe, models/bvlc_googlenet: {} and readme.md"

# Sections 5 and 6: momentum .9, "decreasing the learning rate by 4% every 8 epochs", Polyak averaging, weight .3 of the auxiliary
# losses; crops of 8 to 100 % of the area and of aspects between 3/4 and 4/3, "one prescription that was verified to work very well
# after the competition", and photometric distortions. The paper prints neither batch, first rate, decay nor length, nor a top-1 error:
# those are of BVLC's copy, with which an author helped. Nor since when weights are averaged: the last tenth is ours.
GOOGLENET = Recipe(
    source='Szegedy et al. 2014, "Going Deeper with Convolutions", sections 5 and 6; batch, first rate, decay and length from BVLC/caffe',
    model="googlenet",
    data="imagenet",
    steps=passes(250, 32),
    batch=32,
    rate=Exponential(rate=0.01, by=0.96, every=passes(8, 32)),
    optimiser=SGD(momentum=0.9, decay=2e-4),
    loss=Auxiliary(weight=0.3),
    crop=RandomResizedCrop(size=224, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    augment=(Photometric(),),
    average=Average(decay=None, start=0.9),
    preprocess=centred(224),
    view=View(resize=256, crop=224),
    test=passes(1, 32),
    precision="auto",
    layout="auto",
)

# "not training with the relighting data-augmentation; not training with the scale or aspect-ratio data-augmentation", nor averaging.
BVLC = replace(
    GOOGLENET,
    source=CAFFE.format("quick_solver.prototxt"),
    steps=2_400_000,
    rate=Poly(rate=0.01, power=0.5),
    optimiser=SGD(momentum=0.9, decay=2e-4, apart=True, bias_rate=2.0),
    crop=JitteredCrop(size=224, shorter=(256, 256)),
    augment=(),
    average=None,
    test=40_000,
    published=31.3,
    remembered=("optimiser",),
)

RECIPES = {
    "googlenet-imagenet": GOOGLENET,
    "googlenet-imagenet-bvlc": BVLC,
    "googlenet-imagenet-modern": replace(
        MODERN,
        source="ours, section 6 of the paper made new; not yet run to its end",
        model="googlenet",
        loss=Auxiliary(weight=0.3),
        preprocess=replace(MODERN.preprocess, size=224),
        view=View(resize=256, crop=224),
    ),
}
