"""Zeiler & Fergus 2013, 4.2, figure 7: a square covers part of the picture, and the class's probability falls where it mattered."""

import torch
from torch import Tensor, nn

AT_ONCE = 32  # pictures


@torch.no_grad()
def occlusion(
    net: nn.Module, x: Tensor, target: int | Tensor | None = None, window: int | None = None, stride: int | None = None
) -> Tensor:
    """(N, rows, columns): how much the class's probability falls, -1 to 1, with the mean colour on a square that begins at each place.

    `window` is its side, by default a fifth of the picture's, and `stride` the way from one to the next, by default a fourth of that.
    """
    height, width = x.shape[2:]
    window = min(window or max(1, round(min(height, width) / 5)), height, width)
    stride = stride or max(1, window // 4)
    said = net(x).softmax(1)
    classes = said.argmax(1) if target is None else torch.as_tensor(target).expand(len(x))
    tops, lefts = range(0, height - window + 1, stride), range(0, width - window + 1, stride)
    places = [(top, left) for top in tops for left in lefts]
    found = []
    for picture, before, of in zip(x, said, classes, strict=True):
        after = []
        for start in range(0, len(places), AT_ONCE):
            some = places[start : start + AT_ONCE]
            covered = picture.repeat(len(some), 1, 1, 1)
            for row, (top, left) in zip(covered, some, strict=True):
                row[:, top : top + window, left : left + window] = 0.0
            after.append(net(covered).softmax(1)[:, of])
        found.append((before[of] - torch.cat(after)).view(len(tops), len(lefts)))
    return torch.stack(found)
