"""The numbers of a paper's TOML file, and the same quantities read off the networks that are built here."""

import tomllib
from functools import cache
from importlib.resources import files

import pytest
import torch

from convatlas.analyse import Analysis, analyse
from convatlas.models import build


def computed(family: str) -> pytest.MarkDecorator:
    """Runs a test for each number of a family's file that is exact."""
    paper = tomllib.loads((files("convatlas") / "papers" / f"{family}.toml").read_text())
    entries = [e for e in paper["published"] if e["trust"] == "computed"]
    return pytest.mark.parametrize("entry", entries, ids=[f"{e['model']}-{e['quantity']}-{e.get('size', '')}" for e in entries])


@cache
def analysis(model: str, size: int | None = None, part: str = "") -> Analysis:
    with torch.device("meta"):
        net = build(model)
    return analyse(getattr(net, part), 14) if part else analyse(net, size)


def measured(entry: dict) -> int:
    """`quantity` is what is counted, or what is counted "of" one child of the features or the head."""
    what, _, part = entry["quantity"].partition(" of ")
    if part.startswith("aux"):
        return analysis(entry["model"], part=part).total(what)
    layers = [x for x in analysis(entry["model"], entry.get("size")).layers if part in ("", x.name.split(".")[1])]
    match what:
        case "field":
            return max(x.field for x in layers if x.name.startswith("features"))
        case "neurons":
            return sum(x.activations for x in layers if x.macs)
    return sum(getattr(x, what) for x in layers)


def sides(model: str, size: int | None = None) -> list[int]:
    """How wide the maps are that leave each child of the features."""
    last = {x.name.split(".")[1]: x.shape for x in analysis(model, size).layers if x.name.startswith("features")}
    return [shape[-1] for shape in last.values()]


@torch.no_grad()
def adopted(net: torch.nn.Module, peer: torch.nn.Module) -> None:
    """Random weights and statistics for `peer`, and the same for `net`, by position; both may stand on the meta device."""
    for module in (peer.to_empty(device="cpu"), net.to_empty(device="cpu")):
        module.eval()
    theirs = [t for name, t in peer.state_dict().items() if "num_batches" not in name]
    ours = [t for name, t in net.state_dict().items() if "num_batches" not in name]
    assert [t.shape for t in ours] == [t.shape for t in theirs]
    for mine, its in zip(ours, theirs, strict=True):
        spread = (2 / its[0].numel()) ** 0.5
        mine.copy_(its.uniform_(-spread, spread) if its.dim() > 1 else its.uniform_(0.5, 1.5))
