"""What an error rate leaves out: each class by itself, the order of the scores, and whether a probability means what it says."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class OfClass:
    """Of the pictures said to be of a class the share that are, of those that are the share that were found, and what joins the two.

    `precision` is None where nothing was said to be of the class, `recall`, `f1` and `ap` where nothing is.
    """

    name: str
    n: int
    precision: float | None
    recall: float | None
    f1: float | None
    ap: float | None


@dataclass(frozen=True)
class Bin:
    """The pictures whose highest probability lies in `low` to `high`: how many, the mean of that probability, the share that is right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Metrics:
    """Shares in 0..1. Means over classes leave out those that have no pictures. `ece` is in 0..1, by `bins` of equal width."""

    per_class: tuple[OfClass, ...]
    macro_f1: float
    macro_ap: float
    balanced_accuracy: float
    ece: float
    bins: tuple[Bin, ...]


def metrics(scores: Tensor, y: Tensor, classes: tuple[str, ...]) -> Metrics:
    """Of scores (N, classes), before the softmax, for pictures of the classes y (N,)."""
    probability = scores.double().softmax(1)
    table = confusion(scores, y)
    rows = tuple(of_class(name, i, table, probability[:, i], y == i) for i, name in enumerate(classes))
    bins, ece = calibration(probability, y)
    f1, ap, recall = (mean([getattr(row, name) for row in rows]) for name in ("f1", "ap", "recall"))
    return Metrics(rows, f1, ap, recall, ece, bins)


def mean(values: list[float | None]) -> float:
    there = [value for value in values if value is not None]
    return sum(there) / len(there)


def confusion(scores: Tensor, y: Tensor) -> Tensor:
    """(classes, classes): how often a picture of class i was given class j."""
    k = scores.shape[1]
    return torch.bincount(y * k + scores.argmax(1), minlength=k * k).view(k, k)


def of_class(name: str, i: int, table: Tensor, score: Tensor, is_it: Tensor) -> OfClass:
    right, there, said = int(table[i, i]), int(table[i].sum()), int(table[:, i].sum())
    precision = right / said if said else None
    if not there:
        return OfClass(name, 0, precision, None, None, None)
    return OfClass(name, there, precision, right / there, 2 * right / (there + said), average_precision(score, is_it))


def average_precision(score: Tensor, is_it: Tensor) -> float:
    """The mean, over the pictures that are of a class, of the precision among all that score at least as high; 0 to 1.

    Pictures of equal score come together, in whatever order they stand. There must be one of the class.
    """
    values, place = score.unique(return_inverse=True)
    reached = torch.bincount(place, minlength=len(values)).flip(0).cumsum(0)
    hits = torch.bincount(place, weights=is_it.double(), minlength=len(values)).flip(0)
    return float((hits * hits.cumsum(0) / reached).sum() / hits.sum())


def calibration(probability: Tensor, y: Tensor, count: int = 15) -> tuple[tuple[Bin, ...], float]:
    """Bins of equal width of the highest probability, and the expected calibration error (Guo et al. 2017, arXiv:1706.04599, equation 3).

    That is the mean over the pictures of the gap, in their bin, between mean probability and share right. A bin takes in its upper end.
    """
    sure, said = probability.max(1)
    right = (said == y).double()
    place = torch.bucketize(sure, torch.arange(1, count, dtype=sure.dtype) / count)
    n, p, r = (torch.bincount(place, weights=w, minlength=count) for w in (torch.ones_like(sure), sure, right))
    ece = float((p - r).abs().sum() / len(y))
    each = zip(n.tolist(), (p / n.clamp_min(1)).tolist(), (r / n.clamp_min(1)).tolist(), strict=True)
    return tuple(Bin(i / count, (i + 1) / count, int(m), a, b) for i, (m, a, b) in enumerate(each)), ece
