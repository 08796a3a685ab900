"""What is found at a place before anything is read: files, labels, and to which split they belong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple
from unicodedata import normalize

import torch
from torch import Tensor

from .batches import generator

SPLITS = ("train", "val", "test")
FOLDERS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
FOLDERS |= {"testing": "test"}
HELD = 0.1  # the share of each class that is held out, for each of val and test


class Entry(NamedTuple):
    """A picture: its name in the data set, its label if known, the split that its place says it belongs to, or "".

    Pictures of one `group`, if it is named, were made of one thing and stay in one split.
    """

    name: str
    label: str | None
    part: str = ""
    group: str = ""


@dataclass
class Found:
    """The pictures of all splits; the bytes of the i-th's file, or (3, H, W) uint8 where it has none of its own.

    `classes` are in order where the place says it; else they are sorted.
    """

    entries: list[Entry]
    get: Callable[[int], bytes] | Callable[[int], Tensor]
    classes: tuple[str, ...] = ()
    problems: dict[str, str] = field(default_factory=dict)


def label_of(text: str) -> str:
    """A label as it is compared: without spaces around it, and accents written in one way (macOS writes them in another)."""
    return normalize("NFC", printable(text)).strip()


def printable(text: str) -> str:
    """A name with the bytes that are no text made visible, so that it can be printed and written."""
    return text.encode("utf-8", "backslashreplace").decode()


def classes_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The labels in use, sorted: as numbers where all of them are numbers, else as text."""
    labels = {e.label for e in entries if e.label is not None}
    if all(label.isdecimal() and label.isascii() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def divide(entries: Sequence[Entry], seed: int) -> tuple[dict[str, list[int]], str]:
    """The rows of train, val and test, and a sentence on how they came about.

    A split that the place does not have is taken from train, class by class. A place with train and one other split has
    that one as its test; its val is taken from train, so that nothing is chosen by what is then tested on.
    """
    parts: dict[str, list[int]] = {split: [] for split in SPLITS}
    unknown = [i for i, e in enumerate(entries) if e.label is None and not e.part]
    for i, e in enumerate(entries):
        if e.part or e.label is not None:
            parts[e.part or "train"].append(i)
    if not parts["train"] and not any(parts.values()):
        return parts | {"test": unknown}, "nothing has a label; all of it is test."
    told = []
    if parts["val"] and not parts["test"] and parts["train"]:
        parts["test"], parts["val"] = parts["val"], []
        told.append("test is the place's val")
    given = [split for split in SPLITS if parts[split]]
    told = [f"as the place says: {', '.join(given)}"] * (given != ["train"]) + told
    wanted = [split for split in ("test", "val") if not parts[split]] if parts["train"] else []
    if wanted:
        alone = hold_out(entries, parts, wanted, seed)
        are = "is" if len(wanted) == 1 else "are"
        taken = f"{' and '.join(wanted)} {are} {HELD:.0%} each of every class, one picture at least, drawn from train by seed {seed}"
        told.append(taken + (f"; classes of one picture, all in train: {alone}" if alone else ""))
    if unknown:
        told.append(f"{len(unknown):,} without a label are in none")
    return {split: sorted(rows) for split, rows in parts.items()}, "; ".join(told) + "."


def hold_out(entries: Sequence[Entry], parts: dict[str, list[int]], wanted: Sequence[str], seed: int) -> int:
    """Moves a share of each class from train to the splits in `wanted`, at least one picture each where train keeps one.

    Returns how many classes have one picture only.
    """
    by_label: dict[str, dict[str | int, list[int]]] = {}
    for i in parts["train"]:
        groups = by_label.setdefault(entries[i].label or "", {})
        groups.setdefault(entries[i].group or i, []).append(i)
    stay, alone = [], 0
    for number, (_, groups) in enumerate(sorted(by_label.items())):
        rows = list(groups.values())
        shuffled = [rows[i] for i in torch.randperm(len(rows), generator=generator(seed, number)).tolist()]
        alone += len(rows) == 1
        for split in wanted:
            count = min(max(1, round(len(rows) * HELD)), len(shuffled) - 1)
            parts[split] += chain.from_iterable(shuffled[:count])
            shuffled = shuffled[count:]
        stay += chain.from_iterable(shuffled)
    parts["train"] = stay
    return alone
