"""Parquet in the Hugging Face layout: a column of pictures, as their files' bytes, and one of labels."""

import json
import re
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any

from ..mistake import Mistake
from .found import FOLDERS, Entry, Found

KEPT = 1 << 29  # bytes of row groups that are kept for the next picture


def parquet(place: Path) -> Found:
    """A parquet file, or those in a folder or its folder `data`; a name that begins with train, validation or test tells the split."""
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise Mistake(f"{place} is parquet, which needs pyarrow: pip install 'convatlas[data]'.") from None
    paths = [place] if place.is_file() else sorted(place.glob("*.parquet")) or sorted(place.glob("data/*.parquet"))
    entries, rows, classes = [], [], ()
    tables = []
    for number, path in enumerate(paths):
        try:
            file = pq.ParquetFile(path)
            picture, label = columns(file.schema_arrow, path)
            labels = file.read([label]).column(0).to_pylist() if label else [None] * file.metadata.num_rows
        except (OSError, ValueError) as error:  # pyarrow's own are both
            raise Mistake(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}.") from error
        classes = classes or class_names(file.schema_arrow, label)
        part = FOLDERS.get(re.split(r"[-_.]", path.name)[0].lower(), "")
        entries += [Entry(f"{path.name}#{i}", named(value, classes), part) for i, value in enumerate(labels)]
        rows += [(number, i) for i in range(len(labels))]
        tables.append((file, picture))
    return Found(entries, Rows(tables, rows, [e.name for e in entries]), classes)


def named(label: Any, classes: tuple[str, ...]) -> str | None:
    if label is None or label == -1:
        return None
    return classes[label] if isinstance(label, int) and label < len(classes) else str(label)


def columns(schema: Any, path: Path) -> tuple[str, str | None]:
    """The columns of pictures and of labels. Raises Mistake where it is not plain which they are."""
    import pyarrow as pa

    def pictures(kind: Any) -> bool:
        return (
            pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
        )

    found = [f.name for f in schema if pictures(f.type)]
    if not found:
        raise Mistake(f"{path} has no column of pictures; it has: {', '.join(schema.names)}.")
    labels = [name for name in ("label", "labels", "fine_label", "class", "target") if name in schema.names]
    return next((name for name in ("image", "img") if name in found), found[0]), labels[0] if labels else None


def class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """What the classes are called, where the file says it."""
    try:
        told = json.loads((schema.metadata or {})[b"huggingface"])
        return tuple(map(str, told["info"]["features"][label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()


class Rows:
    """The bytes of the i-th picture of some parquet files; the last row groups in use are kept."""

    def __init__(self, tables: list[tuple[Any, str]], rows: list[tuple[int, int]], names: list[str]):
        self.tables, self.rows, self.names = tables, rows, names
        self.groups: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self.lock = Lock()
        self.starts = []
        for file, _ in tables:
            counts = [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
            self.starts.append([sum(counts[:g]) for g in range(len(counts))])

    def __call__(self, i: int) -> bytes:
        number, row = self.rows[i]
        starts = self.starts[number]
        group = max(g for g, start in enumerate(starts) if start <= row)
        try:
            cell = self.group(number, group)[row - starts[group]].as_py()
        except (OSError, ValueError) as error:
            raise Mistake(f"{self.names[i]} cannot be read: {str(error).splitlines()[0]}.") from error
        data = cell.get("bytes") if isinstance(cell, dict) else cell
        if not data:
            raise Mistake(f"{self.names[i]} holds no bytes of a picture.")
        return data

    def group(self, number: int, group: int) -> Any:
        with self.lock:
            key = number, group
            if key not in self.groups:
                file, picture = self.tables[number]
                self.groups[key] = file.read_row_group(group, columns=[picture]).column(0)
                while len(self.groups) > 1 and sum(column.nbytes for column in self.groups.values()) > KEPT:
                    self.groups.popitem(last=False)
            self.groups.move_to_end(key)
            return self.groups[key]
