"""He, Zhang, Ren & Sun 2016: CIFAR-10 as their first nets, for a thousand layers; and ImageNet for two hundred."""

from dataclasses import replace

from ..data.crops import RandomResizedCrop
from . import Recipe, Steps, View, cifar
from .optimisers import SGD
from .resnet import RESNET20, RESNET50, SLOW_START

PAPER = 'He et al. 2016, "Identity Mappings in Deep Residual Networks"'
TORCH = "KaimingHe/resnet-1k-layers, section Usage of README.md, with train.lua of fb.resnet.torch"

# The appendix: as in the first paper, with .01 for the first 400 steps. Errors are medians of five runs.
PRERESNET164 = replace(
    RESNET20,
    source=f"{PAPER}, appendix and Table 4",
    model="preresnet164",
    rate=SLOW_START,
    published=5.46,
    precision="auto",
    layout="auto",
    remembered=("steps", "batch", "rate", "optimiser"),
)

# Table 5, "trained using the same hyper-parameters and implementations as" the first paper; tested on 320 pixels of the whole picture.
PRERESNET200 = replace(
    RESNET50,
    source=f"{PAPER}, section 5 and Table 5",
    model="preresnet200",
    view=View(resize=320, crop=320),
    published=20.7,
    protocol="single view",
    remembered=(),
)

RECIPES: dict[str, Recipe] = {
    "preresnet110-cifar10": replace(PRERESNET164, model="preresnet110", published=6.37, remembered=(*PRERESNET164.remembered, "published")),
    "preresnet164-cifar10": PRERESNET164,
    "preresnet1001-cifar10": replace(PRERESNET164, model="preresnet1001", published=4.92),
    "preresnet1001-cifar10-batch64": replace(
        PRERESNET164,
        source=TORCH,
        model="preresnet1001",
        steps=cifar.passes(200, 64),
        batch=64,
        rate=Steps(rate=0.1, at=(cifar.passes(80, 64), cifar.passes(121, 64))),
        optimiser=SGD(momentum=0.9, decay=1e-4, nesterov=True),
        published=4.62,
        remembered=(),
    ),
    "preresnet200-imagenet": PRERESNET200,
    "preresnet200-imagenet-aspect": replace(PRERESNET200, crop=RandomResizedCrop(size=224), published=20.1),
}
