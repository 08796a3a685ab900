"""Picture files, without torch: which ones are meant, and what is in them, as arrays."""

import struct
from collections.abc import Iterable
from io import BytesIO
from itertools import chain
from pathlib import Path
from warnings import catch_warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from .mistake import Mistake

PICTURES = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}


def pixels(file: Path | BytesIO, name: str, channels: int) -> NDArray[np.uint8]:
    """A picture file, on the disk or in memory and called `name` in Mistakes, as (H, W, channels); data/pictures.py says how."""
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
    found = np.array(picture.convert("L" if channels == 1 else "RGB"))
    return found.reshape(*found.shape[:2], channels)


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


def expanded(words: Iterable[str], lines: Iterable[str] = ()) -> list[Path]:
    """The files that are meant: themselves, all pictures in a folder and its folders, what fits a pattern, and for "-" those in `lines`."""
    named = chain.from_iterable((line.rstrip("\r\n") for line in lines) if word == "-" else (word,) for word in words)
    return list(chain.from_iterable(files_at(word) for word in named if word))


def files_at(word: str) -> list[Path]:
    path = Path(word)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURES and not p.name.startswith(".") and not p.is_dir())
        if not found:
            raise Mistake(f"{path} holds no pictures: no file in it ends in {', '.join(sorted(PICTURES))}.")
        return found
    if not path.exists() and any(mark in word for mark in "*?["):
        base = Path(path.anchor) if path.is_absolute() else Path()
        return sorted(p for p in base.glob(str(path.relative_to(path.anchor))) if not p.is_dir()) or [path]
    return [path]
