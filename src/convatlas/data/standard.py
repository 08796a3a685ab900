"""The data sets that everyone measures on, by name: from a folder of one's own, the cache, or their authors' download.

A data set called NAME is looked for in the folder NAME of $CONVATLAS_DATA, then in the cache folder, then fetched. Their archives are read
as they are and never unpacked; Python's pickles, in which CIFAR comes as well, are not read at all.
"""

import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..disk import cache_folder
from ..download import download, shown
from ..mistake import Mistake
from .found import Found
from .idx import read_idx
from .listed import Listed
from .parquet import parquet
from .pictures import Pictures

CIFAR = 3 * 32 * 32  # bytes of a picture


@dataclass(frozen=True)
class File:
    """A file of the standard download: where it is, and the sha256 of what is there."""

    url: str
    sha256: str

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]


@dataclass(frozen=True)
class Standard:
    """`read(folder, split)` gives the pictures of "train" or "test" from a folder that holds `files`, or the same in another layout.

    `elsewhere` are folders in which a system's own packages put them.
    """

    name: str
    classes: tuple[str, ...]
    files: tuple[File, ...]
    read: Callable[["Standard", Path, str], Pictures]
    elsewhere: tuple[str, ...] = ()

    def load(self, split: str) -> Pictures:
        """The pictures of "train" or "test". Raises Mistake where they are not here and cannot be fetched."""
        return self.read(self, self.folder(), split)

    def folder(self) -> Path:
        """Where the files are; they are fetched into the cache if they are nowhere."""
        own, cache = os.environ.get("CONVATLAS_DATA", ""), cache_folder("datasets") / self.name
        places = [Path(own) / self.name] if own else []
        for place in (*places, *map(Path, self.elsewhere)):
            if place.is_dir() and any(place.iterdir()):
                return place
        missing = [file for file in self.files if not (cache / file.name).exists()]
        if missing and os.environ.get("CONVATLAS_OFFLINE", "") not in ("", "0"):
            raise Mistake(
                f"{self.name} is not here, and the network is not to be asked. Put {', '.join(f.url for f in missing)} into {cache}, "
                f"or name by CONVATLAS_DATA a folder that has it in a folder {self.name}."
            )
        for file in missing:
            with shown(f"{file.name} for {self.name}") as progress:
                download(file.url, cache / file.name, file.sha256, progress)
        return cache


def read_cifar(what: Standard, folder: Path, split: str) -> Pictures:
    """CIFAR-10 from parquet files in the Hugging Face layout, from its binary archive, or from the files in that."""
    if any(folder.glob("*.parquet")):
        return of_split(parquet(folder), split, folder, what.classes)
    wanted = ["test_batch.bin"] if split == "test" else [f"data_batch_{i}.bin" for i in range(1, 6)]
    packed = folder / what.files[0].name
    try:
        if packed.exists():
            with tarfile.open(packed) as tar:
                members = {Path(m.name).name: m for m in tar.getmembers() if m.isfile()}
                held = [opened.read() for name in wanted if (opened := tar.extractfile(members[name]))]
        else:
            inside = folder / "cifar-10-batches-bin"
            held = [((inside if inside.is_dir() else folder) / name).read_bytes() for name in wanted]
    except (OSError, KeyError, tarfile.TarError, EOFError) as error:
        raise Mistake(f"{folder} does not hold {what.name}: {error}. Take it away, and it is fetched anew.") from error
    rows = np.frombuffer(b"".join(held), np.uint8)
    if len(rows) % (1 + CIFAR):
        raise Mistake(f"{folder}: {len(rows):,} bytes are not those of {what.name}. Take it away, and it is fetched anew.")
    table = torch.from_numpy(rows.reshape(-1, 1 + CIFAR).copy())
    return Pictures(table[:, 1:].reshape(-1, 3, 32, 32).contiguous(), table[:, 0].long(), what.classes)


def of_split(found: Found, split: str, folder: Path, classes: tuple[str, ...]) -> Pictures:
    """The pictures that their file says are of this split; none is held out, as a paper's 50,000 are 50,000."""
    rows = [i for i, entry in enumerate(found.entries) if entry.part == split]
    index = {label: i for i, label in enumerate(found.classes or classes)}
    y = torch.tensor([index[str(entry.label)] for entry in found.entries])
    listed = Listed(tuple(entry.name for entry in found.entries), y, classes, found.get).subset(rows)
    pictures = listed.pictures(32)
    if not rows or listed.problems:
        raise Mistake(f"{folder} does not hold all {split} pictures: {next(iter(listed.problems.values()), 'there are none')}.")
    return pictures


def read_fashion(what: Standard, folder: Path, split: str) -> Pictures:
    """Fashion-MNIST from its four idx files: (N, 1, 28, 28)."""
    name = "t10k" if split == "test" else "train"
    x, y = (array(folder, f"{name}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
    return Pictures(x[:, None], y.long(), what.classes)


def array(folder: Path, name: str) -> Tensor:
    plain = folder / name
    return torch.from_numpy(np.array(read_idx(plain if plain.exists() else folder / f"{name}.gz")))


OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

CIFAR10 = Standard(
    "cifar10",
    OBJECTS,
    (
        File(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        ),
    ),
    read_cifar,
)
ZALANDO = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FASHION = Standard(
    "fashion-mnist",
    CLOTHES,
    (
        File(f"{ZALANDO}/train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        File(f"{ZALANDO}/train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        File(f"{ZALANDO}/t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        File(f"{ZALANDO}/t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    read_fashion,
    elsewhere=("/usr/share/datasets/fashion-mnist",),
)
