"""Petsiuk et al. 2018, "RISE", section 4.2: how soon a class is lost when what matters most goes first, and found when it comes first."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

STEPS = 20


@torch.no_grad()
def curve(net: nn.Module, x: Tensor, heat: Tensor, target: Tensor, insertion: bool, steps: int = STEPS) -> Tensor:
    """(N, steps + 1): the class's probability with 0 to all of the pixels taken away, or put in, those of most `heat` (N, h, w) first.

    What is away has the mean colour (deletion) or is blurred beyond recognition (insertion).
    """
    n, _, height, width = x.shape
    heat = interpolate(heat[:, None].float(), (height, width), mode="bilinear", align_corners=False).flatten(1)
    rank = heat.argsort(1, descending=True).argsort(1).view(n, 1, height, width)
    away = vague(x) if insertion else torch.zeros_like(x)
    said = []
    for step in range(steps + 1):
        chosen = rank < round(step / steps * height * width)
        shown = torch.where(chosen, x, away) if insertion else torch.where(chosen, away, x)
        said.append(net(shown).softmax(1).gather(1, target[:, None])[:, 0])
    return torch.stack(said, 1)


def vague(x: Tensor) -> Tensor:
    small = interpolate(x, scale_factor=1 / 16, mode="area") if min(x.shape[2:]) >= 32 else x.mean((2, 3), keepdim=True)
    return interpolate(small, x.shape[2:], mode="bicubic", align_corners=False)


def area(found: Tensor) -> Tensor:
    """(N,): the area below each curve, 0 to 1."""
    return torch.trapezoid(found, dx=1 / (found.shape[1] - 1), dim=1)
