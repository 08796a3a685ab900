"""From the bytes of a picture file to pixels, and from pixels to the size that a network takes; the quick way where it gives the same.

JPEGs go through simplejpeg (the extra `data`), which calls libjpeg-turbo without Pillow's detours and lets other threads
work meanwhile; the pixels are the same to the bit. Whatever is not a plain JPEG, and every JPEG where simplejpeg is not
installed, goes through `pictures.picture_of`. Pictures are made smaller with torch's antialiased kernel for bytes, which
is that of Pillow made for vector instructions.
"""

from io import BytesIO

import torch
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


def decode(data: bytes, name: str) -> Tensor:
    """The picture in the bytes of a file, (3, H, W) uint8, upright. Raises Mistake as `read_picture`, calling the file `name`."""
    if simplejpeg is not None and data[:2] == b"\xff\xd8":
        pixels = decode_jpeg(data)
        if pixels is not None:
            return pixels
    return picture_of(BytesIO(data), name, 3)


def decode_jpeg(data: bytes) -> Tensor | None:
    """The pixels of a plain JPEG (3, H, W); None for one that is damaged, too large, or that needs more than plain decoding."""
    turned = data.find(b"Exif\0\0", 0, 1 << 16)
    if turned >= 0 and orientation(data[turned : turned + (1 << 16)]) != 1:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in PLAIN or height * width > PIXELS:
            return None
        return torch.from_numpy(simplejpeg.decode_jpeg(data, "RGB")).permute(2, 0, 1)
    except ValueError:
        return None


def orientation(exif: bytes) -> int:
    found = Image.Exif()
    try:
        found.load(exif)
        return found.get(0x0112, 1)
    except Exception:  # whatever a damaged tag makes Pillow raise: it then looks at the whole file
        return 0


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """A picture (C, H, W) uint8 at another size, bilinear and antialiased, within one level of what Pillow gives."""
    if x.shape[1:] == (height, width):
        return x
    rows = x.permute(1, 2, 0).contiguous()  # the fast kernel wants the colours of a pixel side by side and no gaps
    if x.shape[0] != 3:
        return interpolate(x[None], (height, width), mode="bilinear", antialias=True)[0]
    return interpolate(rows.permute(2, 0, 1)[None], (height, width), mode="bilinear", antialias=True)[0]


def fit(x: Tensor, size: int, how: str) -> Tensor:
    """A picture (C, H, W) as (C, size, size): "crop" scales the shorter side and takes the middle, "squash" scales both sides."""
    height, width = x.shape[1:]
    if how == "squash":
        return resize(x, size, size)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resize(x[:, top : top + side, left : left + side], size, size)
