"""Simonyan et al. 2013, "Deep Inside Convolutional Networks", section 2, equation 1: the picture that a class scores most for.

argmax S(I) - decay |I|^2, by ascent from soft noise. The plain gradient hisses. What Yosinski et al. and Mordvintsev et al. (both 2015) did
about that: the picture is moved by a few pixels at each step, and of the gradient first the coarse part is followed, then finer ones.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import conv2d, pad

from .what import Score, What, gradient

COARSE, FINE = 1 / 22, 1 / 224  # sigma of the gradient's blur at the first and the last step, in heights of the picture


def maximise(
    net: nn.Module, what: What | int, shape: tuple[int, ...], steps: int = 200, rate: float = 0.05, decay: float = 0.01, seed: int = 0
) -> Tensor:
    """(1, C, H, W), as the network takes pictures. `shape` is (C, H, W); a number means that class."""
    draw = Generator().manual_seed(seed)
    what = Score(what) if isinstance(what, int) else what
    reach = max(1, shape[1] // 28)
    x = blurred(0.1 * torch.randn(1, *shape, generator=draw), COARSE * shape[1])
    for n in range(steps):
        down, right = torch.randint(-reach, reach + 1, (2,), generator=draw).tolist()
        x = x.roll((down, right), (2, 3))
        slope = blurred(gradient(net, x, what), COARSE * (FINE / COARSE) ** (n / steps) * shape[1])
        x = (x + rate * slope / slope.square().mean().sqrt().clamp(min=1e-12)) * (1 - decay)
        x = x.roll((-down, -right), (2, 3))
    return x


def blurred(x: Tensor, sigma: float) -> Tensor:
    """By a Gaussian, down and then across."""
    reach = min(max(1, round(3 * sigma)), x.shape[2] // 2, x.shape[3] // 2)
    line = torch.exp(-torch.arange(-reach, reach + 1.0).square() / (2 * sigma**2))
    line = (line / line.sum()).expand(x.shape[1], 1, -1)
    x = conv2d(pad(x, (0, 0, reach, reach), mode="replicate"), line[..., None], groups=x.shape[1])
    return conv2d(pad(x, (reach, reach, 0, 0), mode="replicate"), line[:, :, None], groups=x.shape[1])
