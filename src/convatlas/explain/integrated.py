"""Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", equation 1: integrated gradients.

(x - x') * the mean gradient along the straight line from a picture x' that shows nothing to x, here by Gauss and Legendre's points.
All together is what(x) - what(x'), but for the sum's error.
"""

import numpy as np
import torch
from torch import Tensor, nn

from .what import Score, What, gradient


def integrated(net: nn.Module, x: Tensor, what: What | None = None, steps: int = 50, nothing: Tensor | None = None) -> Tensor:
    """What each value of the pictures adds to the score, like x. `nothing` is a picture like x, by default of the mean colour."""
    if what is None:
        with torch.no_grad():
            what = Score(net(x).argmax(1))  # of the picture, not of what lies on the way
    places, weights = np.polynomial.legendre.leggauss(steps)
    start, total = torch.zeros_like(x) if nothing is None else nothing, torch.zeros_like(x)
    for place, weight in zip((places + 1) / 2, weights / 2, strict=True):
        total += gradient(net, start + float(place) * (x - start), what) * float(weight)
    return (x - start) * total
