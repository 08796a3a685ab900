"""What a trained network says of picture files."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from .data.imagenet import classes, indices
from .data.listed import Listed, spread
from .data.pictures import read_picture
from .disk import whole
from .evaluate import scores_each
from .mistake import Mistake
from .protocols import named
from .trained import Trained

T = TypeVar("T")


def predict(trained: Trained, files: Iterable[Path], top: int = 3, batch: int = 32) -> Iterator[dict[str, Any]]:
    """For each file {"file", "predictions": [{"index", "label", "probability"}]}, the `top` most probable classes first.

    A file that cannot be read gives {"file", "error"} instead, and the others are still read.
    """
    for file, found in probabilities(trained, files, batch):
        if isinstance(found, Mistake):
            yield {"file": str(file), "error": str(found)}
            continue
        best, index = found.topk(min(top, len(trained.classes)))
        rows = zip(index.tolist(), best.tolist(), strict=True)
        labels = trained.classes
        yield {"file": str(file), "predictions": [{"index": i, "label": labels[i], "probability": round(p, 6)} for i, p in rows]}


def probabilities(trained: Trained, files: Iterable[Path], batch: int = 32) -> Iterator[tuple[Path, Tensor | Mistake]]:
    """Each file with the probabilities (classes,) of what it shows, or the reason why it cannot be read; in their order."""
    return answers(trained, list(files), lambda file: read_picture(file, trained.channels), batch)


def answers(trained: Trained, items: Sequence[T], read: Callable[[T], Tensor], batch: int = 32) -> Iterator[tuple[T, Tensor | Mistake]]:
    """The same of anything that `read` makes a picture (channels, H, W) uint8 of, or raises Mistake."""
    how = replace(named(trained.protocol), interpolation=trained.interpolation)
    whole = how.whole(trained.preprocess.size)

    def placed(item: T) -> tuple[T, Tensor | Mistake]:
        try:
            return item, read(item) if whole else trained.place(read(item))
        except Mistake as error:
            return item, error

    for start in range(0, len(items), batch):
        rows = list(spread(placed, items[start : start + batch]))
        x = [picture for _, picture in rows if isinstance(picture, Tensor)]
        said = iter(scores_each(trained.net, x, trained.preprocess, how).softmax(1)) if x else iter(())
        for item, picture in rows:
            yield item, picture if isinstance(picture, Mistake) else next(said)


def examine(trained: Trained, data: Listed) -> Iterator[tuple[str, Tensor | Mistake, int]]:
    """Each labelled picture's name, its probabilities or why it cannot be read, and its class.

    Raises Mistake for labels that are none of the network's classes.
    """
    if trained.channels != 3:
        raise Mistake(f"{trained.name} reads grey pictures; eval --data gives coloured ones.")
    meant = torch.tensor([*meanings(trained, data.classes), -1])
    rows = [i for i, label in enumerate(data.y.tolist()) if label >= 0]
    for i, found in answers(trained, rows, data.read):
        yield data.names[i], found, int(meant[data.y[i]])


def meanings(trained: Trained, labels: Sequence[str]) -> list[int]:
    """The network's class for each label of a data set."""
    if trained.classes == classes():
        return indices(labels)
    if strange := [label for label in labels if label not in trained.classes]:
        raise Mistake(f"{strange[0]!r} is no class of {trained.name}; it has: {', '.join(trained.classes)}.")
    return [trained.classes.index(label) for label in labels]


def write_csv(out: Path, trained: Trained, rows: Iterable[tuple[Path, Tensor | Mistake]], shares: bool = False) -> Iterator[Mistake]:
    """A table of file and label, or of file and the probability of each class (`shares`). Yields what could not be read and is left out."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", *(trained.classes if shares else ["label"])])
    for file, found in rows:
        if isinstance(found, Mistake):
            yield found
        else:
            table.writerow([file, *(f"{p:.6g}" for p in found.tolist())] if shares else [file, trained.classes[int(found.argmax())]])
    with whole(out) as draft:
        draft.write_text(text.getvalue(), encoding="utf-8", errors="surrogateescape")
