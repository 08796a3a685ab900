"""Howard et al. 2019: RMSprop at batches of 4,096, 1 % less each three passes."""

from dataclasses import replace

from ..data.crops import RandomResizedCrop
from . import Average, Exponential, Recipe, View
from .imagenet import halved, passes, wrong
from .optimisers import RMSprop

# Section 6.1.1: "learning rate decay rate of 0.01 every 3 epochs", read as a hundredth less, not as a hundredth of it; "dropout of 0.8",
# which is the share that stays. Neither the length nor a warm-up is printed: 600 passes are ours.
LARGE = Recipe(
    source='Howard et al. 2019, "Searching for MobileNetV3", section 6.1.1 and Table 3',
    model="mobilenet_v3_large",
    data="imagenet",
    steps=passes(600, 4096),
    batch=4096,
    rate=Exponential(rate=0.1, by=0.99, every=passes(3, 4096)),
    optimiser=RMSprop(momentum=0.9, decay=1e-5, alpha=0.9, eps=1e-3, apart=True),
    crop=RandomResizedCrop(size=224, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    average=Average(decay=0.9999),
    preprocess=halved(224),
    view=View(resize=256, crop=224),
    test=passes(1, 4096),
    published=wrong(75.2),
    precision="auto",
    layout="auto",
)

RECIPES = {
    "mobilenet_v3_large-imagenet": LARGE,
    "mobilenet_v3_small-imagenet": replace(LARGE, model="mobilenet_v3_small", published=wrong(67.4)),
}
