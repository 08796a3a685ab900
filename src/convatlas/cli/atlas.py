"""The verbs that look at networks: models, show, diagram, check, adopt."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, aligned, fitting, print_json, table

if TYPE_CHECKING:
    from ..analysis import Analysis


def models(pattern: str = "*", *, json: Json = False) -> None:
    """The networks there are, by family: year and idea of its paper, size of the pictures, parameters, multiply-accumulates.

    Parameters
    ----------
    pattern
        Part of a name, or a pattern such as "*modern".
    """
    from itertools import groupby

    from ..catalogue import catalogue

    rows = {row["name"]: row for row in catalogue()}
    rows = [rows[name] for name in fitting(pattern, rows)]
    if json:
        print_json(rows)
        return
    columns = ["name", "size", "parameters", "macs"]
    head, *lines = aligned(columns, [[row[column] for column in columns] for row in rows])
    print(head)
    for (family, year, idea), group in groupby(rows, key=lambda row: (row["family"], row["year"], row["idea"])):
        print(f"\n{family}, {year}. {idea}")
        for _ in group:
            print(lines.pop(0))


def show(model: str, *, size: int | None = None, rules: Annotated[bool, Parameter(negative=())] = False, json: Json = False) -> None:
    """The layers of a network: what comes out of each, what it costs and how far it sees.

    Parameters
    ----------
    model
        A name from `convatlas models`.
    size
        Height and width of the picture in pixels; by default that of the paper.
    rules
        Instead of the layers, what other counters make of the network, and of those with the same weights and other strides.
    """
    cost = counted(model, size)
    if rules:
        show_rules(model, cost, size, json)
        return
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


def show_rules(model: str, cost: "Analysis", size: int | None, json: bool) -> None:
    from ..catalogue import alike
    from ..check import published
    from ..rules import totals

    told = {name: totals(counted(name, size) if name != model else cost) for name in (model, *alike(model))}
    printed = [f for figures in published().values() for f in figures if f["quantity"] == "macs" and f["model"] in told and "printed" in f]
    rules = [
        {"rule": row["rule"], "counts": row["counts"], "totals": {name: rows[i]["total"] for name, rows in told.items()}}
        for i, row in enumerate(told[model])
    ]
    if json:
        print_json({"model": model, "size": cost.size[0], "rules": rules, "printed": printed})
        return
    for figure in printed:
        print(f"{figure['model']}, {figure['place']}: {figure['printed']}" + f" ({figure['erratum']})" * ("erratum" in figure))
    table(["rule", *told, "counts"], [[row["rule"], *row["totals"].values(), row["counts"]] for row in rules])
    print(f"\non {cost.size[0]} x {cost.size[1]}, one picture")


def counted(model: str, size: int | None) -> "Analysis":
    import torch

    from ..analysis import analyse
    from ..models import build

    try:
        with torch.device("meta"):
            return analyse(build(model, **({} if size is None else {"size": size})), size)
    except ValueError as error:
        raise Mistake(str(error)) from error


def diagram(model: str, *, out: Annotated[Path, Parameter(name=["--out", "-o"])], json: Json = False) -> None:
    """Draws a network: its stages to scale, with shapes and costs, and each kind of its blocks unfolded.

    Parameters
    ----------
    model
        A name from `convatlas models`.
    out
        The file to write, .svg or .png.
    """
    from ..diagram import diagram

    done = diagram(model, out)
    if json:
        print_json(done)
    else:
        unit = "pixels" if out.suffix.lower() == ".png" else "points"
        print(f"{model}, {done['width']} x {done['height']} {unit}. Look at {done['file']}")


def check(*patterns: str, papers: Path | None = None, json: Json = False) -> None:
    """The counts that the papers print, beside those of the networks here. Exits with 1 if one differs without an erratum.

    Parameters
    ----------
    patterns
        Names, parts of names, or patterns such as "vgg*"; by default all networks.
    papers
        Folder of TOML files to check instead of the package's own, written like those.
    """
    from rich.console import Console
    from rich.progress import track

    from ..check import check, published, summary
    from ..models import MODELS

    figures = [figure for paper in published(papers).values() for figure in paper]
    if not figures:
        raise Mistake(f"{papers} holds no figures: no .toml file written like those in src/convatlas/papers.")
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
    from ..models import MODELS
    from ..weights import convert

    if model not in MODELS:
        raise Mistake(f"no model {model!r}; there are: {', '.join(MODELS)}.")
    done = convert(model, file, out)
    if done["twins"]:
        print(f"convatlas: {', '.join(done['twins'])} would have taken them as well; be sure that they are {model}'s.", file=sys.stderr)
    if json:
        print_json(done)
    else:
        print(f"{model}: {done['tensors']:,} tensors, {done['parameters']:,} parameters, from {file}. Written to {done['out']}")
