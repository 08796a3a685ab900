"""A network as a backbone: where its stages stand, what the classifier reads, a new head or stem, rates by depth.

`Net` has these as methods; nothing here knows a family by name, but for LeNet-5's codes.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..analysis import analyse, on_meta

if TYPE_CHECKING:
    from .net import Net

WEIGHTED = (nn.Linear, nn.Conv2d)
SIDE = 224  # pixels of the pictures that stages are read off with; neither stride nor field depends on it


@dataclass(frozen=True)
class Stage:
    """A child of the features: so many pixels of the picture between its units, so many maps, each unit seeing `field` pixels a side."""

    name: str
    stride: int
    channels: int
    field: int


def stages(net: "Net") -> tuple[Stage, ...]:
    twin, channels = on_meta(net.features), stem(net).in_channels
    ends = {f"{name}.1": name for name, _ in twin.named_children()}
    for name, child in twin.named_children():
        setattr(twin, name, nn.Sequential(child, nn.Identity()))  # what it gives is then a layer's output, even if branches are joined
    layers = analyse(twin, SIDE, channels).layers
    return tuple(Stage(ends[x.name], x.jump, x.shape[0], x.field) for x in layers if x.name in ends)


def stem(net: "Net") -> nn.Conv2d:
    """The convolution that reads the picture."""
    return next(layer for layer in net.features.modules() if isinstance(layer, nn.Conv2d))


def classifier(head: nn.Sequential) -> str:
    """The name of the head's last child that has weights: what comes out of it is scores, one for each class."""
    return [name for name, child in head.named_children() if any(True for _ in (*child.parameters(), *child.buffers()))][-1]


def embed(net: "Net", x: Tensor) -> Tensor:
    x = net.features(x)
    last = classifier(net.head)
    for name, child in net.head.named_children():
        if name != last:
            x = child(x)
    return x


def replace_head(net: "Net", num_classes: int, dropout: float | None) -> None:
    for part in net.children():
        if part is not net.features:
            renew(part, num_classes)
    if dropout is not None:
        drop(net, dropout)


def renew(head: nn.Module, num_classes: int) -> None:
    """Puts a fresh layer of `num_classes` units in the place of the head's last one that has weights."""
    from .lenet import RBF

    name, old = [(name, layer) for name, layer in head.named_modules() if isinstance(layer, (*WEIGHTED, RBF))][-1]
    parent, _, last = name.rpartition(".")
    setattr(head.get_submodule(parent), last, fresh(old, num_classes).train(old.training))


def fresh(old: Any, num_classes: int) -> nn.Module:
    from .lenet import RBF, codes

    kind: Any = {"device": old.weight.device, "dtype": old.weight.dtype}
    if isinstance(old, RBF):
        return RBF(codes(num_classes).to(**kind))
    kind["bias"], maps = old.bias is not None, isinstance(old, nn.Conv2d)
    new: Any = nn.Conv2d(old.in_channels, num_classes, 1, **kind) if maps else nn.Linear(old.in_features, num_classes, **kind)
    nn.init.normal_(new.weight, std=0.01)
    if new.bias is not None:
        nn.init.zeros_(new.bias)
    return new


def drop(net: "Net", p: float) -> None:
    """Sets the head's dropout; a head without one gets it in front of its classifier."""
    found = [layer for layer in net.head.modules() if isinstance(layer, nn.Dropout)]
    for layer in found:
        layer.p = p
    if not found and p:
        last, children = classifier(net.head), OrderedDict[str, nn.Module]()
        for name, child in net.head.named_children():
            if name == last:
                children["dropout"] = nn.Dropout(p)
            children[name] = child
        net.head = nn.Sequential(children).train(net.head.training)


@torch.no_grad()
def replace_stem(net: "Net", in_channels: int) -> None:
    conv = stem(net)
    weight, colours = conv.weight, conv.in_channels
    if in_channels < colours:
        adapted = weight.sum(1, keepdim=True).repeat(1, in_channels, 1, 1) / in_channels
    else:
        origin = torch.arange(in_channels, device="cpu") % colours
        shares = torch.bincount(origin, minlength=colours)[origin].to(weight.device, weight.dtype)
        adapted = weight[:, origin] / shares.view(1, -1, 1, 1)
    conv.weight, conv.in_channels = nn.Parameter(adapted, weight.requires_grad), in_channels


def decays(p: nn.Parameter) -> bool:
    """Whether it is a matrix or kernel. A bias, and the scale of a norm or of a subsampling map, are one number to a unit."""
    return p.dim() > 1 and p[0].numel() > 1


def param_groups(net: "Net", lr: float, decay: float, layer_decay: float) -> list[dict[str, Any]]:
    heads = [p for part in net.children() if part is not net.features for p in part.parameters()]
    tiers = [heads, *(own for child in reversed(net.features) if (own := list(child.parameters())))]
    groups = []
    for depth, tier in enumerate(tiers):
        scale = layer_decay**depth
        for weights in (True, False):
            params = [p for p in tier if p.requires_grad and decays(p) == weights]
            if params:
                groups.append({"params": params, "lr": lr * scale, "scale": scale, "weight_decay": decay if weights else 0.0})
    return groups
