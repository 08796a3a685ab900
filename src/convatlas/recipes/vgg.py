"""Simonyan & Zisserman 2014: 370,000 steps at one scale or several, the deep nets begun from the shallow one."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from ..data.batches import Batches
from ..data.colour import Lighting
from ..data.crops import Crops
from ..data.jitter import JitteredCrop
from ..mistake import Mistake
from ..models.net import Net
from . import Plateau, Recipe, View
from .imagenet import centred, passes
from .optimisers import SGD

A = ("features.stage1.conv1", "features.stage2.conv1", "features.stage3.conv1", "features.stage3.conv2", "head")  # what deep nets take over


@dataclass(frozen=True)
class Begun:
    """The network begins with the weights of another one, in the file `weights`, in those of its parts that are named; () means all."""

    weights: str = ""
    parts: tuple[str, ...] = A

    @torch.no_grad()
    def __call__(self, net: Net, batches: Batches | Crops) -> None:
        if not Path(self.weights).is_file():
            raise Mistake(
                f"this recipe begins with the weights of a trained net, and {self.weights or 'none'} is no file: name one with"
                " --recipe.prepare.weights FILE.safetensors, or take the recipe that ends in -glorot, which needs none."
            )
        try:
            found = load_file(self.weights)
        except SafetensorError as error:
            raise Mistake(f"{self.weights} is not a file of weights: {error}.") from error
        own, parts = net.state_dict(), self.parts or tuple(name for name, _ in net.named_children())
        for part in parts:
            if not any(name.startswith(f"{part}.") for name in found):
                raise Mistake(f"{self.weights} lacks {part}, with which this recipe begins.")
        taken = {name: w for name, w in found.items() if name.startswith(tuple(f"{part}." for part in parts))}
        for name, w in taken.items():
            if name not in own or own[name].shape != w.shape:
                raise Mistake(f"{self.weights} has {name} of shape {tuple(w.shape)}, for which {type(net).__name__} has no place.")
        net.load_state_dict(own | taken)


# Section 3.1; dropout of .5 is the network's own. The rate fell "when the validation set accuracy stopped improving": how long to wait
# for that is ours. Weights start by the rule of Glorot & Bengio, which the paper's footnote found to do without a trained A.
VGG11 = Recipe(
    source='Simonyan & Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition", section 3.1 and Table 3',
    model="vgg11",
    data="imagenet",
    steps=370_000,
    batch=256,
    rate=Plateau(rate=0.01, by=10, patience=4, times=3),
    optimiser=SGD(momentum=0.9, decay=5e-4),
    crop=JitteredCrop(size=224, shorter=(256, 256)),
    augment=(Lighting(std=0.1),),
    preprocess=centred(224),
    view=View(resize=256, crop=256),
    test=passes(1, 256),
    published=29.6,
    protocol="dense",
    precision="auto",
    layout="auto",
    remembered=("published",),
)

DEEP = {"vgg13": 28.7, "vgg16_c": 28.1, "vgg16": 27.0, "vgg19": 27.3}  # Table 3, trained at 256
AT_384 = {"vgg16_c": 28.1, "vgg16": 26.8, "vgg19": 26.9}  # begun with the net trained at 256, at a rate of .001
JITTERED = {"vgg16_c": 27.3, "vgg16": 25.6, "vgg19": 25.5}  # at 256 to 512, begun with the net trained at 384

RECIPES = {
    "vgg11-imagenet": VGG11,
    "vgg11_lrn-imagenet": replace(VGG11, model="vgg11_lrn", published=29.7),
    **{f"{name}-imagenet": replace(VGG11, model=name, prepare=Begun(), published=error) for name, error in DEEP.items()},
    **{f"{name}-imagenet-glorot": replace(VGG11, model=name, published=None, remembered=()) for name in DEEP},
}
# How long these two kinds went on, and from which rate the second, is not printed: as long, and .001, as the first.
FURTHER = replace(
    VGG11,
    rate=Plateau(rate=0.001, by=10, patience=4, times=2),
    prepare=Begun(parts=()),
    view=View(resize=384, crop=384),
    protocol="dense-384",
)
RECIPES |= {
    f"{name}-imagenet-384": replace(FURTHER, model=name, crop=JitteredCrop(size=224, shorter=(384, 384)), published=error)
    for name, error in AT_384.items()
}
RECIPES |= {
    f"{name}-imagenet-jittered": replace(FURTHER, model=name, crop=JitteredCrop(size=224, shorter=(256, 512)), published=error)
    for name, error in JITTERED.items()
}
