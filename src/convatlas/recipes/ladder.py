"""Torchvision's second ResNet-50: from 76.13 to 80.86 % right in twelve rungs, each the one below with one thing changed.

The learning rates and decays of all rungs were found by search on the validation pictures that judge them.
"""

from dataclasses import replace

from ..data.augment import Erase
from ..data.colour import TrivialAugment
from ..data.crops import RandomResizedCrop
from ..data.mix import CutMix, Mixup, OneOf
from . import Average, Cosine, CrossEntropy, Recipe, Steps, View
from .imagenet import MEAN, normalised, passes, wrong
from .optimisers import SGD

SOURCE = 'Vryniotis 2021, "How to Train State-Of-The-Art Models Using TorchVision\'s Latest Primitives", pytorch.org/blog, section {}'
MIXUP, CUTMIX = Mixup(alpha=0.2), CutMix(alpha=1.0)
ERASE = Erase(chance=0.1, fill=tuple(255 * m for m in MEAN))  # zeros, once pictures are normalised


def ema(decay: float, every: int, batch: int, epochs: int) -> Average:
    """As references/classification/train.py adapts a decay to the batch and the length; while rates rise it only copies the weights."""
    return Average(decay=1 - min(1.0, (1 - decay) * batch * every / epochs), every=every, start=5 / epochs)


BASELINE = Recipe(
    source=SOURCE.format("Baseline"),
    model="resnet50_v1_5",
    data="imagenet",
    steps=passes(90, 256),
    batch=256,
    rate=Steps(rate=0.1, at=(passes(30, 256), passes(60, 256))),
    optimiser=SGD(momentum=0.9, decay=1e-4),
    crop=RandomResizedCrop(size=224, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    preprocess=normalised(224),
    view=View(resize=256, crop=224),
    test=passes(1, 256),
    published=wrong(76.130),
    precision="auto",
    layout="auto",
)
# Batches of 1,024; five passes of warm-up from a hundredth of the rate, then half a cosine. There the rate changes after each pass.
LR = replace(
    BASELINE,
    source=SOURCE.format("LR optimizations"),
    steps=passes(90, 1024),
    batch=1024,
    rate=Cosine(rate=0.5, warm=5 / 90, first=0.005),
    test=passes(1, 1024),
    published=wrong(76.494),
)
TRIVIAL = replace(LR, source=SOURCE.format("TrivialAugment"), augment=(TrivialAugment(),), published=wrong(76.806))
LONG = replace(
    TRIVIAL,
    source=SOURCE.format("Long Training"),
    steps=passes(600, 1024),
    rate=Cosine(rate=0.5, warm=5 / 600, first=0.005),
    published=wrong(78.606),
)
ERASING = replace(LONG, source=SOURCE.format("Random Erasing"), augment=(*LONG.augment, ERASE), published=wrong(78.796))
SMOOTHING = replace(ERASING, source=SOURCE.format("Label Smoothing"), loss=CrossEntropy(smoothing=0.1), published=wrong(79.114))
MIXED = replace(SMOOTHING, source=SOURCE.format("Mixup and Cutmix"), mix=MIXUP, published=wrong(79.232))
CUT = replace(MIXED, mix=OneOf((MIXUP, CUTMIX)), published=wrong(79.510))
# That norms do not decay is what the section says; `apart` spares biases too, of which only the classifier has one.
DECAY = replace(
    CUT, source=SOURCE.format("Weight Decay tuning"), optimiser=SGD(momentum=0.9, decay=2e-5, apart=True), published=wrong(80.036)
)
FIXRES = replace(
    DECAY,
    source=SOURCE.format("FixRes mitigations"),
    crop=RandomResizedCrop(size=176, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    published=wrong(80.196),
)
EMA = replace(
    FIXRES,
    source=SOURCE.format("Exponential Moving Average (EMA)"),
    average=ema(decay=0.99998, every=32, batch=1024, epochs=600),
    published=wrong(80.450),
)
RESIZE = replace(EMA, source=SOURCE.format("Inference Resize tuning"), view=View(resize=232, crop=224), published=wrong(80.674))
REPEATED = replace(RESIZE, source=SOURCE.format("[UPDATE] Repeated Augmentation"), repeats=4, published=wrong(80.858))

RUNGS = {
    "baseline": BASELINE,
    "lr": LR,
    "trivialaugment": TRIVIAL,
    "long": LONG,
    "erasing": ERASING,
    "smoothing": SMOOTHING,
    "mixup": MIXED,
    "cutmix": CUT,
    "decay": DECAY,
    "fixres": FIXRES,
    "ema": EMA,
    "resize": RESIZE,
    "repeated": REPEATED,
}
OTHERS = {"resnet101_v1_5": 81.886, "resnet152_v1_5": 82.284, "resnext50_32x4d": 81.198}  # the same recipe, section The Results
RECIPES = {f"resnet50_v1_5-imagenet-ladder-{i:02}-{name}": rung for i, (name, rung) in enumerate(RUNGS.items())} | {
    f"{name}-imagenet-ladder": replace(REPEATED, source=SOURCE.format("The Results"), model=name, published=wrong(right))
    for name, right in OTHERS.items()
}
