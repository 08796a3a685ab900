"""Tan & Le 2019: RMSprop, 3 % less each 2.4 of 350 passes, averaged weights, stochastic depth."""

from dataclasses import replace

from ..data.crops import RandomResizedCrop
from ..models.efficientnet import VARIANTS
from . import Average, CrossEntropy, Exponential, Recipe, View, Warm
from .imagenet import normalised, passes
from .optimisers import RMSprop

# Section 5.2, and the defaults of main.py, whose rate of .016 for 256 pictures makes the paper's .256 one for 4,096. Dropout and stochastic
# depth are the networks' own. There the rise of the first five passes ends at .256, here at what the decay has made of it; there batch
# norms keep .99 of their statistics at each step, here .9. The errors are those of the authors' nets with plain augmentation; the
# paper's own came with AutoAugment, which is not among what we have.
B0 = Recipe(
    source='Tan & Le 2019, "EfficientNet", section 5.2, as released: tensorflow/tpu, official/efficientnet, main.py and README.md',
    model="efficientnet_b0",
    data="imagenet",
    steps=passes(350, 4096),
    batch=4096,
    rate=Warm(Exponential(rate=0.256, by=0.97, every=passes(2.4, 4096)), steps=passes(5, 4096)),
    optimiser=RMSprop(momentum=0.9, decay=1e-5, alpha=0.9, eps=1e-3, apart=True),
    loss=CrossEntropy(smoothing=0.1),
    crop=RandomResizedCrop(size=224, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    average=Average(decay=0.9999),
    preprocess=normalised(224),
    view=View(resize=256, crop=224),
    test=passes(1, 4096),
    published=23.3,
    precision="auto",
    layout="auto",
)


def sized(name: str, published: float | None) -> Recipe:
    """Another of the family on pictures of its own size, of which a test shows all but 32 pixels."""
    size = VARIANTS[name].size
    crop, view = RandomResizedCrop(size=size, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)), View(resize=size + 32, crop=size)
    return replace(B0, model=name, crop=crop, preprocess=normalised(size), view=view, published=published)


ERRORS = {"efficientnet_b0": 23.3, "efficientnet_b1": 21.3, "efficientnet_b2": 20.2, "efficientnet_b3": 18.9}
ERRORS |= {f"efficientnet_b{n}": None for n in range(4, 8)}
RECIPES = {f"{name}-imagenet": sized(name, error) for name, error in ERRORS.items()}
