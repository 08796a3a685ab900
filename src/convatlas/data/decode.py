"""From the bytes of a picture file to pixels, and from pixels to the size that a network takes; the quick way where it gives the same.

JPEGs go through simplejpeg (the extra `data`), which calls libjpeg-turbo without Pillow's detours and lets other threads
work meanwhile; the pixels are the same to the bit. Whatever is not a plain JPEG, and every JPEG where simplejpeg is not
installed, goes through `pictures.picture_of`. Pictures are made smaller with torch's antialiased kernel for bytes, which
is that of Pillow made for vector instructions.
"""

from collections.abc import Callable, Iterator
from io import BytesIO
from threading import local

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from .pictures import picture_of

try:
    import simplejpeg
except ImportError:  # the extra `data` is not installed
    simplejpeg = None

PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 0)  # as Pillow's bound, looked at before anything is decoded
PLAIN = ("Gray", "YCbCr", "RGB")
LOCAL = local()


Box = tuple[int, int, int, int]  # top, left, height and width of a part of a picture


def decode(data: bytes, name: str) -> Tensor:
    """The picture in the bytes of a file, (3, H, W) uint8, upright. Raises Mistake as `read_picture`, calling the file `name`."""
    if plain_size(data):
        try:
            return torch.from_numpy(simplejpeg.decode_jpeg(data, "RGB")).permute(2, 0, 1)  # pyright: ignore[reportOptionalMemberAccess]
        except ValueError:  # damaged: Pillow says in what way
            pass
    return picture_of(BytesIO(data), name, 3)


def decode_part(data: bytes, name: str, choose: Callable[[int, int], Box], height: int, width: int) -> Tensor:
    """The part of a picture that `choose(height, width)` names, resized: (3, height, width) uint8, to the bit as `decode` and `cut`.

    Of a plain JPEG only the rows down to the part's end are decoded: its header is made to say that there are no more. The
    price is that damage in a file that is not cut short goes unnoticed, as it does in most programs.
    """
    full_height, full_width, at = plain_size(data) or (0, 0, None)
    if at is None or data.rstrip(b"\0")[-2:] != b"\xff\xd9":
        picture = decode(data, name)
        return cut(picture, choose(*picture.shape[1:]), height, width)
    box = choose(full_height, full_width)
    rows = min(full_height, box[0] + box[2] + 1)  # one more: chroma is smoothed across rows
    short = b"".join((data[:at], rows.to_bytes(2), data[at + 2 :]))
    try:
        pixels = simplejpeg.decode_jpeg(short, "RGB", strict=rows == full_height, buffer=scratch(rows * full_width * 3))  # pyright: ignore[reportOptionalMemberAccess]
        return cut(torch.from_numpy(pixels).permute(2, 0, 1), box, height, width)
    except ValueError:
        return cut(decode(data, name), box, height, width)


def cut(x: Tensor, box: Box, height: int, width: int) -> Tensor:
    """The part `box` of a picture (3, H, W) uint8, resized, in memory of its own."""
    top, left, h, w = box
    part = x[:, top : top + h, left : left + w]
    return part.clone() if (h, w) == (height, width) else resize(part, height, width)


def scratch(size: int) -> NDArray[np.uint8]:
    """At least `size` bytes of this thread's, for what is done with before the next picture: fresh ones cost a large one a seventh more."""
    held = getattr(LOCAL, "held", None)
    if held is None or held.size < size:
        held = LOCAL.held = np.empty(size, np.uint8)
    return held


def plain_size(data: bytes) -> tuple[int, int, int | None] | None:
    """Height and width of a JPEG that simplejpeg decodes as it should be seen; None for all else, which is Pillow's affair.

    And where the header says the height, None for a progressive JPEG.
    """
    if simplejpeg is None or data[:2] != b"\xff\xd8":
        return None
    says = None
    for mark, at in segments(data):
        if mark == 0xE1 and data[at + 2 : at + 8] == b"Exif\0\0" and orientation(data[at + 8 : at + 8 + (1 << 16)]) != 1:
            return None
        if mark in (0xC0, 0xC1):
            says = at + 3
    try:
        height, width, colours = simplejpeg.decode_jpeg_header(data)[:3]
        height, width = int(height), int(width)
    except ValueError:
        return None
    return (height, width, says) if colours in PLAIN and height * width <= PIXELS else None


def segments(data: bytes) -> Iterator[tuple[int, int]]:
    """The marks of a JPEG's header and where what belongs to each begins, its length first."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xD9, 0xDA):
        yield data[at + 1], at + 2
        at += 2 + int.from_bytes(data[at + 2 : at + 4])


def orientation(tiff: bytes) -> int:
    """The orientation that an Exif block tells, 1 (upright) to 8; 0 where the block is damaged."""
    if tiff[:2] not in (b"II", b"MM"):
        return 0

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], "little" if tiff[:1] == b"I" else "big")

    first = number(4, 4)
    for at in range(first + 2, first + 2 + 12 * min(number(first, 2), 100), 12):
        if number(at, 2) == 0x0112:
            return number(at + 8, 2)
    return 1


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """A picture (C, H, W) uint8 at another size, bilinear and antialiased, within one level of what Pillow gives."""
    if x.shape[1:] == (height, width):
        return x
    if x.shape[0] == 3:  # the fast kernel wants the colours of a pixel side by side, no gaps, and strides that say so
        x = x.permute(1, 2, 0).contiguous()[None].permute(0, 3, 1, 2)
    return interpolate(x if x.ndim == 4 else x[None], (height, width), mode="bilinear", antialias=True)[0]


def fit(x: Tensor, size: int, how: str) -> Tensor:
    """A picture (C, H, W) as (C, size, size): "crop" scales the shorter side and takes the middle, "squash" scales both sides."""
    height, width = x.shape[1:]
    if how == "squash":
        return resize(x, size, size)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(x[:, top : top + side, left : left + side], size, size)
