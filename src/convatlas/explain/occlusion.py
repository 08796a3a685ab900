"""Zeiler & Fergus 2013, 4.2, figure 7: a square covers part of the picture, and the class's probability falls where it mattered."""

from math import ceil

import torch
from torch import Tensor, nn

AT_ONCE = 32  # pictures


@torch.no_grad()
def occlusion(
    net: nn.Module, x: Tensor, target: int | Tensor | None = None, window: int | None = None, stride: int | None = None
) -> Tensor:
    """(N, rows, columns): how much the class's probability falls, -1 to 1, with the mean colour on a square around the middle of each cell.

    The cells tile the picture, each about `stride` wide, by default a third of `window`, the square's side, by default a fifth of the
    picture's; at the edges what is left of the square is covered.
    """
    height, width = x.shape[2:]
    window = min(window or max(1, round(min(height, width) / 5)), height, width)
    stride = stride or max(1, window // 3)
    said = net(x).softmax(1)
    classes = said.argmax(1) if target is None else torch.as_tensor(target).expand(len(x))
    rows, columns = (spans(side, window, stride) for side in (height, width))
    places = [(row, column) for row in rows for column in columns]
    found = []
    for picture, before, of in zip(x, said, classes, strict=True):
        after = []
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            covered = picture.repeat(len(some), 1, 1, 1)
            for one, (row, column) in zip(covered, some, strict=True):
                one[:, row, column] = 0.0
            after.append(net(covered).softmax(1)[:, of])
        found.append((before[of] - torch.cat(after)).view(len(rows), len(columns)))
    return torch.stack(found)


def spans(side: int, window: int, stride: int) -> list[slice]:
    """What `window` covers around the middle of each of the cells that tile `side`."""
    count = ceil(side / stride)
    starts = [round((n + 0.5) * side / count - window / 2) for n in range(count)]
    return [slice(max(0, start), min(side, start + window)) for start in starts]
