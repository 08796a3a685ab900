"""Pictures, or sounds, as files: a folder for each class, or a table of file and label."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG

from ..mistake import Mistake
from ..pixels import PICTURES
from .found import FOLDERS, Entry, Found, label_of, printable
from .sound import DEFAULT, SOUNDS, Spectrogram, sounds

FILE_BYTES = 1 << 29  # a picture file larger than this is not read
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # for whoever would write into a pipe of that name
UNREAD = {".heic", ".heif", ".avif", ".jxl", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".psd", ".svg"}  # pictures all the same
FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "img", "id", "image_id")
LABEL_COLUMNS = ("label", "class", "class_name", "category", "target", "species", "name", "class_index")
SPLIT_COLUMNS = ("split", "part", "subset", "set", "fold")


def read_file(path: Path, name: str) -> bytes:
    """The bytes of a file. Raises Mistake, calling it `name`, where it cannot be read, is empty, or is no ordinary file."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | NO_WAIT), "rb", buffering=0) as file:
            about = os.fstat(file.fileno())
            if not S_ISREG(about.st_mode):
                raise Mistake(f"{name} is no ordinary file.")
            if not 0 < about.st_size <= FILE_BYTES:
                said = "is empty" if not about.st_size else f"has {about.st_size:,} bytes, which is too many"
                raise Mistake(f"{name} {said}.")
            return file.read(about.st_size)
    except OSError as error:
        raise Mistake(f"{name} cannot be read: {error.strerror or error}.") from error


class Files:
    """The bytes of the i-th of some files."""

    def __init__(self, paths: Sequence[Path], names: Sequence[str]):
        self.paths, self.names = paths, names

    def __call__(self, i: int) -> bytes:
        return read_file(self.paths[i], self.names[i])


def walk(root: Path, problems: dict[str, str]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The files under `root`, sorted by name, each with the names of the folders it is in; hidden ones are passed over.

    Links to folders are followed; a folder is read once however it is reached, so that a loop of links ends.
    """
    seen: dict[tuple[int, int], str] = {}

    def inside(folder: Path, above: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...]]]:
        name = printable("/".join(above))
        try:
            about = folder.stat()
            if (about.st_dev, about.st_ino) in seen:
                problems[name] = f"is the folder {seen[about.st_dev, about.st_ino]!r} again, by a link; it is read once."
                return
            seen[about.st_dev, about.st_ino] = name or "."
            held = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            problems[name] = f"cannot be opened: {error.strerror or error}."
            return
        for entry in held:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            if is_folder(entry):
                yield from inside(Path(entry.path), (*above, entry.name))
            else:
                yield Path(entry.path), above

    return inside(root, ())


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def folder(place: Path, sound: Spectrogram = DEFAULT) -> Found:
    """A folder for each class; within folders train, val and test where there is a train. Of sounds, if sounds are all there is."""
    problems: dict[str, str] = {}
    files = list(walk(place, problems))
    split = any(FOLDERS.get(above[0].lower()) == "train" for _, above in files if above)
    kinds = {path.suffix.lower() for path, _ in files}
    wanted = PICTURES if kinds & PICTURES else SOUNDS
    entries, paths = [], []
    for path, above in files:
        part = FOLDERS.get(above[0].lower(), "") if above and split else ""
        labels = above[1:] if split else above
        if path.suffix.lower() in wanted and (part or not split):
            entries.append(Entry(printable("/".join((*above, path.name))), label_of(labels[0]) if labels else None, part))
            paths.append(path)
        elif path.suffix.lower() in UNREAD:
            problems[printable("/".join((*above, path.name)))] = f"is of a kind that is not read ({path.suffix}); make it .jpg or .png."
    labels = {(e.part, e.label) for e in entries}
    for part, label, name in named(place, split):
        if entries and (part, label) not in labels and name not in problems:
            problems[name] = "holds nothing that can be used, and is no class."
    return listed(entries, paths, problems, sound)


def named(place: Path, split: bool) -> Iterator[tuple[str, str, str]]:
    """The folders that are called like classes: split, class and name of each."""
    for outer in folders_in(place):
        part = FOLDERS.get(outer.name.lower(), "")
        if not split:
            yield "", label_of(outer.name), printable(outer.name)
        elif part:
            for inner in folders_in(outer):
                yield part, label_of(inner.name), printable(f"{outer.name}/{inner.name}")


def folders_in(place: Path) -> list[Path]:
    """Sorted by name; of a folder that cannot be opened, none."""
    try:
        return sorted(Path(e.path) for e in os.scandir(place) if is_folder(e) and not e.name.startswith(".") and e.name != "__MACOSX")
    except OSError:
        return []


def listed(entries: list[Entry], paths: list[Path], problems: dict[str, str], sound: Spectrogram) -> Found:
    if any(path.suffix.lower() in SOUNDS for path in paths):
        return sounds(entries, paths, sound, problems)
    return Found(entries, Files(paths, [e.name for e in entries]), problems=problems)


def table(path: Path, sound: Spectrogram = DEFAULT) -> Found:
    """A CSV with a column of files, beside it or in a folder `images`, one of labels, and perhaps one that says train, val or test."""
    problems: dict[str, str] = {}
    entries: dict[str, Entry] = {}
    paths: dict[str, Path] = {}
    rows = list(rows_of(path))
    split = any(part.strip().lower() in FOLDERS for _, _, part in rows)
    for number, (file, label, part) in enumerate(rows, 2):
        name = printable(file)
        entry = Entry(name, label_of(label) or None, FOLDERS.get(part.strip().lower(), ""))
        if not file or "\0" in file:
            problems[f"line {number}"] = "names no file."
        elif split and part.strip().lower() not in FOLDERS:
            problems[name] = f"is of split {printable(part)!r}, which is none of {', '.join(sorted(FOLDERS))}."
        elif name in entries:
            same = entries[name].label == entry.label
            problems[f"{name}, line {number}"] = (
                "is named twice; it is taken once." if same else "is named twice, with another label; the first is kept."
            )
        else:
            entries[name], paths[name] = entry, locate(path.parent, file)
    return listed(list(entries.values()), list(paths.values()), problems, sound)


def rows_of(path: Path) -> Iterator[tuple[str, str, str]]:
    """File, label and split of each line of a CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            mark = max(",;\t", key=first.count)
            columns = [column.strip().lower() for column in next(csv.reader([first], delimiter=mark), [])]
            at = [column(columns, names, path) for names in (FILE_COLUMNS, LABEL_COLUMNS)]
            at += [next((columns.index(name) for name in SPLIT_COLUMNS if name in columns), -1)]
            for cells in csv.reader(file, delimiter=mark):
                if cells:
                    file_, label, part = (cells[i].strip() if 0 <= i < len(cells) else "" for i in at)
                    yield file_, label, part
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Mistake(f"{path} cannot be read as a table: {error}.") from error


def column(columns: list[str], names: Sequence[str], path: Path) -> int:
    for name in names:
        if name in columns:
            return columns.index(name)
    raise Mistake(f"{path} has the columns {', '.join(filter(None, columns)) or 'of nothing'}; it needs one called {' or '.join(names)}.")


def locate(root: Path, file: str) -> Path:
    """Where a file named in a table is: beside it, or in `images` or `train` there; endings may be missing."""
    for way in (root / file, root / "images" / file, root / "train" / file):
        if way.exists():
            return way
        for ending in (".jpg", ".png") if not way.suffix else ():
            if (found := way.with_name(way.name + ending)).exists():
                return found
    return root / file
