"""What the tests of several families share: the counts that a paper's file states, and how far a net is from a peer's."""

import tomllib
from importlib.resources import files

import torch
from torch import nn

from convatlas.analyse import analyse
from convatlas.models import build


def stated(family: str) -> dict[str, dict[str, int]]:
    """The exact counts in papers/`family`.toml, by model and quantity."""
    paper = tomllib.loads((files("convatlas") / "papers" / f"{family}.toml").read_text(encoding="utf-8"))
    counts: dict[str, dict[str, int]] = {}
    for row in paper["published"]:
        if row["trust"] == "computed":
            counts.setdefault(row["model"], {})[row["quantity"]] = row["value"]
    return counts


def counted(name: str, **changes: object) -> dict[str, int]:
    with torch.device("meta"):
        analysis = analyse(build(name, **changes))
    field = [layer.field for layer in analysis.layers if layer.name.startswith("features")][-1]
    return {"parameters": analysis.parameters, "macs": analysis.macs, "field": field}


@torch.no_grad()
def randomise(net: nn.Module) -> None:
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor, low, high in ((layer.weight, 0.4, 1), (layer.bias, -0.3, 0.3), (layer.running_mean, -0.3, 0.3)):
                tensor.uniform_(low, high)
            layer.running_var.uniform_(0.5, 1.5)
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.normal_(0, layer.weight[0].numel() ** -0.5)


@torch.no_grad()
def difference(net: nn.Module, peer: nn.Module, size: int = 64) -> float:
    """Largest difference in scores, once `net` has `peer`'s random tensors by position, relative to the largest score."""
    randomise(peer)
    ours, theirs = ({k: t for k, t in n.state_dict().items() if "num_batches" not in k} for n in (net, peer))
    for mine, other in zip(ours.values(), theirs.values(), strict=True):
        assert mine.shape == other.shape
        mine.copy_(other)
    x = torch.randn(1, 3, size, size)
    expected = peer.eval()(x)
    return float((net.eval()(x) - expected).abs().max() / expected.abs().max())
