"""The verb that trains many runs: sweep."""

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, print_json, table
from .runs import fresh, pairs, settle

if TYPE_CHECKING:
    from ..run import Run


def sweep(
    recipe: str,
    /,
    *changes: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    seeds: int = 3,
    out: Path | None = None,
    workers: int = 1,
    save_every: float = 20.0,
    json: Json = False,
) -> None:
    """Train by a recipe with several seeds and several values of its fields, by Ray, and compare (the extra `cluster`).

    A field that is given more than once takes each of the values: --recipe.rate.peak 0.1 --recipe.rate.peak 0.2. Every setting is
    trained with every seed, and its runs are asked together as well: `convatlas sweep lenet5_modern-mnist --seeds 7` is an ensemble.
    The same words again go on where they were interrupted.

    Parameters
    ----------
    recipe
        A name from `convatlas recipes`.
    seeds
        How many, counted from 0.
    out
        The folder of the runs' folders; by default runs/RECIPE-sweep. The comparison is written to sweep.json in it.
    workers
        Runs at a time.
    save_every
        Seconds between two checkpoints of a run.
    """
    from ..cluster import train_all
    from ..disk import whole
    from ..recipes import RECIPES

    if recipe not in RECIPES:
        raise Mistake(f"no recipe {recipe!r}; there are: {', '.join(RECIPES)}.")
    if min(seeds, workers) < 1:
        raise Mistake("--seeds and --workers must be at least 1.")
    folder = out or Path("runs") / f"{recipe}-sweep"
    groups = [[begun(folder, recipe, setting, seed) for seed in range(seeds)] for setting in settings(changes)]
    if left := [run.folder for runs in groups for run in runs if not run.finished]:
        train_all(left, workers, save_every)
    rows = [compared(runs) for runs in groups]
    with whole(folder / "sweep.json") as draft:
        draft.write_text(text_of(rows))
    print_json(rows) if json else say(rows)


def settings(words: tuple[str, ...]) -> list[list[str]]:
    """Every way to take one value for each field: --recipe.steps 5 --recipe.steps 6 as [[--recipe.steps, 5], [--recipe.steps, 6]]."""
    flat = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    values: dict[str, list[str]] = {}
    pairs(flat)  # refuses what is not fields and values
    for name, value in zip(flat[::2], flat[1::2], strict=True):
        values.setdefault(name, []).append(value)
    return [list(itertools.chain(*zip(values, chosen, strict=True))) for chosen in itertools.product(*values.values())]


def begun(folder: Path, recipe: str, setting: list[str], seed: int) -> "Run":
    """The run of a setting and a seed, new or to go on with."""
    from ..run import open_run

    words = [f"{name.removeprefix('--recipe.')}={value}" for name, value in zip(setting[::2], setting[1::2], strict=True)]
    place = folder / "-".join([*(word.replace("/", "_") for word in words), f"seed{seed}"])
    changed = pairs(setting)
    if not (place / "recipe.json").exists():
        return fresh(place, recipe, changed, seed, sync_norms=False)
    run = open_run(place)
    settle(run, recipe, changed, as_begun=False)
    return run


def compared(runs: "list[Run]") -> dict[str, Any]:
    """What the runs of one setting say: their errors, the mean with Student's interval over the seeds, and what all say together."""
    from ..ensemble import at_its_end, gain, together
    from ..intervals import over_seeds

    errors = [run.result()["top1_error"] for run in runs]
    row: dict[str, Any] = {"setting": runs[0].changed, "errors": errors, "mean": errors[0], "folders": [str(run.folder) for run in runs]}
    if len(runs) > 1:
        members = [at_its_end(run) for run in runs]
        one = together(members)
        better, interval = gain(members, one)
        row["mean"], row["interval"] = over_seeds(errors)
        row |= {"together": one.evaluation().top1_error, "gain": better, "gain_interval": interval}
    return row


def text_of(rows: list[dict[str, Any]]) -> str:
    from json import dumps

    return dumps(rows, indent=1) + "\n"


def say(rows: list[dict[str, Any]]) -> None:
    cells = []
    for row in rows:
        low, high = row.get("interval", (row["mean"],) * 2)
        mean, one = f"{row['mean']:.2f} ({low:.2f} to {high:.2f})", row.get("together")
        cells.append([", ".join(flat(row["setting"])) or "as published", len(row["errors"]), mean, "" if one is None else f"{one:.2f}"])
    table(["setting", "seeds", "% error, mean and 95 % interval", "together"], cells)


def flat(changed: dict[str, Any], before: str = "") -> list[str]:
    """{"rate": {"peak": "0.2"}} as ["rate.peak=0.2"]."""
    return [
        text
        for key, value in changed.items()
        for text in (flat(value, f"{before}{key}.") if isinstance(value, dict) else [f"{before}{key}={value}"])
    ]
