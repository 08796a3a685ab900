"""The networks that made computer vision, as published: look at them, train them, test them."""

import json as json_
import os
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from .mistake import Mistake

if TYPE_CHECKING:
    from .run import Run

app = App(name="convatlas", help=__doc__, version_flags=("--version",))

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON document and nothing else.")]


def main(words: Sequence[str] | None = None) -> None:
    """The command `convatlas`. Exit codes: 0 done, 1 a check failed, 2 a mistake in what was asked for, 130 interrupted."""
    try:
        app(words)
    except Mistake as error:
        sys.exit(complain(str(error)))
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(complain(f"{place}{error.strerror or error}. What was complete before is still there."))
    except KeyboardInterrupt:
        sys.exit(130)


def complain(text: str) -> int:
    print(f"convatlas: {text}", file=sys.stderr)
    return 2


@app.command
def models(pattern: str = "*", *, json: Json = False) -> None:
    """The networks there are: name, family, year, parameters and multiply-accumulates.

    Parameters
    ----------
    pattern
        Part of a name, or a pattern such as "*modern".
    """
    import torch
    from rich.console import Console
    from rich.progress import track

    from .analyse import analyse
    from .models import MODELS, build

    def row(name: str) -> dict[str, Any]:
        family, cost = MODELS[name][0], analyse(build(name))
        home = family.__name__.rpartition(".")[2]
        return {"name": name, "family": home, "year": family.YEAR, "parameters": cost.parameters, "macs": cost.macs}

    console = Console(stderr=True)
    names = track(fitting(pattern, MODELS), "counting", console=console, transient=True, disable=not console.is_terminal)
    with torch.device("meta"):
        rows = [row(name) for name in names]
    if json:
        print_json(rows)
    else:
        table(list(rows[0]), [list(row.values()) for row in rows])


@app.command
def show(model: str, *, size: int | None = None, json: Json = False) -> None:
    """The layers of a network: what comes out of each, what it costs and how far it sees.

    Parameters
    ----------
    model
        A name from `convatlas models`.
    size
        Height and width of the picture in pixels; by default that of the paper.
    """
    import torch

    from .analyse import analyse
    from .models import build

    try:
        with torch.device("meta"):
            cost = analyse(build(model), size)
    except ValueError as error:
        raise Mistake(str(error)) from error
    columns = ["name", "kind", "shape", *cost.counts, "activations", "field", "jump"]
    memory = {"inference": cost.inference_bytes(1), "training": cost.training_bytes(1)}
    if json:
        layers = [{column: getattr(layer, column) for column in columns} for layer in cost.layers]
        print_json({"model": model, "size": cost.size[0], "layers": layers, "totals": cost.totals, "memory": memory})
    else:
        rows = [[getattr(layer, column) for column in columns] for layer in cost.layers]
        table(columns, [*rows, ["total", "", "", *cost.totals.values(), "", ""]])
        print(f"\n{model} on {cost.size[0]} x {cost.size[1]}, one picture, float32: ", end="")
        print(f"{memory['inference'] / 1e6:.2f} MB to answer, {memory['training'] / 1e6:.2f} MB to train")


@app.command
def diagram(model: str, *, out: Annotated[Path, Parameter(name=["--out", "-o"])], json: Json = False) -> None:
    """Draws a network: its stages to scale, with shapes and costs, and each kind of its blocks unfolded.

    Parameters
    ----------
    model
        A name from `convatlas models`.
    out
        The file to write, .svg or .png.
    """
    from .diagram import diagram

    done = diagram(model, out)
    if json:
        print_json(done)
    else:
        unit = "pixels" if out.suffix.lower() == ".png" else "points"
        print(f"{model}, {done['width']} x {done['height']} {unit}. Look at {done['file']}")


@app.command
def check(*patterns: str, papers: Path | None = None, json: Json = False) -> None:
    """The counts that the papers print, beside those of the networks here. Exits with 1 if one differs and nobody knows why.

    Parameters
    ----------
    patterns
        Names, parts of names, or patterns such as "vgg*"; by default all networks.
    papers
        Folder of TOML files to check instead of the package's own, written like those.
    """
    from rich.console import Console
    from rich.progress import track

    from .check import check, published, summary
    from .models import MODELS

    figures = [figure for paper in published(papers).values() for figure in paper]
    names = {name: None for pattern in patterns or ["*"] for name in fitting(pattern, MODELS)}
    console = Console(stderr=True)
    shown = track(names, "counting", console=console, transient=True, disable=not console.is_terminal)
    rows = [row for name in shown for row in check(name, figures)]
    if json:
        print_json(rows)
    else:
        said = [f"erratum: {row['erratum']}" if row["status"] == "erratum" else row["status"] for row in rows]
        cells = [[r["model"], r["quantity"], r.get("printed", r["published"]), r["measured"], s] for r, s in zip(rows, said, strict=True)]
        table(["model", "quantity", "published", "measured", "status"], cells)
        print(f"\n{summary(rows)}")
    if any(row["status"] == "differs" for row in rows):
        sys.exit(1)


@app.command
def recipes(pattern: str = "*", *, json: Json = False) -> None:
    """The recipes there are; of one, every value, under the name that changes it.

    Parameters
    ----------
    pattern
        A name, part of one, or a pattern such as "lenet5*".
    """
    from .recipes import RECIPES
    from .recipes.text import encode, lines

    found = {name: RECIPES[name] for name in fitting(pattern, RECIPES)}
    if json:
        print_json({name: encode(recipe) for name, recipe in found.items()})
    elif len(found) == 1:
        for recipe in found.values():
            print("\n".join(f"--recipe.{name:30} {text}".rstrip() for name, text in lines(encode(recipe))))
    else:
        rows = [[n, r.model, r.data, r.steps * r.batch, "" if r.published is None else f"{r.published} %"] for n, r in found.items()]
        table(["name", "model", "data", "pictures seen", "published error"], rows)


def fitting(pattern: str, names: Iterable[str]) -> list[str]:
    """The one that is called `pattern`, else those that fit it or have it in their name. Raises Mistake if there is none."""
    names = list(names)
    found = [pattern] if pattern in names else [name for name in names if fnmatch(name, pattern) or pattern in name]
    if not found:
        raise Mistake(f"nothing is called like {pattern!r}; there are: {', '.join(names)}.")
    return found


@app.command
def train(
    recipe: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *changes: Annotated[str, Parameter(allow_leading_hyphen=True, show=False)],
    out: Path | None = None,
    seed: int = 0,
    resume: Path | None = None,
    as_begun: Annotated[bool, Parameter(negative=())] = False,
    save_every: float = 20.0,
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
    """
    from .recipes import RECIPES
    from .recipes.text import override
    from .report import report
    from .run import begin, open_run
    from .watch import follow

    if recipe is not None and recipe.startswith("--"):
        recipe, changes = None, (recipe, *changes)
    changed = pairs(changes)
    if resume is not None:
        run = open_run(resume)
        settle(run, recipe, changed, as_begun)
    elif recipe is not None and recipe in RECIPES:
        run = begin(out or Path("runs") / f"{recipe}-seed{seed}", recipe, override(RECIPES[recipe], changed), seed, changed)
    else:
        what = f"no recipe {recipe!r}" if recipe else "name a recipe, or a run by --resume"
        raise Mistake(f"{what}; there are: {', '.join(RECIPES)}.")
    if not run.finished and not follow(run, save_every, quiet=json):
        print(f"Stopped. Go on with: convatlas train --resume {run.folder}", file=sys.stderr)
        sys.exit(130)
    page, result = report(run), run.result()
    if json:
        print_json(result | {"folder": str(run.folder), "report": str(page)})
        return
    low, high = result["interval"]
    print(
        f"{run.name}, seed {run.seed}: {result['top1_error']:.2f} % test error (95 % interval {low:.2f} to {high:.2f}, n = {result['n']:,})"
    )
    print(f"{result['seconds']:.1f} s of training, {result['images_per_s']:,.0f} images/s. Look at {page}")


@app.command(name="eval")
def eval_(run: Path, *, json: Json = False) -> None:
    """The test error of a run's last weights, measured anew.

    Parameters
    ----------
    run
        The folder of a run, finished or not.
    """
    from dataclasses import asdict

    from .data import source
    from .evaluate import evaluate, scores
    from .run import open_run

    opened = open_run(run)
    test = source(opened.recipe.data).load("test")
    found = evaluate(scores(opened.trained(), test.x, opened.recipe.preprocess), test.y)
    if json:
        print_json(asdict(found))
        return
    low, high = found.interval
    print(f"{found.top1_error:.2f} % top-1 error (95 % interval {low:.2f} to {high:.2f}), {found.top5_error:.2f} % top-5 error", end="")
    print(f", {found.n:,} pictures, {found.protocol}")


@app.command(name="predict")
def predict_(
    *images: Path,
    run: Path | None = None,
    top: int = 3,
    json: Json = False,
) -> None:
    """What a trained network sees in picture files: `convatlas predict RUN IMAGE...` or `convatlas predict IMAGE... --run RUN`.

    Parameters
    ----------
    images
        Picture files of any common kind; the first may be the run's folder.
    run
        The folder of a run, finished or not.
    top
        How many classes to name.
    """
    from .predict import predict
    from .run import open_run

    if run is None:
        if not images or not images[0].is_dir():
            raise Mistake("name a run: convatlas predict RUN IMAGE..., or convatlas predict IMAGE... --run RUN.")
        run, *rest = images
        images = tuple(rest)
    if not images:
        raise Mistake("name at least one picture.")
    found = list(predict(open_run(run), images, top))
    if json:
        print_json(found)
    for row in found:
        if not json and "predictions" in row:
            print(f"{row['file']}: " + ", ".join(f"{p['label']} {100 * p['probability']:.1f} %" for p in row["predictions"]))
        elif "error" in row:
            complain(row["error"])
    if any("error" in row for row in found):
        sys.exit(2)


@app.command
def adopt(model: str, file: Path, *, out: Path | None = None, json: Json = False) -> None:
    """Takes over the weights of another library's network: torchvision's, timm's, or any that has the same layers.

    They are matched by position and shape, which cannot tell networks apart that differ only in a stride: choose MODEL with care.

    Parameters
    ----------
    model
        A name from `convatlas models`.
    file
        A checkpoint: .pth or .pt (from which no code is run), .safetensors or .npz.
    out
        The file to write, which must not be there yet; by default the name of FILE with .safetensors, in the current folder.
    """
    from .models import MODELS
    from .weights import convert

    if model not in MODELS:
        raise Mistake(f"no model {model!r}; there are: {', '.join(MODELS)}.")
    done = convert(model, file, out)
    if done["twins"]:
        print(f"convatlas: {', '.join(done['twins'])} would have taken them as well; be sure that they are {model}'s.", file=sys.stderr)
    if json:
        print_json(done)
    else:
        print(f"{model}: {done['tensors']:,} tensors, {done['parameters']:,} parameters, from {file}. Written to {done['out']}")


def settle(run: "Run", recipe: str | None, changed: dict[str, Any], as_begun: bool) -> None:
    """Makes sure that a run goes on by the recipe it began with; raises Mistake where that is not what was asked for."""
    from .recipes import RECIPES
    from .recipes.text import override
    from .run import changed_since

    if recipe not in (None, run.name):
        raise Mistake(f"{run.folder} follows {run.name}, not {recipe}.")
    if changed and (lines := changed_since(run, override(run.recipe, changed))):
        raise Mistake(f"{run.folder} cannot go on by another recipe ({'; '.join(lines)}). Begin a new run, with --out DIR.")
    if not as_begun and (lines := changed_since(run, override(RECIPES.get(run.name, run.recipe), run.changed))):
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


def print_json(value: Any) -> None:
    print(json_.dumps(value, indent=1))


def table(columns: list[str], rows: list[list[Any]]) -> None:
    """Aligned columns, numbers to the right with thousands marked. The same text whether or not it goes to a terminal."""
    from rich.console import Console
    from rich.table import Table

    text = [[f"{v:,}" if isinstance(v, int) and c != "year" else " x ".join(map(str, v)) if isinstance(v, tuple) else str(v)
             for c, v in zip(columns, row, strict=True)] for row in rows]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(columns, *text, strict=True)]
    shown = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        right = any(isinstance(row[i], int) for row in rows)
        shown.add_column(column, justify="right" if right else "left", no_wrap=True)
    for row in text:
        shown.add_row(*row)
    Console(width=max(80, sum(widths) + 2 * len(widths)), highlight=False, soft_wrap=True).print(shown)
