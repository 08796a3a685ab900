"""The idx format of the MNIST files: two zero bytes, a type, the number of sides, each side as 32 bits, then the numbers."""

import gzip
import zlib
from io import BufferedIOBase
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..mistake import Mistake
from .found import Entry, Found

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
LIMIT = 1 << 32  # bytes: a header that promises more than this is not believed


def read_idx(path: Path) -> NDArray[np.generic]:
    """The array in an idx file, plain or gzip (told by its first bytes, not by its name), in its own shape and type.

    Raises Mistake, naming the file, if it is missing, is no idx file, is damaged, or is shorter or longer than it says.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.GzipFile(path) if packed else path.open("rb") as file:
            return parse(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Mistake(f"{path} is damaged: {error}. Fetch it again.") from error
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror or error}.") from error


def parse(file: BufferedIOBase, path: Path) -> NDArray[np.generic]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise Mistake(f"{path} is not an idx file: it begins with {magic.hex(' ') or 'nothing'}.")
    header = file.read(4 * magic[3])
    shape = tuple(np.frombuffer(header[: len(header) // 4 * 4], ">u4").tolist())
    kind = np.dtype(TYPES[magic[2]])
    size = prod(shape) * kind.itemsize
    if len(shape) < magic[3]:
        raise Mistake(f"{path} is cut short in its header. Fetch it again.")
    if size > LIMIT:
        raise Mistake(
            f"{path} says that it holds {' x '.join(map(str, shape))} numbers, more than {LIMIT >> 30} GiB; that is not believed."
        )
    body = file.read(size + 1)
    if len(body) != size:
        held = "more" if len(body) > size else f"only {len(body):,}"
        raise Mistake(f"{path} promises {size:,} bytes for {' x '.join(map(str, shape))} numbers and holds {held}. Fetch it again.")
    return np.frombuffer(body, kind).reshape(shape)


def idx_folder(place: Path) -> Found:
    """The MNIST files in a folder: train-images-idx3-ubyte and the like, packed or not, and t10k- for test."""
    entries: list[Entry] = []
    pictures: list[NDArray[np.generic]] = []
    for stem, part in (("train", "train"), ("t10k", "test"), ("test", "test")):
        found = [sorted(place.glob(f"{stem}-{kind}-idx?-ubyte*")) for kind in ("images", "labels")]
        if not all(found):
            continue
        x, y = (read_idx(paths[0]) for paths in found)
        if x.ndim not in (3, 4) or x.dtype != np.uint8 or y.shape != x.shape[:1]:
            raise Mistake(f"{found[0][0]}: {x.shape} pictures and {y.shape} labels do not go together.")
        entries += [Entry(f"{stem}#{i}", str(label), part) for i, label in enumerate(y.tolist())]
        pictures += [*x]
    if not entries:
        raise Mistake(f"{place} has no pair of idx files called train-images-... and train-labels-....")
    return Found(entries, lambda i: torch.tensor(pictures[i]).view(-1, *pictures[i].shape[-2:]).expand(3, -1, -1))
