"""Which pictures a run learns from, which it is watched by and which it is judged by."""

from dataclasses import dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .data import SOURCES, source
from .data.batches import Batches, generator
from .data.crops import Crops
from .data.listed import Listed, opened
from .data.pictures import Pictures
from .data.report import refuse, report
from .data.rest import Resting
from .distribute import Team
from .mistake import Mistake
from .recipes import Recipe, Tuning, View

ALONE = Team()
WATCHED = 0.1  # of each class, where no val pictures are left to watch


@dataclass(frozen=True)
class Sets:
    """A pass goes through the places `rows` of `train`, all of them if None. `watch` is None where nothing is held back.

    `judged` in words: "test", "val" where no test picture has a label, or "fold 2 of 5". `report` as data/report.py makes it.
    `disk` are the pictures to learn from where they stay on the disk; `train` is then empty.
    """

    train: Pictures
    rows: Tensor | None
    watch: Pictures | None
    test: Pictures
    judged: str = "test"
    report: dict[str, Any] = field(default_factory=dict)
    disk: Listed | None = None


def load_sets(recipe: Recipe, strict: bool = False) -> Sets:
    """The pictures of a recipe, in memory. A source in the package is watched by its test pictures, as its paper did.

    Raises Mistake for a place without pictures to learn from and to be judged by; if `strict`, for any file that cannot be used.
    """
    if recipe.tuning is None and recipe.crop is None:
        pictures = source(recipe.data, recipe.preprocess.size)
        test = pictures.load("test")
        return Sets(pictures.load("train"), None, test, test)
    if recipe.tuning is None:
        return on_disk(recipe)
    tuning, size = recipe.tuning, recipe.preprocess.size
    splits = opened(recipe.data, tuning.drawn)
    listed = {name: labelled(part) for name, part in splits.items()}
    train = listed.get("train")
    if train is None or not len(train):
        raise Mistake(f"{recipe.data} has no pictures to learn from: none in train has a label.")
    if not train.classes[1:]:
        raise Mistake(alone(Path(recipe.data), train.classes[0]))
    parts = {name: part.pictures(size) for name, part in listed.items() if len(part)}
    if strict:
        refuse(splits)
    if tuning.folds:
        return replace(folded(together(parts["train"], parts.get("val")), tuning), report=report(splits))
    val, test = parts.get("val"), parts.get("test")
    judged = test or val
    if judged is None:
        raise Mistake(f"{recipe.data} has no pictures to be judged by; one class needs at least three.")
    learned = parts["train"] if tuning.held or test is None else together(parts["train"], val)
    rows = evened(learned.y, torch.arange(len(learned))) if tuning.balance == "sampling" else None
    return Sets(learned, rows, val if tuning.held else None, judged, "test" if test else "val", report(splits))


def alone(place: Path, label: str) -> str:
    """What to say of a place with one class."""
    deeper = place / label
    inner = deeper.is_dir() and any(path.is_dir() for path in deeper.iterdir())
    return f"all pictures of {place} are of one class, {label!r}; name a place with a folder for each class{f', {deeper}?' * inner or '.'}"


def on_disk(recipe: Recipe) -> Sets:
    """Pictures that are cut from the disk whenever they are seen, and those that judge, in memory as `view` shows them.

    Where test pictures judge, those of val are learned from as well: many places get theirs from train, and a paper learned from all.
    """
    splits = opened(recipe.data)
    judged = "test" if "test" in splits and (splits["test"].y >= 0).any() else "val"
    if not splits[judged].classes[1:]:
        raise Mistake(alone(Path(recipe.data), splits[judged].classes[0]))
    view = recipe.view or View(recipe.preprocess.size, recipe.preprocess.size)
    seen, edge = labelled(splits[judged]).pictures(view.resize), (view.resize - view.crop) // 2
    test = replace(seen, x=seen.x[..., edge : edge + view.crop, edge : edge + view.crop])
    nothing = Pictures(test.x[:0], test.y[:0], test.classes)
    learned = chained(splits["train"], splits["val"]) if judged == "test" and "val" in splits else splits["train"]
    return Sets(nothing, None, test, test, judged, report(splits), labelled(learned))


def batches(recipe: Recipe, sets: Sets, seed: int, team: Team = ALONE) -> Batches | Crops:
    """The endless row of batches that a run with this seed learns from, or of several processes this one."""
    share: dict[str, Any] = {"rank": team.rank, "ranks": team.ranks, "device": team.device}
    if recipe.rest:
        if team.ranks > 1:
            raise Mistake("recipe.rest is for one process, which knows the losses of all pictures; train with --workers 1.")
        count = len(sets.train) if sets.rows is None else len(sets.rows)
        first = ceil(recipe.rest.start * recipe.steps * recipe.batch / count)
        share["other"] = Resting(count, seed, recipe.rest.share, first)
    if sets.disk is None or recipe.crop is None:
        return Batches(sets.train, recipe.batch, seed, recipe.preprocess, recipe.augment, sets.rows, recipe.repeats, **share)
    return Crops(sets.disk, recipe.batch, seed, recipe.preprocess, recipe.crop, recipe.augment, recipe.repeats, team.cores, **share)


def fitted(recipe: Recipe) -> Recipe:
    """The recipe for a network with as many classes as the place has that its data comes from; one for named data as it is."""
    if recipe.data in SOURCES or recipe.tuning is not None or not Path(recipe.data).exists():
        return recipe
    config = {**dict(recipe.config), "num_classes": len(next(iter(opened(recipe.data).values())).classes)}
    return replace(recipe, config=tuple(config.items()))


def labelled(listed: Listed) -> Listed:
    """Those of known class; of a competition's test pictures none is."""
    known = listed.y >= 0
    return listed if known.all() else listed.subset(known.nonzero()[:, 0])


def chained(a: Listed, b: Listed) -> Listed:
    """The pictures of two parts of a place, one part after the other."""

    def get(i: int) -> bytes | Tensor:
        return a.get(i) if i < len(a) else b.get(i - len(a))

    return replace(a, names=a.names + b.names, y=torch.cat([a.y, b.y]), get=get)


def together(a: Pictures, b: Pictures | None) -> Pictures:
    return a if b is None else Pictures(torch.cat([a.x, b.x]), torch.cat([a.y, b.y]), a.classes)


def folded(pool: Pictures, tuning: Tuning) -> Sets:
    """One fold to be judged by, the others to learn from; of these a tenth of each class is watched, if anything is."""
    part = deal(pool.y, tuning.folds, tuning.drawn)
    inside = (part != tuning.fold).nonzero()[:, 0]
    watched = share(pool.y[inside], WATCHED if tuning.held else 0.0, tuning.drawn)
    rows = inside[~watched]
    rows = evened(pool.y, rows) if tuning.balance == "sampling" else rows
    watch, test = (Pictures(pool.x[at], pool.y[at], pool.classes) for at in (inside[watched], (part == tuning.fold).nonzero()[:, 0]))
    return Sets(pool, rows, watch if tuning.held else None, test, f"fold {tuning.fold + 1} of {tuning.folds}")


def deal(y: Tensor, folds: int, seed: int) -> Tensor:
    """(N,): the fold of each picture, in 0..folds-1, drawn by `seed`.

    Each class is dealt out as evenly as it can be, and the next goes on where it ended: so the folds are even as well.
    """
    order = torch.randperm(len(y), generator=generator(seed, folds))
    order = order[y[order].argsort(stable=True)]
    part = torch.empty_like(y)
    part[order] = torch.arange(len(y)) % folds
    return part


def share(y: Tensor, part: float, seed: int) -> Tensor:
    """(N,) bool: true for this part of each class, rounded, drawn by `seed`; of every class at least one picture is not."""
    chosen = torch.zeros(len(y), dtype=torch.bool)
    order = torch.randperm(len(y), generator=generator(seed))
    for c in y.unique():
        rows = order[y[order] == c]
        chosen[rows[: min(round(part * len(rows)), len(rows) - 1)]] = True
    return chosen


def evened(y: Tensor, rows: Tensor) -> Tensor:
    """`rows`, those of the rarer classes so often that all classes of y[rows] are equally frequent."""
    of = y[rows]
    most = int(of.bincount().max())
    return torch.cat([rows[of == c].repeat(-(-most // int((of == c).sum())))[:most] for c in of.unique()])


def class_weights(y: Tensor, classes: int) -> Tensor:
    """(classes,): each class in inverse proportion to how often it occurs in y, mean 1 over the pictures; 0 for one that never does."""
    counts = y.bincount(minlength=classes)
    present = int((counts > 0).sum())
    return torch.where(counts > 0, len(y) / (present * counts.clamp_min(1)), 0.0)
