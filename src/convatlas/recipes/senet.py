"""Hu, Shen & Sun 2017: a hundred passes at large batches; the rate a tenth after each thirty."""

from dataclasses import replace

from ..data.crops import RandomResizedCrop
from . import Recipe, Steps, View
from .imagenet import centred, passes
from .optimisers import SGD

# Section 5.1. The weight decay is not printed: 1e-4 is that of the ResNets it is compared with. Minibatches were balanced over classes
# in the first version. The released nets were trained again, "using a mini-batch of 256 and a initial learning rate of 0.1 with more
# epoches", turned by up to 10 degrees and jittered by up to 20: for how long is not said, so that there is no recipe for them.
SE_RESNET50 = Recipe(
    source='Hu et al. 2017, "Squeeze-and-Excitation Networks", section 5.1 and Table 2',
    model="se_resnet50",
    data="imagenet",
    steps=passes(100, 1024),
    batch=1024,
    rate=Steps(rate=0.6, at=tuple(passes(n, 1024) for n in (30, 60, 90))),
    optimiser=SGD(momentum=0.9, decay=1e-4),
    crop=RandomResizedCrop(size=224, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    preprocess=centred(224),
    view=View(resize=256, crop=224),
    test=passes(1, 1024),
    published=23.29,
    precision="auto",
    layout="auto",
)

RECIPES = {
    "se_resnet50-imagenet": SE_RESNET50,
    "se_resnet101-imagenet": replace(SE_RESNET50, model="se_resnet101", published=22.38),
    "se_resnet152-imagenet": replace(SE_RESNET50, model="se_resnet152", published=21.57),
    "se_resnext50_32x4d-imagenet": replace(SE_RESNET50, model="se_resnext50_32x4d", published=21.1),
    "se_resnext101_32x4d-imagenet": replace(SE_RESNET50, model="se_resnext101_32x4d", published=20.7),
}
