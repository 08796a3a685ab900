"""Springenberg et al. 2014, "Striving for Simplicity", section 3.4, figure 1: guided backpropagation.

R_n = relu(R_n+1) where x_n > 0, else 0: what both the gradient and the deconvnet let through. So goes a ReLU6, at its upper end too, where
the gradient is 0: what is strongest there would else have no reasons.
Local response normalisation, which that paper has not, goes back as a scale (rectified.py).
"""

from torch import Tensor, nn

from .rectified import Rectified
from .what import Score, What, gradient


def guided(net: nn.Module, x: Tensor, what: What | None = None) -> Tensor:
    """What speaks for the unit in each picture, like x. Raises Mistake for a network that is not of ReLUs."""
    return gradient(net, x, what or Score(), Rectified(guided=True))
