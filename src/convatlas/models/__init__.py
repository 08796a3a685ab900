"""Every network by name. To add a family: write its file, and name it in FAMILIES."""

from dataclasses import replace

from . import (
    alexnet,
    densenet,
    efficientnet,
    googlenet,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nin,
    preresnet,
    resnet,
    resnext,
    senet,
    squeezenet,
    vgg,
    wide_resnet,
    xception,
    zfnet,
)
from .net import Net

FAMILIES = (
    lenet,
    alexnet, zfnet, nin, vgg, googlenet,
    resnet, preresnet, wide_resnet, resnext, densenet, senet,
    squeezenet, xception, mobilenet_v1, mobilenet_v2, mobilenet_v3, efficientnet,
)  # fmt: skip
MODELS = {name: (family, config) for family in FAMILIES for name, config in family.VARIANTS.items()}


def build(name: str, **changes: object) -> Net:
    """The network `name` with fresh weights: `build("lenet5_modern", num_classes=26)`.

    `changes` are fields of the family's config. Under `torch.device("meta")` no memory is taken.
    Raises ValueError for a name or a field that does not exist, and says which there are; and for a `size` that LeNet cannot take.
    """
    if name not in MODELS:
        raise ValueError(f"no model {name!r}; there are: {', '.join(MODELS)}")
    family, config = MODELS[name]
    unknown = changes.keys() - config.__dataclass_fields__.keys()
    if unknown:
        raise ValueError(f"{name} has no setting {min(unknown)!r}; it has: {', '.join(config.__dataclass_fields__)}")
    return family.build(replace(config, **changes))
