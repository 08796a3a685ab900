"""The verbs that train: recipes, train."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, fitting, least, print_json, table

if TYPE_CHECKING:
    from ..run import Run


def recipes(pattern: str = "*", *, json: Json = False) -> None:
    """The recipes there are; of one, every value, under the name that changes it.

    A name begins with that of the network. For "imagenet", name a place of your own: --recipe.data PLACE.

    Parameters
    ----------
    pattern
        A name, part of one, or a pattern such as "lenet5*".
    """
    from ..recipes import RECIPES
    from ..recipes.text import encode, lines

    found = {name: RECIPES[name] for name in fitting(pattern, RECIPES)}
    if json:
        print_json({name: encode(recipe) for name, recipe in found.items()})
    elif len(found) == 1:
        for recipe in found.values():
            for name, text in lines(encode(recipe)):
                mark = "  (remembered, not read again)" if name.partition(".")[0] in recipe.remembered else ""
                print(f"--recipe.{name:30} {text}{mark}".rstrip())
    else:
        rows = [[name, r.data, r.steps * r.batch, "" if r.published is None else f"{r.published} %"] for name, r in found.items()]
        table(["name", "data", "pictures seen", "published error"], rows)


def train(
    recipe: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *changes: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    seed: int = 0,
    resume: Path | None = None,
    as_begun: Annotated[bool, Parameter(negative=())] = False,
    save_every: float = 20.0,
    launch: Literal["local", "torchrun", "ray"] = "local",
    workers: int = 1,
    sync_norms: Annotated[bool, Parameter(negative=())] = False,
    track: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Train a network by a recipe, test it, and write a report.

    Any field of the recipe can be changed: --recipe.steps 500, --recipe.rate.peak 0.2. `convatlas recipes NAME` lists them.
    Ctrl-C ends with a checkpoint; --resume goes on from it, and from whatever else ended a run, to the same weights.

    Parameters
    ----------
    recipe
        A name from `convatlas recipes`.
    out
        The run's folder, new or empty; by default runs/RECIPE-seedN.
    seed
        Of the first weights, the order of the pictures and their changes.
    resume
        Go on with the run in this folder.
    as_begun
        With --resume: by the recipe as it was when the run began, even if it has changed since.
    save_every
        Seconds between two checkpoints.
    launch
        Who starts the workers and replaces those that die: this command on this machine (local), torchrun with the machines that its
        PET_ variables name, or Ray on its cluster (the extra `cluster`).
    workers
        Processes on this machine that share each batch.
    sync_norms
        Batch norms take the statistics of the whole batch instead of each worker's share.
    track
        Mirror the log for TensorBoard, in the run's folder (the extra `track`).
    """
    if recipe is not None and recipe.startswith("--"):
        recipe, changes = None, (recipe, *changes)
    for name, value, bound in (("seed", seed, 0), ("workers", workers, 1), ("save-every", save_every, 0)):
        least(name, value, bound)
    if resume is not None and (seed or out):
        raise Mistake(f"{resume} goes on where it is, with the seed that it began with; leave out --seed and --out.")
    run = meant(recipe, pairs(changes), out, seed, resume, as_begun, sync_norms)
    if sync_norms and not run.sync_norms:
        raise Mistake(f"{run.folder} began without --sync-norms; its batch norms cannot be others now.")
    if not run.finished and not trained(run, save_every, launch, workers, json, track):
        print(f"Stopped. Go on with: convatlas train --resume {run.folder}", file=sys.stderr)
        sys.exit(130)
    if rank() == 0:
        say(run, json)


def meant(
    recipe: str | None, changed: dict[str, Any], out: Path | None, seed: int, resume: Path | None, as_begun: bool, sync_norms: bool
) -> "Run":
    """The run that the words of the command line mean: one to go on with, or a new one."""
    from ..recipes import RECIPES
    from ..run import open_run

    if resume is not None:
        run = open_run(resume)
        settle(run, recipe, changed, as_begun)
        return run
    if recipe is None or recipe not in RECIPES:
        what = f"no recipe {recipe!r}" if recipe else "name a recipe, or a run by --resume"
        raise Mistake(f"{what}; there are: {', '.join(RECIPES)}.")
    return fresh(out or Path("runs") / f"{recipe}-seed{seed}", recipe, changed, seed, sync_norms)


def fresh(folder: Path, name: str, changed: dict[str, Any], seed: int, sync_norms: bool) -> "Run":
    """A new run by the recipe of that name, nothing in it left open."""
    from ..recipes import RECIPES
    from ..recipes.text import override
    from ..run import begin, free
    from ..settle import settled

    free(folder)
    recipe, told = settled(override(RECIPES[name], changed))
    return begin(folder, name, recipe, seed, changed, told=told, sync_norms=sync_norms)


def rank() -> int:
    """This process's, where torchrun began it."""
    return int(os.environ.get("RANK", "0"))


def trained(run: "Run", save_every: float, launch: str, workers: int, quiet: bool, track: bool) -> bool:
    """Trains in this process or in several; False if that was interrupted."""
    from .. import launch as by
    from ..distribute import joined
    from ..watch import follow

    if launch == "local" and workers == 1:
        with joined():
            return follow(run, save_every, quiet or rank() > 0, track and rank() == 0)
    with run.alone():  # is refused here, before there are workers
        pass
    if launch == "ray":
        from ..cluster import train as by_ray

        print(f"{run.folder / 'log.jsonl'} tells how it goes, convatlas runs {run.folder.parent} as well.", file=sys.stderr)
        return by_ray(run.folder, workers, save_every, track)
    return by.torchrun(run.folder, workers, save_every, quiet, track, alone=launch == "local")


def say(run: "Run", json: bool) -> None:
    """Writes a finished run's report and tells how it went."""
    from ..report import report

    page, result = report(run), run.result()
    if json:
        print_json(result | {"folder": str(run.folder), "report": str(page)})
        return
    low, high = result["interval"]
    print(
        f"{run.name}, seed {run.seed}: {result['top1_error']:.2f} % test error (95 % interval {low:.2f} to {high:.2f}, n = {result['n']:,})"
    )
    print(f"{result['seconds']:.1f} s of training, {result['images_per_s']:,.0f} images/s. Look at {page}")


def settle(run: "Run", recipe: str | None, changed: dict[str, Any], as_begun: bool) -> None:
    """Makes sure that a run goes on by the recipe it began with; raises Mistake where that is not what was asked for."""
    from ..recipes import RECIPES
    from ..recipes.text import override
    from ..settle import changed_since, settled_as

    if recipe not in (None, run.name):
        raise Mistake(f"{run.folder} follows {run.name}, not {recipe}.")
    if changed and (lines := changed_since(run.recipe, override(run.recipe, changed))):
        raise Mistake(f"{run.folder} cannot go on by another recipe ({'; '.join(lines)}). Begin a new run, with --out DIR.")
    today = settled_as(override(RECIPES.get(run.name, run.recipe), run.changed), run.recipe)
    if not as_begun and (lines := changed_since(run.recipe, today)):
        raise Mistake(
            f"{run.name} has changed since {run.folder} began ({'; '.join(lines)}). Go on as it began by adding --as-begun, "
            "or begin a new run with --out DIR."
        )


def pairs(words: Sequence[str]) -> dict[str, Any]:
    """--recipe.rate.peak 0.2 --recipe.steps=500 as {"rate": {"peak": "0.2"}, "steps": "500"}."""
    found: dict[str, Any] = {}
    rest = [part for word in words for part in (word.split("=", 1) if word.startswith("--") else [word])]
    while rest:
        name, *rest = rest
        if not name.startswith("--recipe.") or not rest:
            raise Mistake(f"{name!r} is not understood here; a field of the recipe is changed by --recipe.FIELD VALUE.")
        text, *rest = rest
        place = found
        *path, last = name.removeprefix("--recipe.").split(".")
        for part in path:
            place = place.setdefault(part, {})
        place[last] = text
    return found
