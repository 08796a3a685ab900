"""Tar shards in the WebDataset layout: members of one name are one sample, key.jpg the picture and key.cls its class.

Each shard is listed once; after that a picture is read from its place in the file. Nothing is ever unpacked.
"""

import json
import re
import tarfile
from collections import defaultdict
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..mistake import Mistake
from ..pixels import PICTURES
from .folders import FILE_BYTES
from .found import FOLDERS, Entry, Found, label_of, printable

LABEL_BYTES = 1 << 16
LABELS = (".cls", ".txt", ".json")


class Member(NamedTuple):
    shard: Path
    at: int
    size: int


def shards(place: Path) -> Found:
    """A tar, or those in a folder or its folders train, val and test; the split is told by folder or by the name's first word.

    A class is a number, or a word, in key.cls, key.txt or as "label", "cls" or "class" in key.json. `classes.txt` beside the
    shards, a line a class, names numbers. What is no plain file, leads out of the archive, or is damaged is left out.
    """
    paths = [place] if place.is_file() else sorted([*place.glob("*.tar"), *place.glob("*/*.tar")])
    problems: dict[str, str] = {}
    entries: list[Entry] = []
    members: list[Member] = []
    names = class_names(place if place.is_dir() else place.parent)
    for path in paths:
        parent = FOLDERS.get(path.parent.name.lower(), "") if path.parent != place else ""
        part = parent or FOLDERS.get(re.split(r"[-_.]", path.name)[0].lower(), "")
        for key, parts in samples(path, problems).items():
            ending = next((e for e in parts if e in PICTURES), None)
            if ending is None:
                continue
            label = label_in(parts, f"{path.name}/{key}", problems)
            if label is not None and label.isdecimal() and int(label) < len(names):
                label = names[int(label)]
            entries.append(Entry(f"{path.name}/{key}{ending}", label, part))
            members.append(parts[ending])
    return Found(entries, Members(members, [e.name for e in entries]), names, problems)


def class_names(folder: Path) -> tuple[str, ...]:
    path = folder / "classes.txt"
    return tuple(label_of(line) for line in path.read_text(encoding="utf-8").splitlines()) if path.is_file() else ()


def samples(path: Path, problems: dict[str, str]) -> dict[str, dict[str, Member]]:
    """The members of a shard by key and then by ending, sorted by key; the first of two of the same name."""
    found: dict[str, dict[str, Member]] = defaultdict(dict)
    try:
        length = path.stat().st_size
        with tarfile.open(path, "r:") as tar:
            for info in tar:
                name = f"{path.name}/{printable(info.name)}"
                inner = PurePosixPath(info.name)
                if info.isdir():
                    continue
                if why := refused(info, inner, length):
                    problems[name] = why
                    continue
                stem, dot, ending = inner.name.partition(".")
                parts = found[printable(str(inner.with_name(stem)))] if stem else {}
                if dot + ending.lower() in parts:
                    problems[f"{name} (again)"] = "is there twice; the first is taken."
                parts.setdefault(dot + ending.lower(), Member(path, info.offset_data, info.size))
    except (tarfile.TarError, OSError, EOFError) as error:
        problems[path.name] = f"cannot be read as a tar to its end: {error}."
        with path.open("rb") as file:
            if file.read(2) == b"\x1f\x8b":
                problems[path.name] = "is packed by gzip, so that its pictures cannot be read one by one; unpack it with gunzip."
    return dict(sorted(found.items()))


def refused(info: tarfile.TarInfo, inner: PurePosixPath, length: int) -> str | None:
    if inner.is_absolute() or ".." in inner.parts:
        return "leads out of the archive; it is not read."
    if not info.isreg():
        return "is a link or no ordinary file; it is not read."
    if info.size > FILE_BYTES:
        return f"has {info.size:,} bytes, which is too many."
    return "is cut off by the end of the shard." if info.offset_data + info.size > length else None


def label_in(parts: dict[str, Member], name: str, problems: dict[str, str]) -> str | None:
    """The class that stands beside a picture; None where there is none."""
    ending = next((e for e in LABELS if e in parts), None)
    if ending is None:
        return None
    try:
        text = Members([parts[ending]], [name + ending])(0).decode() if parts[ending].size <= LABEL_BYTES else ""
        if ending == ".json":
            told = json.loads(text)
            text = str(next((told[key] for key in ("label", "cls", "class") if key in told), ""))
        return label_of(text) or None
    except (Mistake, ValueError, TypeError) as error:
        problems[name + ending] = f"tells no class: {error}."
        return None


class Members:
    """The bytes of the i-th of some members of shards."""

    def __init__(self, members: list[Member], names: list[str]):
        self.members, self.names = members, names

    def __call__(self, i: int) -> bytes:
        shard, at, size = self.members[i]
        try:
            with shard.open("rb", buffering=0) as file:
                file.seek(at)
                data = file.read(size)
        except OSError as error:
            raise Mistake(f"{self.names[i]} cannot be read: {error.strerror or error}.") from error
        if len(data) < size or not size:
            raise Mistake(f"{self.names[i]} {'is cut short' if size else 'is empty'}.")
        return data
