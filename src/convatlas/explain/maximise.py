"""Simonyan et al. 2013, "Deep Inside Convolutional Networks", section 2, equation 1: the picture that a class scores most for.

argmax S(I) - decay |I|^2, by ascent from noise. As Mahendran & Vedaldi and Yosinski et al. (both 2015) found, moved by a few pixels at
each step and blurred now and then it shows more and hisses less.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import conv2d, pad

from .what import Score, What, gradient


def maximise(
    net: nn.Module, what: What | int, shape: tuple[int, ...], steps: int = 200, rate: float = 1.0, decay: float = 1e-3, seed: int = 0
) -> Tensor:
    """(1, C, H, W), as the network takes pictures. `shape` is (C, H, W); a number means that class."""
    draw = Generator().manual_seed(seed)
    x = 0.1 * torch.randn(1, *shape, generator=draw)
    what = Score(what) if isinstance(what, int) else what
    reach = max(1, shape[1] // 28)
    for n in range(steps):
        down, right = torch.randint(-reach, reach + 1, (2,), generator=draw).tolist()
        x = x.roll((down, right), (2, 3))
        slope = gradient(net, x, what)
        x = (x + rate * slope / slope.square().mean().sqrt().clamp(min=1e-12)) * (1 - decay)
        x = x.roll((-down, -right), (2, 3))
        if n % 4 == 0 and n < steps - steps // 10:
            x = blurred(x)
    return x


def blurred(x: Tensor, sigma: float = 0.6) -> Tensor:
    line = torch.exp(-torch.arange(-2.0, 3.0).square() / (2 * sigma**2))
    kernel = (line[:, None] * line / line.sum() ** 2).expand(x.shape[1], 1, 5, 5)
    return conv2d(pad(x, (2, 2, 2, 2), mode="replicate"), kernel, groups=x.shape[1])
