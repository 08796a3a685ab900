"""How often a network is wrong, and how sure one can be of that."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import mean, stdev

import torch
from torch import Tensor, nn

from .data.batches import Preprocess


@dataclass(frozen=True)
class Evaluation:
    """Errors in percent over `n` pictures; `interval` is Wilson's, at 95 %, of the top-1 error."""

    top1_error: float
    top5_error: float
    n: int
    interval: tuple[float, float]
    protocol: str = "single view"


@torch.inference_mode()
def scores(net: nn.Module, x: Tensor, preprocess: Preprocess, batch: int = 500) -> Tensor:
    """The scores (N, classes) of a network in evaluation mode for pictures x (N, C, H, W) uint8."""
    net.eval()
    return torch.cat([net(preprocess(part)) for part in x.split(batch)])


def evaluate(scores: Tensor, y: Tensor) -> Evaluation:
    """The errors of scores (N, classes) for pictures of the classes y (N,)."""
    n, wrong = len(y), int((scores.argmax(1) != y).sum())
    best = scores.topk(min(5, scores.shape[1]), dim=1).indices
    missed = int((best != y[:, None]).all(1).sum())
    return Evaluation(100 * wrong / n, 100 * missed / n, n, wilson(wrong, n))


def wilson(k: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The interval, in percent, that holds the true share with 95 % confidence when k of n were counted (Wilson 1927)."""
    share, spread = k / n, z * z / n
    centre, half = share + spread / 2, z * sqrt(share * (1 - share) / n + spread / (4 * n))
    return 100 * max(0.0, (centre - half) / (1 + spread)), 100 * min(1.0, (centre + half) / (1 + spread))


STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # 97.5 % points by n


def over_seeds(values: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The mean of 2 to 10 measurements, one a seed, and Student's interval of it at 95 %."""
    half = STUDENT[len(values)] * stdev(values) / sqrt(len(values))
    return mean(values), (mean(values) - half, mean(values) + half)
