"""What the tests of several families share: the exact counts that a paper's file states, and how far a net is from a peer's."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from convatlas.analysis import Analysis, analyse
from convatlas.check import analysis, count, counts, published
from convatlas.models import build

EXACT = {family: [f for f in counts(figures) if f["trust"] == "computed"] for family, figures in published().items()}


def computed(family: str) -> pytest.MarkDecorator:
    """Runs a test for each number of a family's file that is exact."""
    names = [f"{f['model']}-{f['quantity']}-{f.get('size', '')}" for f in EXACT[family]]
    return pytest.mark.parametrize("figure", EXACT[family], ids=names)


def stated(family: str) -> dict[str, dict[str, int]]:
    """The same numbers by model and quantity."""
    found: dict[str, dict[str, int]] = {}
    for figure in EXACT[family]:
        found.setdefault(figure["model"], {})[figure["quantity"]] = figure["value"]
    return found


def counted(name: str, **changes: object) -> dict[str, int]:
    with torch.device("meta"):
        cost = analyse(build(name, **changes))
    return {quantity: count(cost, quantity) for quantity in ("parameters", "macs", "field")}


def numbers(cost: Analysis, *kinds: str) -> int:
    """How many come out of all layers of these kinds."""
    return sum(layer.activations for layer in cost.layers if layer.kind in kinds)


def averaged(cost: Analysis) -> list[int]:
    """How many numbers each average over whole maps reads: those that leave the layer before it."""
    return [before.activations for before, layer in pairwise(cost.layers) if layer.kind == "AdaptiveAvgPool2d"]


def sides(model: str, size: int | None = None) -> list[int]:
    """How wide the maps are that leave each child of the features."""
    last = {x.name.split(".")[1]: x.shape for x in analysis(model, size).layers if x.name.startswith("features")}
    return [shape[-1] for shape in last.values()]


@torch.no_grad()
def randomise(net: nn.Module) -> None:
    """Random weights, biases and statistics that keep the maps of a deep net within bounds."""
    for layer in net.modules():
        for name, tensor in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)):
            if tensor.dim() > 1:
                tensor.normal_(0, tensor[0].numel() ** -0.5)
            elif tensor.dim() == 1:
                low, high = {"weight": (0.4, 1), "running_var": (0.5, 1.5)}.get(name, (-0.3, 0.3))
                tensor.uniform_(low, high)


@torch.no_grad()
def adopted(net: nn.Module, peer: nn.Module) -> None:
    """Random tensors for `peer`, and the same for `net`, by position, both in eval mode; what is on the meta device is given memory."""
    for module in (net, peer):
        if any(t.is_meta for t in module.state_dict().values()):
            module.to_empty(device="cpu")
        module.eval()
    randomise(peer)
    ours, theirs = ([t for name, t in n.state_dict().items() if "num_batches" not in name] for n in (net, peer))
    assert [t.shape for t in ours] == [t.shape for t in theirs]
    for mine, its in zip(ours, theirs, strict=True):
        mine.copy_(its)


@torch.no_grad()
def difference(net: nn.Module, peer: nn.Module, size: int = 64) -> float:
    """Largest difference in scores, once `net` has `peer`'s random tensors by position, relative to the largest score."""
    adopted(net, peer)
    x = torch.randn(1, 3, size, size)
    expected = peer(x)
    return float((net(x) - expected).abs().max() / expected.abs().max())
