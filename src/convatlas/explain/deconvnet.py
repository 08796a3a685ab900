"""Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks", section 2.1: from a unit back to pixels.

Unpool by the switches, rectify, filter by the transposed weights, down to the picture. Set beside the gradient, only the ReLUs differ
(Simonyan et al. 2013, section 4): R_n = relu(R_n+1) instead of R_n+1 where x_n > 0.
"""

from torch import Tensor, nn

from .rectified import Rectified
from .what import Score, What, gradient


def deconvnet(net: nn.Module, x: Tensor, what: What | None = None) -> Tensor:
    """What in each picture the unit has seen, like x. Raises Mistake for a network that is not of ReLUs."""
    return gradient(net, x, what or Score(), Rectified(guided=False))
