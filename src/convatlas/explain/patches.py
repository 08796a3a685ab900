"""Zeiler & Fergus 2013, section 4, figure 2: of a map, the nine strongest units over a data set, each with its patch and projection."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .guided import guided
from .rectified import Rectified
from .what import Unit, as_maps, given, gradient

BEST, SHOWN = 9, 6


@dataclass(frozen=True)
class Patch:
    """`value` is the unit's, `place` (row, column) in the map, of picture number `picture`; `box` (top, left, bottom, right) in its pixels,
    what the unit's value depends on; `pixels` and `projection` (C, h, w) are the picture and its deconvnet there, or guided
    backpropagation in a network without switches.
    """

    value: float
    picture: int
    place: tuple[int, int]
    box: tuple[int, int, int, int]
    pixels: Tensor
    projection: Tensor


def strongest(net: nn.Module, batches: Iterable[Tensor], layer: str, maps: Sequence[int] = (), best: int = BEST) -> dict[int, list[Patch]]:
    """For each of these maps of a layer, by default its first six, its `best` patches, the strongest first; at most one from each picture,
    as in the paper.

    `batches` are pictures (N, C, H, W) as the network takes them, gone through once; only the best are kept.
    """
    kept: dict[int, list[tuple[float, int, tuple[int, int], Tensor]]] = {m: [] for m in maps}
    start = 0
    for x in batches:
        with torch.no_grad():
            found = as_maps(given(net, x, layer), layer, *maps)
        kept = kept or {m: [] for m in range(min(SHOWN, found.shape[1]))}
        values, at = found.flatten(2).max(2)
        for m in kept:
            for i in values[:, m].topk(min(best, len(x))).indices.tolist():
                place = divmod(int(at[i, m]), found.shape[3])
                kept[m].append((float(values[i, m]), start + i, place, x[i].clone()))
            kept[m] = sorted(kept[m], key=lambda row: -row[0])[:best]
        start += len(x)
    return {m: [patch(net, layer, m, *row) for row in rows] for m, rows in kept.items()}


def patch(net: nn.Module, layer: str, map_: int, value: float, number: int, place: tuple[int, int], picture: Tensor) -> Patch:
    unit, x = Unit(layer, map_, place), picture[None]
    touched = gradient(net, x, unit)[0].abs().sum(0) > 0
    rows, columns = touched.any(1).nonzero()[:, 0], touched.any(0).nonzero()[:, 0]
    if not len(rows):  # a unit that is off depends on nothing
        top, left, bottom, right = 0, 0, *picture.shape[1:]
    else:
        top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    shown = projection(net, x, unit)[0]
    inside = (slice(None), slice(top, bottom), slice(left, right))
    return Patch(value, number, place, (top, left, bottom, right), picture[inside], shown[inside])


def projection(net: nn.Module, x: Tensor, unit: Unit) -> Tensor:
    """The deconvnet's, or guided backpropagation's where no switch makes the former one of the picture."""
    rule = Rectified(guided=False)
    found = gradient(net, x, unit, rule)
    return found if rule.switched else guided(net, x, unit)
