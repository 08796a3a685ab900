"""Which places of the last maps speak for a class: Grad-CAM and its kin.

A are the maps (N, K, h, w) that a layer gives, by default the features; G the gradient of the class's score by them.
  grad_cam      relu(sum_k w_k A_k), w_k the mean of G_k: Selvaraju et al. 2016, equations 1 and 2
  grad_cam_pp   the same with w_k = sum of a_k relu(G_k), a = G^2 / (2 G^2 + sum(A) G^3): Chattopadhay et al. 2017, equations 10 and 19
  layer_cam     relu(sum_k relu(G_k) A_k): Jiang et al. 2021, equations 4 and 5
  score_cam     w_k the softmax of what the class scores when only what map k shows is left: Wang et al. 2020, equations 4 to 7
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from .what import Score, as_maps, layer_of

AT_ONCE = 32  # pictures


def maps_and_gradients(net: nn.Module, x: Tensor, target: int | Tensor | None, layer: str) -> tuple[Tensor, Tensor]:
    found: list[Tensor] = []

    def keep(_: nn.Module, __: object, out: Tensor) -> Tensor:
        found.append(as_maps(out, layer).detach().requires_grad_())
        return found[0]

    handle = layer_of(net, layer).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            (grads,) = torch.autograd.grad(Score(target)(net, x.detach()).sum(), found)
    finally:
        handle.remove()
    return found[0].detach(), grads


def grad_cam(net: nn.Module, x: Tensor, target: int | Tensor | None = None, layer: str = "features") -> Tensor:
    """(N, h, w), as large as the layer's maps; 0 or more."""
    maps, grads = maps_and_gradients(net, x, target, layer)
    return (grads.mean((2, 3), keepdim=True) * maps).sum(1).relu()


def grad_cam_pp(net: nn.Module, x: Tensor, target: int | Tensor | None = None, layer: str = "features") -> Tensor:
    """(N, h, w), as large as the layer's maps; 0 or more."""
    maps, grads = maps_and_gradients(net, x, target, layer)
    below = 2 * grads.square() + maps.sum((2, 3), keepdim=True) * grads**3
    share = torch.where(below != 0, grads.square() / torch.where(below != 0, below, 1.0), 0.0)
    return ((share * grads.relu()).sum((2, 3), keepdim=True) * maps).sum(1).relu()


def layer_cam(net: nn.Module, x: Tensor, target: int | Tensor | None = None, layer: str = "features") -> Tensor:
    """(N, h, w), as large as the layer's maps; 0 or more."""
    maps, grads = maps_and_gradients(net, x, target, layer)
    return (grads.relu() * maps).sum(1).relu()


@torch.no_grad()
def score_cam(net: nn.Module, x: Tensor, target: int | Tensor | None = None, layer: str = "features") -> Tensor:
    """(N, h, w), as large as the layer's maps; 0 or more. Asks the network once for each map."""
    maps, _ = maps_and_gradients(net, x, target, layer)
    classes = net(x).argmax(1) if target is None else torch.as_tensor(target).expand(len(x))
    cams = []
    for picture, own, of in zip(x, maps, classes, strict=True):
        masks = interpolate(own[:, None], picture.shape[1:], mode="bilinear", align_corners=False)
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        masks = (masks - low) / (high - low).clamp(min=1e-12)
        said = torch.cat([net(picture * part)[:, of] for part in masks.split(AT_ONCE)])
        cams.append((said.softmax(0)[:, None, None] * own).sum(0).relu())
    return torch.stack(cams)
