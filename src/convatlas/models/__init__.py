"""Every network by name. To add a family: write its file, and name it in FAMILIES."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from . import (
    airbench,
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
    airbench,
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
    with Undrawn() if torch.get_default_device().type == "meta" else nullcontext():
        return family.build(replace(config, **changes))


class Undrawn(TorchFunctionMode):
    """Lets no number be drawn: tensors on the meta device have none, yet drawing them takes most of the time that building takes there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in DRAWS and args[0].is_meta else func(*args, **(kwargs or {}))


DRAWS = {Tensor.normal_, Tensor.uniform_, Tensor.fill_, Tensor.zero_, Tensor.clamp_, Tensor.mul_, Tensor.erfinv_}
