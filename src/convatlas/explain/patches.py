"""Zeiler & Fergus 2013, section 4, figure 2: of a map, the nine strongest units over a data set, each with its patch and projection."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .deconvnet import deconvnet
from .what import Unit, given, gradient

BEST = 9


@dataclass(frozen=True)
class Patch:
    """`value` is the unit's, `place` (row, column) in the map, of picture number `picture`; `box` (top, left, bottom, right) in its pixels,
    what the unit's value depends on; `pixels` and `projection` (C, h, w) are the picture and its deconvnet there.
    """

    value: float
    picture: int
    place: tuple[int, int]
    box: tuple[int, int, int, int]
    pixels: Tensor
    projection: Tensor


def strongest(net: nn.Module, batches: Iterable[Tensor], layer: str, maps: Iterable[int], best: int = BEST) -> dict[int, list[Patch]]:
    """For each of these maps of a layer its `best` patches, the strongest first; at most one from each picture, as in the paper.

    `batches` are pictures (N, C, H, W) as the network takes them, gone through once; only the best are kept.
    """
    wanted, kept, start = list(maps), {}, 0
    kept: dict[int, list[tuple[float, int, tuple[int, int], Tensor]]] = {m: [] for m in wanted}
    for x in batches:
        with torch.no_grad():
            found = given(net, x, layer)
        values, at = found.flatten(2).max(2)
        for m in wanted:
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
    shown = deconvnet(net, x, unit)[0]
    inside = (slice(None), slice(top, bottom), slice(left, right))
    return Patch(value, number, place, (top, left, bottom, right), picture[inside], shown[inside])
