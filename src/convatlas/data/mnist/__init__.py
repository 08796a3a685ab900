"""MNIST: 60,000 handwritten digits to learn from and 10,000 to be tested on, inside the package (LICENSE.md beside this file)."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from ...mistake import Mistake
from ..idx import read_idx
from ..pictures import Pictures

FOLDER = Path(__file__).parent
FILES = {"train": "train", "test": "t10k"}


def load(split: str, folder: Path = FOLDER) -> Pictures:
    """The digits of "train" or "test": (N, 1, 28, 28), white ink on black, from the four idx files in `folder`, gzip or plain."""
    x, y = (torch.from_numpy(np.array(read_idx(find(folder, split, kind)))) for kind in ("images-idx3", "labels-idx1"))
    if x.shape[1:] != (28, 28) or y.shape != x.shape[:1]:
        raise Mistake(f"{folder}: {tuple(x.shape)} pictures and {tuple(y.shape)} labels are not those of MNIST.")
    return Pictures(x[:, None], y.long(), tuple("0123456789"))


def find(folder: Path, split: str, kind: str) -> Path:
    packed = folder / f"{FILES[split]}-{kind}-ubyte.gz"
    plain = packed.with_suffix("")
    return plain if plain.exists() else packed


def as_digit(picture: Tensor) -> Tensor:
    """A picture of one digit, (1, H, W) uint8, made as MNIST's were: (1, 28, 28), white on black, scaled to 20 pixels, centred by mass.

    A picture that is 28 x 28 already only has its colours turned where its edge is bright.
    """
    edge = torch.cat([picture[0, 0], picture[0, -1], picture[0, :, 0], picture[0, :, -1]])
    ink = 255 - picture if edge.float().median() > 127 else picture
    if ink.shape[1:] == (28, 28):
        return ink
    rows, columns = ((ink[0] > 32).any(d).nonzero()[:, 0] for d in (1, 0))
    if not len(rows):
        return ink.new_zeros(1, 28, 28)
    box = ink[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = 20 / max(box.shape[1:])
    height, width = (max(1, round(side * scale)) for side in box.shape[1:])
    small = interpolate(box[None].float(), (height, width), mode="bilinear", antialias=True)[0]
    grid = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    top, left = (
        int(min(max(round(14 - float((small[0] * at).sum() / small.sum())), 0), 28 - side))
        for at, side in zip(grid, (height, width), strict=True)
    )
    return pad(small, (left, 28 - width - left, top, 28 - height - top)).round().to(torch.uint8)
