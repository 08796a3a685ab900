"""Sandler et al. 2018: RMSprop, 2 % less each pass."""

from dataclasses import replace

from ..data.crops import RandomResizedCrop
from . import Average, CrossEntropy, Exponential, Recipe, View
from .imagenet import halved, passes, wrong
from .optimisers import RMSprop

# Section 6.1: method, decay, rate and batch, each of sixteen machines by itself. README.md of slim/nets/mobilenet: label smoothing,
# averaging, and "if trained on a single GPU the full convergence is after 5.5M steps". RMSprop's eps of 1 is slim's.
MOBILENET_V2 = Recipe(
    source='Sandler et al. 2018, "MobileNetV2", section 6.1 and Table 4; length, smoothing and averaging from tensorflow/models, slim',
    model="mobilenet_v2",
    data="imagenet",
    steps=5_500_000,
    batch=96,
    rate=Exponential(rate=0.045, by=0.98, every=passes(1, 96)),
    optimiser=RMSprop(momentum=0.9, decay=4e-5, alpha=0.9, eps=1.0, apart=True),
    loss=CrossEntropy(smoothing=0.1),
    crop=RandomResizedCrop(size=224, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    average=Average(decay=0.9999),
    preprocess=halved(224),
    view=View(resize=256, crop=224),
    test=passes(1, 96),
    published=wrong(72.0),
    precision="auto",
    layout="auto",
    remembered=("crop",),
)

RECIPES = {
    "mobilenet_v2-imagenet": MOBILENET_V2,
    "mobilenet_v2_140-imagenet": replace(MOBILENET_V2, model="mobilenet_v2_140", published=wrong(74.7)),
}
