"""A network that has learned elsewhere, taught one's own classes: a linear classifier on its features, then all of it.

The classifier comes first, solved on features as they are (probe.py), and only then learns the whole network, from there: a random
head would spoil the features before it knew anything (Kumar et al. 2022, arXiv:2202.10054). Either is a run in a folder of its own.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .data.augment import Crop, Flip
from .data.batches import Preprocess
from .data.report import write
from .disk import whole
from .intervals import over_seeds, wilson
from .mistake import Mistake
from .models.net import Net
from .probe import Linear, embeddings, train_linear
from .recipes import Cosine, CrossEntropy, Recipe, Tuning
from .recipes.optimisers import AdamW
from .run import Run, begin, free, open_run
from .sets import Sets, batches, class_weights, load_sets
from .settle import fastest
from .train import in_layout

SOURCE = "ours: a linear classifier on the features, then all layers from there, early ones slower"
FEW = 5000  # pictures; with fewer, batch norms keep the statistics that they came with

Tell = Callable[[int, int], None]  # hears how many pictures have gone through the network, and of how many


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How to fine-tune. `size` is the side of the pictures, `passes` over them 0 for the linear classifier alone."""

    size: int
    passes: int = 8
    batch: int = 32
    rate: float = 5e-4
    decay: float = 0.02
    layer_decay: float = 0.8
    patience: int = 5
    balance: str = "none"
    folds: int = 0
    freeze: str = ""
    tta: bool = False
    seed: int = 0


def finetune(
    folder: Path,
    model: str,
    net: Net,
    place: Path | str,
    wish: Wish,
    *,
    weights: str = "",
    mean: tuple[float, ...] = (0.485, 0.456, 0.406),
    std: tuple[float, ...] = (0.229, 0.224, 0.225),
    cache: Path | None = None,
    fold: int = 0,
    strict: bool = False,
    tell: Tell | None = None,
) -> Run:
    """A run that has not begun to train: `folder` with the recipe, and with the network as the linear classifier leaves it.

    `net` is the network `model`, with weights that come from `weights` and want pictures of this `mean` and `std`; its
    head is replaced, in place. Training is then `run.go()`. Raises Mistake for a folder that holds something, or unfit pictures; if
    `strict`, for any file that cannot be used.
    """
    free(folder)
    place = str(Path(place).resolve())
    tuning = Tuning(
        weights=weights, classes=(), drawn=wish.seed, held=wish.passes > 0, patience=wish.patience, folds=wish.folds, fold=fold,
        balance=wish.balance, freeze=wish.freeze,
    )  # fmt: skip
    draft = Recipe(
        source=SOURCE, model=model, data=place, steps=0, batch=wish.batch, test=1, rate=Cosine(wish.rate, warm=0.1),
        optimiser=AdamW(wish.decay, wish.layer_decay), preprocess=Preprocess(size=wish.size, mean=mean, std=std), tuning=tuning,
        protocol="flip" if wish.tta else "single view",
    )  # fmt: skip
    sets = load_sets(draft, strict)
    classes, learned = sets.train.classes, len(sets.train) if sets.rows is None else len(sets.rows)
    one_pass = ceil(learned / wish.batch)
    recipe = replace(
        draft, steps=wish.passes * one_pass, test=one_pass, augment=(Crop(wish.size * 7 // 8), Flip()),
        config=(("num_classes", len(classes)),),
        loss=CrossEntropy(smoothing=0.1, weights=tuple(balance(sets, wish, len(classes)).tolist())),
        tuning=replace(tuning, classes=classes, kept_norms=learned < FEW),
        precision="auto" if wish.passes else "float32", layout="auto" if wish.passes else "channels_last",
    )  # fmt: skip
    torch.manual_seed(wish.seed)
    net.replace_head(len(classes))
    told = begin_head(net, sets, recipe, cache, tell)
    recipe, ways = fastest(net.freeze(wish.freeze or None), recipe, batches(recipe, sets, wish.seed))
    name = f"{model}-{'finetune' if wish.passes else 'probe'}"
    run = begin(folder, name, recipe, wish.seed, start=net, told={"event": "probe", **told, **ways})
    write(folder / "data_report.json", sets.report)
    return run


def balance(sets: Sets, wish: Wish, classes: int) -> Tensor:
    """(classes,): what each class counts in the loss; empty where all count the same."""
    y = sets.train.y if sets.rows is None else sets.train.y[sets.rows]
    return class_weights(y, classes) if wish.balance == "weights" else torch.empty(0)


def begin_head(net: Net, sets: Sets, recipe: Recipe, cache: Path | None, tell: Tell | None) -> dict[str, Any]:
    """Puts the linear classifier of the features into the network's last layer; gives its penalty, what was tried, and the time."""
    last = [layer for layer in net.head.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    if not last:
        return {}
    begun = time.perf_counter()
    pictures, rows = sets.train, torch.arange(len(sets.train)) if sets.rows is None else sets.rows
    x = embeddings(
        in_layout(net, replace(recipe, layout="channels_last")), pictures.x, recipe.preprocess, cache,
        tell=tell,
    )  # fmt: skip
    x = x.mean((2, 3)) if x.dim() == 4 else x  # a convolution is the classifier: it reads maps
    read = time.perf_counter()
    weights = torch.tensor(recipe.loss.weights) if isinstance(recipe.loss, CrossEntropy) and recipe.loss.weights else None
    linear = train_linear(x[rows], pictures.y[rows], len(pictures.classes), weights)
    set_head(last[-1], linear)
    seconds = {"features": round(read - begun, 2), "classifier": round(time.perf_counter() - read, 2)}
    return {"penalty": linear.penalty, "tried": linear.tried, "errors": linear.errors, "n": len(rows), "seconds": seconds}


@torch.no_grad()
def set_head(layer: nn.Linear | nn.Conv2d, linear: Linear) -> None:
    layer.weight.copy_(linear.weight.view_as(layer.weight))
    if layer.bias is not None:
        layer.bias.copy_(linear.bias)


def over_folds(runs: list[Run]) -> dict[str, Any]:
    """What the finished runs of all folds say together: every picture judged once, by a network that did not learn from it."""
    results = [run.result() for run in runs]
    errors, n = [result["top1_error"] for result in results], sum(result["n"] for result in results)
    wrong = round(sum(result["top1_error"] * result["n"] / 100 for result in results))
    centre, interval = over_seeds(errors)
    return {
        "top1_error": 100 * wrong / n, "n": n, "interval": wilson(wrong, n), "errors": errors,
        "mean": centre, "interval_over_folds": interval, "seconds": [result["seconds"] for result in results],
        "macro_ap": [result["metrics"]["macro_ap"] for result in results], "folders": [str(run.folder) for run in runs],
    }  # fmt: skip


def write_folds(folder: Path, runs: list[Run]) -> dict[str, Any]:
    """folds.json, in the folder that holds the folds' runs."""
    found = over_folds(runs)
    with whole(folder / "folds.json") as draft:
        draft.write_text(json.dumps(found, indent=1) + "\n")
    return found


def going(folder: Path, wish: Wish, model: str, place: Path | str, fold: int) -> Run | None:
    """The run in `folder` if it was begun by the same words, so that a row of runs goes on where it was interrupted; None if there is none.

    Raises Mistake for another run.
    """
    if not (folder / "recipe.json").exists():
        return None
    run = open_run(folder)
    recipe, tuning = run.recipe, run.recipe.tuning
    same = tuning is not None and asdict(tuning).items() >= {"drawn": wish.seed, "folds": wish.folds, "fold": fold}.items()
    if not same or (recipe.model, recipe.data, recipe.preprocess.size) != (model, str(Path(place).resolve()), wish.size):
        raise Mistake(f"{folder} holds another run; choose another place by --out DIR.")
    return run
