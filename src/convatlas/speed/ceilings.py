"""What this machine can do at most: convolutions that keep its units busy, and a copy of memory too large for its caches."""

import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch
from torch import nn

from ..inference.choose import Engines
from ..inference.plans import Plan
from ..models.lean import lean

MAPS, SIDE, LAYERS, PICTURES = 256, 28, 8, 8
COPIED = 1 << 28  # bytes
RUNS = 9


def ceilings() -> dict[str, float]:
    """GFLOP/s of 3x3 convolutions of 256 maps of 28 x 28 in each precision that there is an engine for, and GB/s of "copy", there and back.

    Each is the best of a few runs.
    """
    layers = [layer for _ in range(LAYERS) for layer in (nn.Conv2d(MAPS, MAPS, 3, padding=1), nn.ReLU())]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    x = torch.randn(PICTURES, MAPS, SIDE, SIDE)
    engines, operations = Engines(lean(net), tuple(x.shape[1:]), x), 2 * LAYERS * 9 * MAPS**2 * SIDE**2 * PICTURES
    engine = "openvino" if find_spec("openvino") else "plain"
    precisions = ("fp32", "bf16", *(("int8",) if find_spec("nncf") else ()))
    found = {}
    for precision in precisions:
        way = engines.way(Plan(engine, precision, PICTURES))
        found[precision] = round(operations / best(lambda way=way: way(x)) / 1e9, 1)
    a, b = np.ones(COPIED, np.uint8), np.ones(COPIED, np.uint8)
    found["copy"] = round(2 * COPIED / best(lambda: np.copyto(b, a)) / 1e9, 1)
    return found


def best(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times)
