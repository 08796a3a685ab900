"""Zeiler & Fergus 2013, "Visualizing and Understanding Convolutional Networks", section 2.1: from a unit back to pixels.

Unpool by the switches, rectify, filter by the transposed weights, down to the picture. Set beside the gradient, only the ReLUs differ
(Simonyan et al. 2013, section 4): R_n = relu(R_n+1) instead of R_n+1 where x_n > 0.
"""

from torch import Tensor, nn

from ..mistake import Mistake
from .rectified import Rectified
from .what import Score, What, gradient


def deconvnet(net: nn.Module, x: Tensor, what: What | None = None) -> Tensor:
    """What in each picture the unit has seen, like x.

    Raises Mistake for a network that is not of ReLUs, and for one without switches, where it would be the same of every picture.
    """
    rule = Rectified(guided=False)
    found = gradient(net, x, what or Score(), rule)
    if not rule.switched:
        raise Mistake(
            f"a deconvnet goes back by the switches of max pools; on this way {type(net).__name__} has none, and every picture "
            "would look the same. Try guided."
        )
    return found
