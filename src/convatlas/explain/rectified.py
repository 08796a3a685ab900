"""Other ways back through a ReLU than the gradient's: deconvnet's and guided backpropagation's.

Whatever calls a ReLU, a module or a function, is met, for calls of torch's functions are what is changed. That goes through:
  convolutions and sums by their transpose, max pools by their switches: as a gradient does;
  local response normalisation as a scale that stays what it was on the way there, for its inverse is not known.
Networks whose units are curved otherwise (sigmoids, SiLU, gates) are refused: what is cut off there has no meaning.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ..mistake import Mistake
from ..models.response_norm import band

RECTIFIERS = {F.relu: None, torch.relu: None, torch.relu_: None, Tensor.relu: None, Tensor.relu_: None, F.relu6: 6.0}  # and where they end
CURVED = {F.hardtanh, F.silu, F.gelu, F.hardswish, F.hardsigmoid, F.sigmoid, F.tanh, F.elu, F.leaky_relu, F.softplus, F.mish}
CURVED |= {torch.sigmoid, torch.tanh, Tensor.sigmoid, Tensor.tanh, Tensor.sigmoid_, Tensor.tanh_}

SWITCHES = ("max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d", "local_response_norm")


class Rectified(TorchFunctionMode):
    """Within it, a ReLU lets back what is positive; if `guided`, only where it also let something through on the way there.

    `switched` tells whether the way led through a max pool or a normalisation of responses, which a picture sets.
    """

    def __init__(self, guided: bool):
        super().__init__()
        self.guided = guided
        self.switched = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.hardtanh and kwargs and kwargs.get("min_val") == 0:  # what nn.ReLU6 calls
            return Rectify.apply(args[0], kwargs["max_val"], self.guided)
        if func in CURVED:
            raise Mistake(f"going back this way is for networks of ReLUs; this one has {func.__name__}. Try integrated or gradcam.")
        if func in RECTIFIERS:
            return Rectify.apply(args[0], RECTIFIERS[func], self.guided)
        self.switched |= getattr(func, "__name__", "") in SWITCHES
        if func is F.local_response_norm:
            return scaled(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class Rectify(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, most: float | None, guided: bool) -> Tensor:
        ctx.save_for_backward(x)
        ctx.guided = guided
        return x.clamp(0, most)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,) = ctx.saved_tensors
        g = g.clamp(min=0)
        return g * (x > 0) if ctx.guided else g, None, None


def scaled(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Local response normalisation whose divisor does not depend on x on the way back."""
    return x * torch.conv2d(x.detach().square(), band(x, size)).mul(alpha / size).add(k).pow(-beta)
