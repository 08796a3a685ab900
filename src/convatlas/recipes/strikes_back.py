"""Wightman, Touvron & Jegou 2021, "ResNet strikes back": three recipes for ResNet-50, of 600, 300 and 100 passes."""

from dataclasses import replace

from ..data.colour import RandAugment
from ..data.crops import RandomResizedCrop
from ..data.mix import CutMix, Mixup, OneOf
from . import BinaryCrossEntropy, Cosine, Recipe, View
from .imagenet import MEAN, normalised, passes, wrong
from .optimisers import LAMB

PAPER = 'Wightman et al. 2021, "ResNet strikes back: An improved training procedure in timm", section 3 and Table 2'
CUTMIX = CutMix(alpha=1.0)
GREY = tuple(255 * m for m in MEAN)  # what turned and moved pictures are filled up with

# Each batch is either mixed up or cut, and a class is there from a share of .2 up (timm's --bce-target-thresh). Tested on 224 pixels
# of 236, a crop of .95. Read in OpenMMLab's and others' copies of the settings, not in the paper. A pass is one over all pictures,
# of which those that come three times leave two thirds unseen.
A2 = Recipe(
    source=PAPER,
    model="resnet50_v1_5",
    data="imagenet",
    steps=passes(300, 2048),
    batch=2048,
    rate=Cosine(rate=5e-3, warm=5 / 300, last=1e-6, first=1e-4),
    optimiser=LAMB(decay=0.02),
    loss=BinaryCrossEntropy(threshold=0.2),
    crop=RandomResizedCrop(size=224),
    augment=(RandAugment(n=2, m=7, std=0.5, increasing=True, kind="timm", fill=GREY),),
    mix=OneOf((Mixup(alpha=0.1), CUTMIX)),
    repeats=3,
    config=(("drop_path", 0.05),),
    preprocess=normalised(224),
    view=View(resize=236, crop=224),
    test=passes(1, 2048),
    published=wrong(79.8),
    precision="auto",
    layout="auto",
)
A1 = replace(
    A2,
    steps=passes(600, 2048),
    rate=Cosine(rate=5e-3, warm=5 / 600, last=1e-6, first=1e-4),
    optimiser=LAMB(decay=0.01),
    loss=BinaryCrossEntropy(smoothing=0.1),
    mix=OneOf((Mixup(alpha=0.2), CUTMIX)),
    published=wrong(80.4),
    remembered=("loss",),
)
A3 = replace(
    A2,
    steps=passes(100, 2048),
    rate=Cosine(rate=8e-3, warm=5 / 100, last=1e-6, first=1e-4),
    crop=RandomResizedCrop(size=160),
    augment=(RandAugment(n=2, m=6, std=0.5, increasing=True, kind="timm", fill=GREY),),
    repeats=1,
    config=(),
    published=wrong(78.1),
)

RECIPES = {
    "resnet50_v1_5-imagenet-a1": A1,
    "resnet50_v1_5-imagenet-a2": A2,
    "resnet50_v1_5-imagenet-a3": A3,
}
