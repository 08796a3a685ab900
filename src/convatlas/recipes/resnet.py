"""He, Zhang, Ren & Sun 2015: CIFAR-10 in 64,000 steps, ImageNet in 600,000. And what others made of the latter in 2016."""

from dataclasses import replace

from ..data.colour import Lighting, Photometric
from ..data.crops import RandomResizedCrop
from ..data.jitter import JitteredCrop
from . import Plateau, Recipe, Stairs, Steps, View, cifar, imagenet
from .optimisers import SGD

PAPER = 'He et al. 2015, "Deep Residual Learning for Image Recognition"'

# Section 4.2. The schedule "is determined on a 45k/5k train/val split"; the nets here learn from all 50,000, as most who repeated it.
# Where it differs: the paper takes away the mean of each pixel, here each colour's mean goes and its deviation divides, as in the
# authors' later Torch code; products are in bfloat16.
RESNET20 = Recipe(
    source=f"{PAPER}, section 4.2",
    model="resnet20",
    data="cifar10",
    steps=64_000,
    batch=128,
    rate=Steps(rate=0.1, at=(32_000, 48_000)),
    optimiser=SGD(momentum=0.9, decay=1e-4),
    augment=cifar.SHIFTED,
    preprocess=cifar.CIFAR,
    test=2_000,
    published=8.75,
    precision="bfloat16",
    layout="channels_last",
    remembered=("published",),
)
# 110 layers do not begin to learn at .1: .01 "until the training error is below 80% (about 400 iterations)".
SLOW_START = Stairs(at=(0, 400, 32_000, 48_000), rates=(0.01, 0.1, 0.01, 0.001))

# There each batch draws once which blocks it skips, here each picture. "(selected by best validation error)": there 5,000 pictures
# were held out for that; here the last weights count.
STOCHASTIC = replace(
    RESNET20,
    source='Huang et al. 2016, "Deep Networks with Stochastic Depth", section 4, as released: main.lua and README.md',
    model="resnet110",
    steps=cifar.passes(500, 128),
    rate=Steps(rate=0.1, at=(cifar.passes(250, 128), cifar.passes(375, 128))),
    optimiser=SGD(momentum=0.9, decay=1e-4, nesterov=True),
    config=(("drop_path", 0.5),),
    published=5.23,
    remembered=(),
)

# Section 3.4. "The learning rate starts from 0.1 and is divided by 10 when the error plateaus": how long to wait for that is ours.
RESNET50 = Recipe(
    source=f"{PAPER}, section 3.4 and Table 3",
    model="resnet50",
    data="imagenet",
    steps=600_000,
    batch=256,
    rate=Plateau(rate=0.1, by=10, patience=4, times=3),
    optimiser=SGD(momentum=0.9, decay=1e-4),
    crop=JitteredCrop(size=224, shorter=(256, 480)),
    augment=(Lighting(std=0.1),),
    preprocess=imagenet.centred(224),
    view=View(resize=256, crop=256),
    test=imagenet.passes(1, 256),
    published=22.85,
    protocol="ten-crop",
    precision="auto",
    layout="auto",
    remembered=("published",),
)
SHORTCUT_A = (("shortcut", "A"),)

# fb.resnet.torch, as torchvision's first nets after it.
FAIR = replace(
    RESNET50,
    source="fb.resnet.torch, opts.lua, train.lua and datasets/imagenet.lua; results: section ImageNet of pretrained/README.md",
    model="resnet50_v1_5",
    steps=imagenet.passes(90, 256),
    rate=Steps(rate=0.1, at=(imagenet.passes(30, 256), imagenet.passes(60, 256))),
    optimiser=SGD(momentum=0.9, decay=1e-4, nesterov=True),
    crop=RandomResizedCrop(size=224, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3)),
    augment=(Photometric(brightness=0.4, contrast=0.4, saturation=0.4), Lighting(std=0.1)),
    preprocess=imagenet.normalised(224),
    view=View(resize=256, crop=224),
    published=24.01,
    protocol="single view",
    remembered=(),
)

RECIPES = {
    "resnet20-cifar10": RESNET20,
    "resnet32-cifar10": replace(RESNET20, model="resnet32", published=7.51),
    "resnet44-cifar10": replace(RESNET20, model="resnet44", published=7.17),
    "resnet56-cifar10": replace(RESNET20, model="resnet56", published=6.97),
    "resnet110-cifar10": replace(RESNET20, model="resnet110", rate=SLOW_START, published=6.43),
    "resnet1202-cifar10": replace(RESNET20, model="resnet1202", published=7.93),
    # Their test errors are in a figure only.
    **{f"plain{n}-cifar10": replace(RESNET20, model=f"plain{n}", published=None, remembered=()) for n in (20, 32, 44, 56)},
    "resnet110-cifar10-stochastic": STOCHASTIC,
    "plain18-imagenet": replace(RESNET50, model="plain18", published=27.94),
    "plain34-imagenet": replace(RESNET50, model="plain34", published=28.54),
    "resnet18-imagenet": replace(RESNET50, model="resnet18", config=SHORTCUT_A, published=27.88),
    "resnet34-imagenet": replace(RESNET50, model="resnet34", published=24.52),
    "resnet34-imagenet-a": replace(RESNET50, model="resnet34", config=SHORTCUT_A, published=25.03),
    "resnet34-imagenet-c": replace(RESNET50, model="resnet34", config=(("shortcut", "C"),), published=24.19),
    "resnet50-imagenet": RESNET50,
    "resnet101-imagenet": replace(RESNET50, model="resnet101", published=21.75),
    "resnet152-imagenet": replace(RESNET50, model="resnet152", published=21.43),
    # What CS231n's lecture 9 (2017) says the paper does; the paper has 1e-4.
    "resnet50-imagenet-lecture": replace(
        RESNET50, source="CS231n 2017, lecture 9, section ResNet", optimiser=SGD(momentum=0.9, decay=1e-5), published=None, remembered=()
    ),
    "resnet18-imagenet-fair": replace(FAIR, model="resnet18", published=30.43),
    "resnet34-imagenet-fair": replace(FAIR, model="resnet34", published=26.73),
    "resnet50_v1_5-imagenet-fair": FAIR,
    "resnet101_v1_5-imagenet-fair": replace(FAIR, model="resnet101_v1_5", published=22.44),
    "resnet152_v1_5-imagenet-fair": replace(FAIR, model="resnet152_v1_5", published=22.16),
}
