"""Whether the networks here count what their papers print: every count in papers/*.toml beside the one read off the network.

A figure is what a paper or its authors state (`place`), and how we know that (`trust`): "read" there, remembered ("memory"),
or "computed" by hand from the paper's layers. What becomes of it:
  equal    to the last digit.
  rounds   what is measured rounds to what is printed, by as many digits as are printed.
  erratum  neither, and the figure's own row says why, or that no rule was found which gives what is printed.
  differs  neither, and the row says nothing: a mistake of the paper's or of ours.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import torch

from .analysis import Analysis, analyse
from .mistake import Mistake
from .models import MODELS, build
from .models.net import Net

RULES = {  # what analysis.py counts, in short
    "parameters": "numbers that training changes, biases and norms too",
    "macs": "each weight of a convolution or linear layer, times the places it is used at; no biases, norms, pools",
    "connections": "every input of every unit that has weights, and the unit's bias",
    "field": "pixels along one side that a unit of the features sees at most; padding counts as seen",
    "neurons": "numbers that come out of the layers with macs",
}

NEEDED = {"model", "quantity", "value", "place", "trust"}
Figure = dict[str, Any]  # one row of a paper's file: model, quantity, value, place, trust; size, printed, erratum if there


def published(folder: Traversable | None = None) -> dict[str, list[Figure]]:
    """What each paper publishes, counts and errors, by family: read from `folder`, by default the package's own.

    Raises Mistake for a file that is not TOML, and for a figure without its model, place or trust.
    """
    folder = folder or files("convatlas") / "papers"
    if not folder.is_dir():
        raise Mistake(f"{folder} is not a folder; name one with a TOML file for each paper.")
    found = {}
    for path in sorted((path for path in folder.iterdir() if path.name.endswith(".toml")), key=lambda path: path.name):
        try:
            figures = tomllib.loads(path.read_text(encoding="utf-8")).get("published", [])
        except ValueError as error:
            raise Mistake(f"{path} is not TOML: {error}.") from error
        for i, figure in enumerate(figures, 1):
            if missing := NEEDED - figure.keys():
                raise Mistake(f"{path}: figure {i} of `published` has no {min(missing)!r}.")
            if figure["model"] not in MODELS:
                raise Mistake(f"{path}: figure {i} of `published` is of {figure['model']!r}; `convatlas models` lists those there are.")
        found[path.name.removesuffix(".toml")] = figures
    return found


def counts(figures: Iterable[Figure]) -> list[Figure]:
    """Those of the figures that can be read off a network."""
    return [figure for figure in figures if figure["quantity"].partition(" of ")[0] in RULES]


@lru_cache(maxsize=2)
def shell(model: str) -> Net:
    """The network with shapes but no weights; shared, so nobody should change it."""
    with torch.device("meta"):
        return build(model)


@lru_cache(maxsize=256)
def analysis(model: str, size: int | None = None, part: str = "") -> Analysis:
    """Of the network on pictures of `size`, or of an auxiliary classifier, which reads maps 14 wide."""
    return analyse(getattr(shell(model), part), 14) if part else analyse(shell(model), size)


def count(cost: Analysis, quantity: str) -> int:
    """`quantity` is a key of RULES, or one "of" a child of the features or the head, under the paper's name for it."""
    what, _, part = quantity.partition(" of ")
    layers = [layer for layer in cost.layers if not part or layer.name.split(".")[1:2] == [part]]
    if what not in RULES or not layers:
        parts = dict.fromkeys(layer.name.split(".")[1] for layer in cost.layers if "." in layer.name)
        raise Mistake(f"there is no {quantity!r}; what is counted is {', '.join(RULES)}, and the parts here are {', '.join(parts)}.")
    match what:
        case "field":
            return max(layer.field for layer in layers if layer.name.startswith("features"))
        case "neurons":
            return sum(layer.activations for layer in layers if layer.macs)
    return sum(getattr(layer, what) for layer in layers)


def measure(figure: Figure) -> int:
    """The count that a figure is about, read off the network that is built here."""
    model, (what, _, part) = figure["model"], figure["quantity"].partition(" of ")
    if part.startswith("aux"):
        return count(analysis(model, part=part), what)
    return count(analysis(model, figure.get("size") or shell(model).size), figure["quantity"])


def rounds(measured: int, value: int, printed: str) -> bool:
    """Whether `measured` is within half of the last digit of `printed`, which stands for `value`: "3.4M" for 3,400,000."""
    number = re.search(r"\d[\d,]*(\.\d+)?", printed)
    if number is None:
        return False
    digits = number[0].replace(",", "")
    unit = Fraction(value) / Fraction(digits)
    return 2 * abs(measured - value) * 10 ** len(digits.partition(".")[2]) <= unit


def status(figure: Figure, measured: int) -> str:
    value = figure["value"]
    if measured == value:
        return "equal"
    if rounds(measured, value, figure.get("printed", str(value))):
        return "rounds"
    return "erratum" if figure.get("erratum") else "differs"


def rule(figure: Figure) -> str:
    """How a figure was counted, in a few words."""
    model, what = figure["model"], figure["quantity"].partition(" of ")[0]
    config = MODELS[model][1]
    words = [RULES[what]]
    if what != "parameters":
        size = figure.get("size") or shell(model).size
        words.append(f"on {size} x {size} pixels")
    if what in ("macs", "field") and getattr(config, "block", "") == "bottleneck" and hasattr(config, "stride_in"):
        words.append(f"stride in the {config.stride_in}")
    return "; ".join(words)


def check(model: str, figures: Iterable[Figure]) -> Iterator[Figure]:
    """A row for each of the figures that is a count of this network. "difference" is measured less published."""
    for figure in counts(figures):
        if figure["model"] == model:
            value, measured = figure["value"], measure(figure)
            yield {
                "model": model,
                "quantity": figure["quantity"],
                "published": value,
                "measured": measured,
                "rule": rule(figure),
                "status": status(figure, measured),
                "difference": measured - value,
                **{key: figure[key] for key in ("place", "trust", "printed", "erratum") if key in figure},
            }


def summary(rows: Iterable[Figure]) -> str:
    """How many rows became what: "4 equal, 3 round, 1 errata, 0 differ"."""
    found = Counter(row["status"] for row in rows)
    return f"{found['equal']} equal, {found['rounds']} round, {found['erratum']} errata, {found['differs']} differ"
