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


PIXELS = 2**20  # a batch of the network's pictures that keeps its maps within a few hundred MB


@torch.inference_mode()
def scores(net: nn.Module, x: Tensor, preprocess: Preprocess, batch: int = 500, protocol: str = "single view") -> Tensor:
    """The scores (N, classes) of a network in evaluation mode for pictures x (N, C, H, W) uint8, `batch` or fewer at a time.

    By the protocol "flip" they are the logarithms of the mean probability of a picture and its mirror image.
    """
    net.eval()
    found = []
    for part in x.split(min(batch, max(1, PIXELS // preprocess.size**2))):
        seen = laid_out(net, preprocess(part))
        views = [seen, seen.flip(3)] if protocol == "flip" else [seen]
        each = [net(view) for view in views]
        found.append(each[0] if len(each) == 1 else torch.stack(each).softmax(2).mean(0).log())
    return torch.cat(found)


def laid_out(net: nn.Module, x: Tensor) -> Tensor:
    """x with its channels last in memory if the network's weights are; with them first, such a network would be slow."""
    last = any(p.dim() == 4 and p.shape[1] > 1 and not p.is_contiguous() for p in net.parameters())
    return x.contiguous(memory_format=torch.channels_last) if last else x


def evaluate(scores: Tensor, y: Tensor, protocol: str = "single view") -> Evaluation:
    """The errors of scores (N, classes) for pictures of the classes y (N,)."""
    n, wrong = len(y), int((scores.argmax(1) != y).sum())
    best = scores.topk(min(5, scores.shape[1]), dim=1).indices
    missed = int((best != y[:, None]).all(1).sum())
    return Evaluation(100 * wrong / n, 100 * missed / n, n, wilson(wrong, n), protocol)


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
