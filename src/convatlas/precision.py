"""Training steps in bfloat16: around the layers that are slow in it, and only where a step is the faster for it on this machine.

Under autocast some layers take longer than they would in float32. With oneDNN on processors with AVX-512 bfloat16 (Zen 4 and 5,
torch 2.14, batch 16, one thread) these are, of the layers of the networks here:
  convolutions of each map by itself with a stride: their gradient by the map has no kernel but the reference (96 maps of 112x112:
  122 ms; without the stride 15);
  those wider than 3x3, or dilated: the same of their gradient by the weights (240 maps of 28x28, 5x5: 75 ms; in float32 27);
  local response normalisation: autocast computes it in float32, in seven passes (192 maps of 56x56, there and back: 522 ms; here 77).
Groups of several maps, such as ResNeXt's and AlexNet's columns, are faster in bfloat16 in each direction.
"""

import time
from collections.abc import Callable, Iterable
from copy import deepcopy
from statistics import median
from types import MethodType
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import local_response_norm
from torch.overrides import TorchFunctionMode

from .models.response_norm import band, inverse_power

aten = torch.ops.aten
Module = TypeVar("Module", bound=nn.Module)


def careful(net: Module) -> Module:
    """Lets the slow layers of `net`, in place, compute another way under a processor's autocast, and as ever otherwise.

    Types, weights and tracing stay as they are, and so do copies. It may be called again, as after `dilate`.
    """
    for layer in net.modules():
        if slow(layer):
            vars(layer)["forward"] = MethodType(another_way, layer)
    return net


def slow(layer: nn.Module) -> bool:
    if not isinstance(layer, nn.Conv2d):
        return isinstance(layer, nn.LocalResponseNorm)
    plain = max(layer.stride) == max(layer.dilation) == 1 and max(layer.kernel_size) <= 3
    return layer.groups == layer.in_channels > 1 and not plain


def another_way(layer: nn.Module, x: Tensor) -> Tensor:
    plain = MethodType(type(layer).forward, layer)
    if not torch.is_autocast_enabled("cpu"):
        return plain(x)
    with Swapped():
        return plain(x)


class Swapped(TorchFunctionMode):
    """Within it, two of torch's functions are ours. What a layer does around them, as padding, it does as ever."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return {torch.conv2d: convolve, local_response_norm: normalise}.get(func, func)(*args, **(kwargs or {}))


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Tensor:
    if isinstance(padding, str):
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    x = x.to(torch.get_autocast_dtype("cpu"))
    pairs = ([value, value] if isinstance(value, int) else list(value) for value in (stride, padding, dilation))
    bias = bias if bias is None else bias.to(x.dtype)
    return Convolution.apply(x, weight.to(x.dtype), bias, *pairs, groups)  # pyright: ignore[reportReturnType]


class Convolution(torch.autograd.Function):
    """torch's own, but for what is slow on the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.how, ctx.biases = stride, (padding, dilation, False, [0, 0], groups), None if bias is None else [len(bias)]
        return aten.convolution(x, weight, bias, stride, *ctx.how)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x, weight), (padding, dilation, *_) = ctx.saved_tensors, ctx.how
        gx, gw, gb = None, *ctx.needs_input_grad[1:3]
        if ctx.needs_input_grad[0]:
            spread = apart(g, x, weight, ctx.stride, padding, dilation)
            gx, _, _ = aten.convolution_backward(spread, x, weight, None, [1, 1], *ctx.how, [True, False, False])
        wide = max(weight.shape[2:]) > 3 or max(dilation) > 1
        own = (part.float() if wide else part for part in (g, x, weight))
        _, gw, gb = aten.convolution_backward(*own, ctx.biases, ctx.stride, *ctx.how, [False, gw, gb])
        return gx, *(found if found is None else found.to(g.dtype) for found in (gw, gb)), None, None, None, None


def apart(g: Tensor, x: Tensor, weight: Tensor, stride: list[int], padding: list[int], dilation: list[int]) -> Tensor:
    """The gradient (N, C, H, W) of what a convolution gave, with zeros where its stride passed over."""
    if stride == [1, 1]:
        return g
    sides = (x.shape[i + 2] + 2 * padding[i] - dilation[i] * (weight.shape[i + 2] - 1) for i in (0, 1))
    kind = torch.channels_last if x.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    spread = torch.empty((*g.shape[:2], *sides), dtype=g.dtype, memory_format=kind).zero_()
    spread[:, :, :: stride[0], :: stride[1]] = g
    return spread


def normalise(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    return ResponseNorm.apply(x.to(torch.get_autocast_dtype("cpu")), size, alpha / size, beta, k)  # pyright: ignore[reportReturnType]


class ResponseNorm(torch.autograd.Function):
    """x / u^beta, where u = k + alpha * the sum of x^2 over `size` maps around each: a convolution by a band of ones."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        around = band(x, size)
        u = torch.conv2d(x.square(), around).mul_(alpha).add_(k)
        ctx.save_for_backward(x, u, around)
        ctx.alpha, ctx.beta = alpha, beta
        return inverse_power(u, beta).mul_(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, u, around = ctx.saved_tensors
        direct = inverse_power(u, ctx.beta).mul_(g)
        others = torch.conv2d((direct * x).div_(u), around.transpose(0, 1))
        return direct.addcmul_(others, x, value=-2 * ctx.alpha * ctx.beta), None, None, None, None


class Way(NamedTuple):
    """How a step computes: fields of a recipe."""

    precision: str
    layout: str


WAYS = tuple(Way(precision, layout) for precision in ("float32", "bfloat16") for layout in ("plain", "channels_last"))
FORMATS = {"plain": torch.contiguous_format, "channels_last": torch.channels_last}

Step = Callable[[nn.Module, Way], object]  # computes the gradients of a batch


def choose(net: nn.Module, step: Step, ways: Iterable[Way] = WAYS, rounds: int = 3) -> tuple[Way, dict[Way, float]]:
    """The way in which `step` is fastest here, and the seconds that it takes in each: the median of the rounds.

    The ways take turns, so that a machine that is busy for a while is so for all. A first round, not counted, sets things up; a way
    that is then a quarter slower than the best is tried no more. Neither `net` nor torch's generator has moved afterwards: steps are
    taken by a copy, in the mode, training or not, that `net` is in.
    """
    twin, left = careful(deepcopy(net)), list(ways)
    took: dict[Way, list[float]] = {way: [] for way in left}
    with torch.random.fork_rng(devices=[]):
        for way in left:
            once(twin, step, way)
        for _ in range(rounds):
            for way in left:
                took[way].append(once(twin, step, way))
            best = min(min(took[way]) for way in left)
            left = [way for way in left if min(took[way]) <= 1.25 * best]
    seconds = {way: median(times) for way, times in took.items()}
    return fastest({way: seconds[way] for way in left}), seconds


def once(net: nn.Module, step: Step, way: Way) -> float:
    net.to(memory_format=FORMATS[way.layout]).zero_grad()  # pyright: ignore[reportCallIssue]: torch has it, its types do not
    begun = time.perf_counter()
    step(net, way)
    return time.perf_counter() - begun


def fastest(seconds: dict[Way, float]) -> Way:
    """bfloat16 must save a tenth, for it costs accuracy."""
    return min(seconds, key=lambda way: seconds[way] / (0.9 if way.precision == "bfloat16" else 1.0))
