"""Lin, Chen & Yan 2013: CIFAR-10 with and without shifts and flips; and the first author's ImageNet net."""

from dataclasses import replace

from ..data.jitter import JitteredCrop
from . import Plateau, Recipe, Steps, View
from .cifar import CIFAR, SHIFTED
from .cifar import passes as cifar_passes
from .imagenet import centred, wrong
from .optimisers import SGD

# Section 4.1: batches of 128; weights and rates "are manually set", and "the learning rate is lowered by a scale of 10" twice where the
# training accuracy stops improving, "until it is one percent of the initial value". The rate and the decay are not printed: .1 and 1e-4
# are ours, as are the passes. The pictures there were contrast-normalised and whitened.
CIFAR10 = Recipe(
    source='Lin et al. 2013, "Network In Network", section 4.1 and Table 1',
    model="nin_cifar10",
    data="cifar10",
    steps=cifar_passes(300, 128),
    batch=128,
    rate=Plateau(rate=0.1, by=10, patience=10, times=2),
    optimiser=SGD(momentum=0.9, decay=1e-4),
    preprocess=CIFAR,
    test=cifar_passes(1, 128),
    published=10.41,
    precision="auto",
    layout="auto",
    remembered=("batch", "rate", "published"),
)

IMAGENET = Recipe(
    source="github.com/mavenlin, gist d802a5849de39225bcc6, the solver beside the net",
    model="nin",
    data="imagenet",
    steps=450_000,
    batch=64,
    rate=Steps(rate=0.01, at=(200_000, 400_000)),
    optimiser=SGD(momentum=0.9, decay=5e-4),
    crop=JitteredCrop(size=224, shorter=(256, 256)),
    preprocess=centred(224),
    view=View(resize=256, crop=224),
    test=10_000,
    published=wrong(59.36),
    precision="auto",
    layout="auto",
    remembered=("steps", "batch", "rate", "optimiser"),
)

RECIPES = {
    "nin_cifar10-cifar10": CIFAR10,
    "nin_cifar10-cifar10-augmented": replace(CIFAR10, augment=SHIFTED, published=8.81),
    "nin-imagenet": IMAGENET,
}
