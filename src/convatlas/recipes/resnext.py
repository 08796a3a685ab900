"""Xie, Girshick, Dollar, Tu & He 2016: as fb.resnet.torch trains ResNets, for ten passes more."""

from dataclasses import replace

from . import Steps
from .imagenet import passes
from .resnet import FAIR

# opts.lua: 100 passes where fb.resnet.torch has 90, so that the rate falls a third time; README.md: batches of 256.
RESNEXT50 = replace(
    FAIR,
    source='Xie et al. 2016, "Aggregated Residual Transformations", section 4, as released: opts.lua and README.md of ResNeXt',
    model="resnext50_32x4d",
    steps=passes(100, 256),
    rate=Steps(rate=0.1, at=tuple(passes(n, 256) for n in (30, 60, 90))),
    published=22.2,
)

RECIPES = {
    "resnext50_32x4d-imagenet": RESNEXT50,
    "resnext101_32x4d-imagenet": replace(RESNEXT50, model="resnext101_32x4d", published=21.2),
    "resnext101_64x4d-imagenet": replace(RESNEXT50, model="resnext101_64x4d", published=20.4),
}
