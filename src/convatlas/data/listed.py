"""Data sets that stay where they are: names and classes in memory, pictures read when they are wanted."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ..mistake import Mistake
from .decode import Box, cut, decode, decode_part, fit
from .folders import folder, table
from .found import SPLITS, Found, classes_of, divide
from .idx import idx_folder
from .ilsvrc import imagenet, is_imagenet
from .parquet import parquet
from .pictures import Pictures
from .shards import shards
from .sound import DEFAULT, Spectrogram

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Listed:
    """A data set that stays where it is: `names` (N) of its pictures, `y` (N,) int64, -1 where unknown, and what each class is called.

    `get(i)` gives the bytes of picture i's file, or (3, H, W) uint8 where it has no file of its own; `read(i)` always the
    picture. Both raise Mistake where they cannot. `split` says in a sentence how train,
    val and test came about. `problems` are the files that were left out, each with the reason; reading adds to them, and
    they are shared with every subset.
    """

    names: tuple[str, ...]
    y: Tensor
    classes: tuple[str, ...]
    get: Callable[[int], bytes] | Callable[[int], Tensor]
    split: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, rows: Sequence[int] | Tensor) -> "Listed":
        """The pictures of these rows, in their order."""
        rows = torch.as_tensor(rows, dtype=torch.int64)
        at, get = rows.tolist(), self.get
        return replace(self, names=tuple(self.names[i] for i in at), y=self.y[rows], get=lambda i: get(at[i]))

    def read(self, i: int) -> Tensor:
        """Picture i, (3, H, W) uint8, upright. Raises Mistake, with its name and the reason, where it cannot be read."""
        held = self.get(i)
        return decode(held, self.names[i]) if isinstance(held, bytes) else held

    def read_part(self, i: int, choose: Callable[[int, int], Box], size: int) -> Tensor:
        """The part of picture i that `choose(height, width)` names, (3, size, size) uint8; raises as `read`."""
        held = self.get(i)
        if isinstance(held, bytes):
            return decode_part(held, self.names[i], choose, size, size)
        return cut(held, choose(*held.shape[1:]), size, size)

    def attempt(self, i: int, read: Callable[[int], Tensor] | None = None) -> Tensor | None:
        """Picture i, by `read` if given, or None where it cannot be read, which `problems` then tells."""
        try:
            return (read or self.read)(i)
        except Mistake as error:
            self.problems[self.names[i]] = str(error).removeprefix(f"{self.names[i]} ")
            return None

    def pictures(
        self,
        size: int,
        how: str = "crop",
        rows: Sequence[int] | Tensor | None = None,
        progress: Callable[[int, int], None] | None = None,
        threads: int | None = None,
    ) -> Pictures:
        """All pictures, or those of `rows`, in memory as (N, 3, size, size) uint8; those that cannot be read are left out.

        `how` is "crop" (the shorter side to `size`, then the middle) or "squash". `progress` is called with how many are
        done and how many there are. Raises Mistake, with the size it would have, for more than half of the memory.
        """
        chosen = self if rows is None else self.subset(rows)
        bounded(len(chosen), size)
        x = torch.empty(len(chosen), 3, size, size, dtype=torch.uint8)
        kept = torch.zeros(len(chosen), dtype=torch.bool)

        def one(i: int) -> None:
            picture = chosen.attempt(i)
            if picture is not None:
                x[i], kept[i] = fit(picture, size, how), True

        for done, _ in enumerate(spread(one, range(len(chosen)), threads), 1):
            if progress:
                progress(done, len(chosen))
        return Pictures(x, chosen.y, chosen.classes) if kept.all() else Pictures(x[kept], chosen.y[kept], chosen.classes)


def bounded(count: int, size: int) -> None:
    wanted, have = count * 3 * size**2, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if wanted > have // 2:
        raise Mistake(
            f"{count:,} pictures of {size} x {size} take {wanted / 1e9:.1f} GB, more than half of this machine's "
            f"{have / 1e9:.1f} GB of memory; take a smaller size or fewer pictures."
        )


def spread(work: Callable[[T], R], items: Sequence[T], threads: int | None = None) -> Iterator[R]:
    """`work` of each item, in their order, done by `threads` threads (all cores by default) that run at most a few hundred ahead."""
    count = threads or os.cpu_count() or 1
    if count == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count) as pool:
        left = iter(items)
        waiting = [pool.submit(work, item) for item in islice(left, 256)]
        while waiting:
            ready, waiting = waiting, [pool.submit(work, item) for item in islice(left, 256)]
            for future in ready:
                yield future.result()


def open_data(place: Path | str, split: str = "train", seed: int = 0, sound: Spectrogram = DEFAULT) -> Listed:
    """The pictures (or sounds) of one split, "train", "val" or "test", of the data set at `place`.

    A place is a folder with a folder of pictures for each class (in folders train, val and test, or none of these), a CSV of
    file and label or a folder with labels.csv, parquet in the Hugging Face layout, the MNIST files, tar shards in the
    WebDataset layout, ILSVRC's own folders, or a folder of sounds for each class. What is not split is split by `seed`, class
    by class; `Listed.split` says how. Sounds become pictures by `sound`. Raises Mistake for a place or a split that is not there.
    """
    if split not in SPLITS:
        raise Mistake(f"no split {split!r}; there are: {', '.join(SPLITS)}.")
    return opened(place, seed, sound)[split]


def opened(place: Path | str, seed: int = 0, sound: Spectrogram = DEFAULT) -> "Splits":
    """All splits of the data set at `place` that have any pictures, by name; asking for another raises Mistake."""
    found = find(Path(place), sound)
    if not found.entries:
        raise Mistake(f"{place} holds no pictures that can be used.{first_problem(found)}")
    parts, told = divide(found.entries, seed)
    labels = found.classes or classes_of(found.entries)
    index = {label: i for i, label in enumerate(labels)}
    y = torch.tensor([-1 if e.label is None else index.get(e.label, -1) for e in found.entries])
    whole = Listed(tuple(e.name for e in found.entries), y, labels, found.get, told, found.problems)
    return Splits(place, {name: whole.subset(rows) for name, rows in parts.items() if rows})


class Splits(dict[str, Listed]):
    def __init__(self, place: Path | str, splits: dict[str, Listed]):
        super().__init__(splits)
        self.place = place

    def __missing__(self, split: str) -> Listed:
        raise Mistake(f"{self.place} has no {split} pictures; it has: {', '.join(f'{k} ({len(v):,})' for k, v in self.items())}.")


def first_problem(found: Found) -> str:
    name, reason = next(iter(found.problems.items()), ("", ""))
    return f" The first of {len(found.problems)} problems: {name}: {reason}" if name else ""


def find(place: Path, sound: Spectrogram) -> Found:
    """What is at `place`, told by what files are there."""
    if not place.exists():
        raise Mistake(f"{place} is not there.")
    inside = (lambda *patterns: any(any(place.glob(pattern)) for pattern in patterns)) if place.is_dir() else lambda *_: False
    ending = place.suffix.lower() if place.is_file() else ""
    if ending in (".csv", ".tsv") or inside("labels.csv"):
        found = table(place if ending else place / "labels.csv", sound)
    elif ending == ".parquet" or inside("*.parquet", "data/*.parquet"):
        found = parquet(place)
    elif ending == ".tar" or inside("*.tar", "train/*.tar"):
        found = shards(place)
    elif inside("*-idx?-ubyte*"):
        found = idx_folder(place)
    elif place.is_file():
        raise Mistake(f"{place} is no data set; a file is one if it ends in .csv, .tsv, .parquet or .tar.")
    else:
        found = imagenet(place) if is_imagenet(place) else folder(place, sound)
    return found
