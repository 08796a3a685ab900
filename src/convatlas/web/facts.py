"""What the pages show, read from the package: winners, networks, layers, published figures, claims. torch only where layers are counted."""

import json
import threading
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

from ..catalogue import catalogue
from ..mistake import Mistake

HOME = files("convatlas")
TORCH = threading.RLock()  # while torch.fx traces a network, calls of all modules go through it: nobody else may call one then
SIDES = (8, 1024)  # pixels of a picture that layers are counted for


@cache
def winners() -> list[dict[str, Any]]:
    return tomllib.loads((HOME / "papers" / "ilsvrc.toml").read_text(encoding="utf-8"))["winner"]


@cache
def paper(family: str) -> dict[str, Any]:
    return tomllib.loads((HOME / "papers" / f"{family}.toml").read_text(encoding="utf-8"))


@cache
def networks() -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in catalogue()}


def network(name: str) -> dict[str, Any]:
    """Raises Mistake for one that there is not."""
    if name not in networks():
        raise Mistake(f"no network {name!r}.")
    return networks()[name]


def errors(name: str) -> list[dict[str, Any]]:
    """What the paper or its authors print of a network's errors, each by its protocol."""
    figures = paper(network(name)["family"]).get("published", [])
    return [f for f in figures if f["model"] == name and f["quantity"] in ("top1_error", "top5_error")]


@cache
def accuracies() -> dict[str, dict[str, Any]]:
    """Published `top1` accuracies in percent on ImageNet, and `by` which protocol: the best of pretrained weights, else one network's."""
    found: dict[str, dict[str, Any]] = {}
    for row in json.loads((HOME / "pretrained.json").read_text(encoding="utf-8")):
        if row["top1"] and row["top1"] > found.get(row["model"], {"top1": 0.0})["top1"]:
            found[row["model"]] = {"top1": row["top1"], "by": row["name"]}
    for name in networks().keys() - found.keys():
        for figure in errors(name):
            if figure["quantity"] == "top1_error" and "validation" in figure["protocol"] and "nets" not in figure["protocol"]:
                found[name] = {"top1": round(100 - figure["value"], 3), "by": figure["protocol"]}
                break
    return found


def layers(name: str, size: int | None = None) -> dict[str, Any]:
    """Totals and, stage by stage and block by block, the layers of a network on pictures of `size`; layers of no block are in one without
    name. Raises Mistake where such pictures do not fit.
    """
    with TORCH:
        return counted(name, size)


@lru_cache(maxsize=64)
def counted(name: str, size: int | None) -> dict[str, Any]:
    import torch

    from ..analysis import analyse
    from ..models import build

    network(name)
    if size is not None and not SIDES[0] <= size <= SIDES[1]:
        raise Mistake(f"a side is {SIDES[0]} to {SIDES[1]} pixels, not {size}.")
    with torch.device("meta"):
        net = build(name)
    try:
        cost = analyse(net, size)
    except ValueError as error:
        raise Mistake(f"{name} cannot take pictures of {size} pixels: {error}.") from error
    shapes, x = {}, torch.empty(1, cost.layers[0].given[0], *cost.size, device="meta")
    for child, layer in net.eval().features.named_children():
        x = layer(x)
        shapes[f"features.{child}"] = tuple(x.shape[1:])
    stages: dict[str, list[dict[str, Any]]] = {}
    for layer in cost.layers:
        parts = layer.name.split(".")
        stage = ".".join(parts[:2]) if parts[0] == "features" and len(parts) > 1 else parts[0]
        row = {key: getattr(layer, key) for key in ("name", "kind", "shape", "parameters", "macs", "field", "jump")}
        stages.setdefault(stage, []).append(row)
    return {
        "name": name,
        "size": cost.size[0],
        "parameters": cost.parameters,
        "macs": cost.macs,
        "activations": cost.total("activations"),
        "memory": cost.inference_bytes(1),
        "stages": [
            {
                "name": stage,
                "shape": shapes.get(stage, rows[-1]["shape"]),
                "parameters": sum(row["parameters"] for row in rows),
                "macs": sum(row["macs"] for row in rows),
                "blocks": blocks(rows),
            }
            for stage, rows in stages.items()
        ],
    }


def blocks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers of a stage by their blocks, which are what a stage is made of, if that is more than one thing."""

    def of(row: dict[str, Any]) -> str:
        parts = row["name"].split(".")
        return ".".join(parts[:3]) if parts[0] == "features" and len(parts) > 3 else ""

    found = [(name, list(group)) for name, group in groupby(rows, of)]
    found = found if len({name for name, _ in found if name}) > 1 else [("", rows)]
    return [
        {
            "name": name,
            "shape": group[-1]["shape"],
            "parameters": sum(row["parameters"] for row in group),
            "macs": sum(row["macs"] for row in group),
            "layers": group,
        }
        for name, group in found
    ]


def figures(name: str) -> list[dict[str, Any]]:
    """What the paper prints of a network beside what is counted here."""
    with TORCH:
        return checked(name)


@lru_cache(maxsize=64)
def checked(name: str) -> list[dict[str, Any]]:
    from ..check import check, published

    return list(check(name, published().get(network(name)["family"], [])))


@cache
def code(family: str) -> str:
    """The file that a family of networks is written in."""
    return (HOME / "models" / f"{family}.py").read_text(encoding="utf-8")


@cache
def recipes(name: str) -> list[dict[str, Any]]:
    from ..recipes import RECIPES

    return [{"name": key, "source": r.source, "published": r.published, "data": r.data} for key, r in RECIPES.items() if r.model == name]


@cache
def claims() -> list[dict[str, Any]]:
    """Every claim; with what was found, where results are shipped beside the package."""
    from ..claims import NAMES, claim

    return [{"claim": name, "sentence": claim(name).sentence, "place": claim(name).place, "trained": claim(name).trained} for name in NAMES]


def of_paper(row: dict[str, Any], family: str) -> bool:
    """Whether a claim is made in the paper of a family: its place begins with the first author, and has the year."""
    about = paper(family)
    return row["place"].startswith(about["authors"][0].split()[-1]) and f" {about['year']}, " in row["place"]


SAMPLES = ("chelsea", "astronaut", "coffee", "rocket")


def drawing(name: str) -> bytes:
    """The network's drawing, SVG."""
    with TORCH:
        return drawn(name)


@lru_cache(maxsize=32)
def drawn(name: str) -> bytes:
    import tempfile

    from ..diagram import diagram

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "drawing.svg"
        diagram(name, file)
        return file.read_bytes()


def tried(results: Path | None) -> list[dict[str, Any]]:
    """The claims, each with its last verdict where `results` (what convatlas claims --out wrote) has one."""
    rows = []
    for row in claims():
        file = results / f"{row['claim']}.json" if results else None
        found = json.loads(file.read_text(encoding="utf-8")) if file and file.exists() else {}
        drawn = file.with_suffix(".svg") if file and file.with_suffix(".svg").exists() else None
        rows.append({**row, **{key: found.get(key) for key in ("verdict", "says", "budget")}, "file": drawn})
    return rows
