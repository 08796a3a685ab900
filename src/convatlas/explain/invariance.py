"""Zeiler & Fergus 2013, section 4.1 and figure 5: how far features move when the picture is shifted, scaled or turned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from .what import given

SHIFTS, SCALES, TURNS = tuple(range(-60, 61, 10)), tuple(1 + 0.1 * n for n in range(9)), tuple(range(0, 361, 15))  # the paper's ranges


@dataclass(frozen=True)
class Curve:
    """Along `amounts`: the distance of each layer's features from the untouched picture's, as a share of their length, and the
    probability of the class; the mean over the pictures.
    """

    kind: str
    amounts: tuple[float, ...]
    distances: dict[str, tuple[float, ...]]
    probability: tuple[float, ...]


def matrix(scale: float = 1.0, turn: float = 0.0, down: float = 0.0) -> Tensor:
    """(2, 3): where a pixel of the changed picture comes from; `down` in half heights, `turn` in degrees."""
    angle = torch.deg2rad(torch.tensor(turn))
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    return torch.stack([torch.stack([cos, -sin, torch.tensor(0.0)]), torch.stack([sin, cos, torch.tensor(-down)])])


@torch.no_grad()
def invariance(net: nn.Module, x: Tensor, layers: Sequence[str], target: Tensor | None = None) -> list[Curve]:
    """Three curves, for a shift down in pixels of a picture of 224 (in proportion for others), a scale and a turn in degrees."""
    height, classes = x.shape[2], net(x).argmax(1) if target is None else target
    ways: dict[str, tuple[Sequence[float], Callable[[float], Tensor]]] = {
        "shift": (SHIFTS, lambda amount: matrix(down=2 * amount / 224)),
        "scale": (SCALES, lambda amount: matrix(scale=amount)),
        "turn": (TURNS, lambda amount: matrix(turn=amount)),
    }
    before, curves = {layer: given(net, x, layer).flatten(1) for layer in layers}, []
    for kind, (amounts, of) in ways.items():
        distances, shares = {layer: [] for layer in layers}, []
        for amount in amounts:
            moved = grid_sample(x, affine_grid(of(amount).expand(len(x), 2, 3), list(x.shape), align_corners=False), align_corners=False)
            for layer in layers:
                apart = (given(net, moved, layer).flatten(1) - before[layer]).norm(dim=1) / before[layer].norm(dim=1)
                distances[layer].append(float(apart.mean()))
            shares.append(float(net(moved).softmax(1).gather(1, classes[:, None]).mean()))
        told = tuple(a * height / 224 for a in amounts) if kind == "shift" else tuple(amounts)
        curves.append(Curve(kind, told, {layer: tuple(row) for layer, row in distances.items()}, tuple(shares)))
    return curves
