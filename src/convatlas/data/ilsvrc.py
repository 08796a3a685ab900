"""The layout of ILSVRC 2012 as it is given out: train by synset, val in one folder, and the devkit that says what is in it.

Either the devkit's data/meta.mat and data/ILSVRC2012_validation_ground_truth.txt, or LOC_synset_mapping.txt and
LOC_val_solution.csv beside the folder ILSVRC. Classes are called by the first of the synset's words, in the order of their
numbers n01440764, n01443537, ..., which is that of most published weights.
"""

import csv
import struct
import zlib
from pathlib import Path
from typing import Any

from ..mistake import Mistake
from ..pixels import PICTURES
from .folders import Files, walk
from .found import Entry, Found, printable

MAT_BYTES = 1 << 26
NUMBERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 7: "f", 9: "d", 12: "q", 13: "Q"}  # of MAT 5, as struct names them


def is_imagenet(place: Path) -> bool:
    return devkit(place) is not None or (place / "LOC_synset_mapping.txt").is_file()


def devkit(place: Path) -> Path | None:
    return next((path.parent for path in sorted([*place.glob("data/meta.mat"), *place.glob("*devkit*/data/meta.mat")])), None)


def imagenet(place: Path) -> Found:
    """Train and val (which is the test, see `found.divide`) of ILSVRC 2012. Raises Mistake where they or their labels are not there."""
    pictures = next(
        (root for root in (place / "ILSVRC" / "Data" / "CLS-LOC", place / "Data" / "CLS-LOC", place) if (root / "train").is_dir()), None
    )
    if pictures is None:
        raise Mistake(f"{place} looks like ILSVRC 2012 but has no folder train.")
    kit = devkit(place)
    words, truth = from_devkit(kit, pictures) if kit else from_tables(place)
    order = sorted(words)
    firsts = [words[wnid].partition(",")[0] for wnid in order]
    classes = tuple(f"{first} ({wnid})" if firsts.count(first) > 1 else first for first, wnid in zip(firsts, order, strict=True))
    label = dict(zip(order, classes, strict=True))
    problems: dict[str, str] = {}
    entries, paths = [], []
    for part in ("train", "val"):
        for path, above in walk(pictures / part, problems):
            wnid = above[0] if above else truth.get(path.stem)
            name = printable("/".join((part, *above, path.name)))
            if path.suffix.lower() not in PICTURES:
                continue
            if wnid not in label:
                problems[name] = "has no synset."
                continue
            entries.append(Entry(name, label[wnid], part))
            paths.append(path)
    return Found(entries, Files(paths, [e.name for e in entries]), classes, problems)


def from_tables(place: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The words of each synset, and the synset of each picture of val, from the two LOC_ files."""
    lines = (place / "LOC_synset_mapping.txt").read_text(encoding="utf-8").splitlines()
    words = dict(line.split(" ", 1) for line in lines if " " in line)
    truth = {}
    if (path := place / "LOC_val_solution.csv").is_file():
        with path.open(newline="", encoding="utf-8") as file:
            truth = {row[0]: row[1].split(" ")[0] for row in csv.reader(file) if len(row) > 1}
    return words, truth


def from_devkit(kit: Path, pictures: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The same from the devkit: line i of the ground truth is the ILSVRC2012_ID of the i-th picture of val by name."""
    synsets = read_synsets(kit / "meta.mat")
    wnids = {number: wnid for number, wnid, _ in synsets}
    try:
        told = [int(line) for line in (kit / "ILSVRC2012_validation_ground_truth.txt").read_text().split()]
        truth = {f"ILSVRC2012_val_{i:08}": wnids[number] for i, number in enumerate(told, 1)}
    except (OSError, ValueError, KeyError) as error:
        raise Mistake(
            f"{kit / 'ILSVRC2012_validation_ground_truth.txt'} does not tell the classes of {pictures / 'val'}: {error}."
        ) from error
    return {wnid: words for number, wnid, words in synsets if number <= 1000}, truth


def read_synsets(path: Path) -> list[tuple[int, str, str]]:
    """ILSVRC2012_ID, WNID and words of each synset in the devkit's meta.mat. Raises Mistake for another file."""
    try:
        data = path.read_bytes()
        if len(data) > MAT_BYTES:
            raise ValueError("it is too large")
        kind, held, _ = element(data, 128)
        if kind == 15:
            inflate = zlib.decompressobj()
            kind, held, _ = element(inflate.decompress(held, MAT_BYTES), 0)
        rows = matrix(held)
        return [(int(row["ILSVRC2012_ID"][0]), row["WNID"], row["words"]) for row in rows]
    except (OSError, struct.error, zlib.error, ValueError, KeyError, IndexError, TypeError, UnicodeDecodeError) as error:
        raise Mistake(f"{path} is not the devkit's table of synsets: {error}.") from error


def element(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Kind and content of the element of a MAT 5 file that begins at `at`, and where the next begins."""
    kind, size = struct.unpack_from("<II", data, at)
    if kind >> 16:  # a small one, in four bytes
        return kind & 0xFFFF, data[at + 4 : at + 4 + (kind >> 16)], at + 8
    return kind, data[at + 8 : at + 8 + size], at + 8 + (size if kind == 15 else -(-size // 8) * 8)


def matrix(held: bytes) -> Any:
    """What an array of a MAT 5 file holds: text, a tuple of numbers, or of a struct a list of dictionaries."""
    _, flags, at = element(held, 0)
    _, _, at = element(held, at)  # its sides
    _, _, at = element(held, at)  # its name
    if flags[0] != 2:
        kind, content, _ = element(held, at)
        if flags[0] == 4:
            return content.decode("utf-16-le" if kind in (4, 17) else "utf-8")
        letter = NUMBERS[kind]
        return struct.unpack(f"<{len(content) // struct.calcsize(letter)}{letter}", content)
    _, width, at = element(held, at)
    _, text, at = element(held, at)
    wide = int.from_bytes(width[:4], "little")
    names = [text[i : i + wide].split(b"\0")[0].decode() for i in range(0, len(text), wide)]
    values = []
    while at < len(held):
        _, inner, at = element(held, at)
        values.append(matrix(inner) if inner else "")
    return [dict(zip(names, values[i : i + len(names)], strict=True)) for i in range(0, len(values), len(names))]
