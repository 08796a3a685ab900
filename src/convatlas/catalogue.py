"""The list of all networks. Counting them takes half a minute, so docs/generate.py does it and catalogue.json keeps it."""

import json
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

HOME = files("convatlas")
FILE = "catalogue.json"


def catalogue() -> list[dict[str, Any]]:
    """A row for each network: name, family, year, idea of its paper, size of its pictures in pixels, parameters, macs."""
    return json.loads((HOME / FILE).read_text())


def alike(name: str) -> list[str]:
    """Other networks of the family with as many parameters that cost something else: those that take the same weights by other strides."""
    rows = {row["name"]: row for row in catalogue()}
    mine = rows[name]
    kin = [
        row
        for row in rows.values()
        if (row["family"], row["parameters"], row["size"]) == (mine["family"], mine["parameters"], mine["size"])
    ]
    return [row["name"] for row in kin if row["macs"] != mine["macs"]]


def counted() -> Iterator[dict[str, Any]]:
    """The same, read off the networks anew."""
    import torch

    from .analysis import analyse
    from .models import MODELS, build

    for name, (module, _) in MODELS.items():
        family = module.__name__.rpartition(".")[2]
        paper = tomllib.loads((HOME / "papers" / f"{family}.toml").read_text(encoding="utf-8"))
        with torch.device("meta"):
            net = build(name)
        cost = analyse(net)
        known = {"name": name, "family": family, "year": module.YEAR, "idea": paper["idea"], "size": net.size}
        yield known | {"parameters": cost.parameters, "macs": cost.macs}
