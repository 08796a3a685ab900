"""The same network by other people's counters: why one ResNet-50 has seven different figures.

Each rule gives a layer what that tool adds to its total; results/bench/counters.json has the tools' own figures, which tests hold
these rules to. They disagree over a factor of two, and over whether biases, norms, activations and pools are counted.
"""

from collections.abc import Callable
from math import prod
from typing import Any

from .analysis import Analysis, Layer


def biases(layer: Layer) -> int:
    """Numbers that a bias is added to, in a layer that multiplies."""
    places = prod(layer.shape[1:])
    return prod(layer.shape) if layer.macs and layer.parameters * places > layer.macs else 0


def normed(layer: Layer) -> int:
    return layer.activations if layer.kind.startswith("BatchNorm") else 0


def seen_by_ptflops(layer: Layer) -> int:
    """It counts a ReLU and a pool as modules and again as the functions that those call; a normalisation over five maps by its steps."""
    if layer.kind == "LocalResponseNorm":
        return 4 * (layer.activations + prod(layer.shape[1:]))
    return {"ReLU": 2, "ReLU6": 1, "SiLU": 1}.get(layer.kind, 0) * layer.activations + 2 * pooled(layer)


def pooled(layer: Layer, kind: str = "Pool") -> int:
    """Numbers that enter a pool."""
    return prod(layer.given) if kind in layer.kind else 0


def averaged(layer: Layer) -> int:
    """What comes out of an average, which is one division; of a global one, the sums too."""
    if not layer.kind.startswith(("AvgPool", "AdaptiveAvgPool")):
        return 0
    return layer.activations + pooled(layer, "AdaptiveAvgPool")


RULES: dict[str, tuple[str, Callable[[Layer], int]]] = {
    "convatlas": ("multiply-accumulates of convolutions and linear layers", lambda layer: layer.macs),
    "ptflops, aten": ("these, and 1 for each number that a bias is added to", lambda layer: layer.macs + biases(layer)),
    "torchinfo": (
        "these, and 1 for each parameter of a norm",
        lambda layer: layer.macs + biases(layer) + (layer.parameters if normed(layer) else 0),
    ),
    "fvcore": (
        "no biases; 2 for each number that is normed, 1 for each that enters a global average",
        lambda layer: layer.macs + 2 * normed(layer) + pooled(layer, "AdaptiveAvgPool"),
    ),
    "ptflops, pytorch": (
        "biases; 2 for each number that is normed, leaves a ReLU or enters a pool, 1 of a ReLU6 or SiLU, 4 of an LRN",
        lambda layer: layer.macs + biases(layer) + 2 * normed(layer) + seen_by_ptflops(layer),
    ),
    "thop": (
        "no biases; 4 for each number that is normed, 1 for each that enters a global average or leaves any average",
        lambda layer: layer.macs + 4 * normed(layer) + averaged(layer),
    ),
    "torch's FlopCounterMode": ("a multiplication and an addition as two, of convolutions and linear layers", lambda layer: 2 * layer.macs),
}


def totals(cost: Analysis) -> list[dict[str, Any]]:
    """What each tool prints for the network, and what it counts: {"rule", "counts", "total"}."""
    return [{"rule": name, "counts": text, "total": sum(map(count, cost.layers))} for name, (text, count) in RULES.items()]
