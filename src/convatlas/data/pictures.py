"""Pictures in memory, and any picture file as one of them."""

import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from warnings import catch_warnings

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..mistake import Mistake


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
    try:
        with catch_warnings(action="ignore"), Image.open(file) as opened:
            upright = ImageOps.exif_transpose(opened)
            picture = eight_bit(upright)
    except Image.UnidentifiedImageError as error:
        raise Mistake(f"{name} cannot be read as a picture: cannot identify image file.") from error
    except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError, struct.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        raise Mistake(f"{name} cannot be read as a picture: {reason.rstrip('.')}.") from error
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = on_paper(picture.convert("RGBA"))
    pixels = np.array(picture.convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(pixels).view(*pixels.shape[:2], channels).permute(2, 0, 1).contiguous()


def eight_bit(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits; Pillow would clip it. Other pictures as they are."""
    if not picture.mode.startswith(("I", "F")):
        return picture
    deep = np.asarray(picture).astype(np.float64)
    top = 65535.0 if deep.max(initial=0) > 255 else 255.0
    return Image.fromarray((deep.clip(0, top) * (255 / top)).round().astype(np.uint8))


def on_paper(picture: Image.Image) -> Image.Image:
    pixels = np.asarray(picture)
    ink = pixels[..., :3][pixels[..., 3] > 127]
    paper = Image.new("RGBA", picture.size, "black" if ink.size and ink.mean() > 127 else "white")
    return Image.alpha_composite(paper, picture)
