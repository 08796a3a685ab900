"""Howard et al. 2017: RMSprop and little regularisation. The paper names the method and hardly a number."""

from dataclasses import replace

from ..data.crops import RandomResizedCrop
from ..models.mobilenet_v1 import VARIANTS
from . import Exponential, Recipe, View
from .imagenet import halved, passes, wrong
from .optimisers import RMSprop

# Section 3.2: RMSprop "similar to Inception V3", no label smoothing, fewer small crops, "very little or no weight decay (l2
# regularization) on the depthwise filters". Batch and rates are those of the authors' trainer in tensorflow/models,
# slim/nets/mobilenet_v1_train.py, the decay that of its nets, and RMSprop's eps of 1 Inception V3's; the length, 100 passes, is ours,
# as is the least area of a crop. Here depthwise filters decay as the others do.
MOBILENET_V1 = Recipe(
    source='Howard et al. 2017, "MobileNets", section 3.2; batch and rate from tensorflow/models, slim/nets/mobilenet_v1_train.py',
    model="mobilenet_v1",
    data="imagenet",
    steps=passes(100, 64),
    batch=64,
    rate=Exponential(rate=0.045, by=0.94, every=passes(2.5, 64)),
    optimiser=RMSprop(momentum=0.9, decay=4e-5, alpha=0.9, eps=1.0, apart=True),
    crop=RandomResizedCrop(size=224, scale=(0.25, 1.0)),
    preprocess=halved(224),
    view=View(resize=256, crop=224),
    test=passes(1, 64),
    published=wrong(70.6),
    precision="auto",
    layout="auto",
    remembered=("optimiser",),
)

# Tables 4, 5, 6 and 7: per cent right.
RIGHT = {
    "mobilenet_v1_075": 68.4,
    "mobilenet_v1_050": 63.7,
    "mobilenet_v1_025": 50.6,
    "mobilenet_v1_192": 69.1,
    "mobilenet_v1_160": 67.2,
    "mobilenet_v1_128": 64.4,
    "mobilenet_v1_full": 71.7,
    "mobilenet_v1_shallow": 65.3,
}


def sized(size: int) -> Recipe:
    """The same on pictures of another size, of which a test shows seven eighths."""
    crop, view = RandomResizedCrop(size=size, scale=(0.25, 1.0)), View(resize=round(size * 8 / 7), crop=size)
    return replace(MOBILENET_V1, crop=crop, preprocess=halved(size), view=view)


RECIPES = {"mobilenet_v1-imagenet": MOBILENET_V1} | {
    f"{name}-imagenet": replace(sized(VARIANTS[name].size), model=name, published=wrong(right)) for name, right in RIGHT.items()
}
