"""Pictures in memory, and any picture file as one of them."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from ..pixels import pixels


@dataclass(frozen=True)
class Pictures:
    """A data set in memory: `x` (N, C, H, W) uint8, `y` (N,) int64, and what each class is called."""

    x: Tensor
    y: Tensor
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.x)


def read_picture(path: Path, channels: int) -> Tensor:
    """A picture file (PNG, JPEG, WebP, GIF, BMP, TIFF) as (channels, H, W) uint8, upright; `channels` is 1 (grey) or 3.

    Whatever the file is (16-bit, palette, CMYK, rotated by EXIF) becomes 8-bit grey or colour. What is transparent becomes
    white paper under dark ink and black under bright. Of an animation, the first picture.
    Raises Mistake, naming the file and the reason, if it is no picture or has more than 178 million pixels, Pillow's bound.
    """
    return picture_of(path, str(path), channels)


def picture_of(file: Path | BytesIO, name: str, channels: int) -> Tensor:
    """`read_picture` of a file on the disk or in memory, which is called `name` in its Mistakes."""
    return torch.from_numpy(pixels(file, name, channels)).permute(2, 0, 1).contiguous()
