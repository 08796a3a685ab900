"""A dense block that trains in little memory: Pleiss et al., "Memory-Efficient Implementation of DenseNets", 2017 (arXiv:1707.06990).

All layers of a block write into one buffer and read from it, so nothing is copied together, and of each layer's own only what a
convolution gave is kept. What norms and rectifiers made of it is made again on the way back, which costs little; no convolution is
computed twice. Beyond the paper: the statistics of a map are the same for every layer that reads it, so they are found once, and
on the way back the parts of its gradient that flow through them are added up and applied once.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.autograd.function import once_differentiable

aten = torch.ops.aten


class DenseBlock(nn.Sequential):
    """Layers [x, f(x)] whose f are norm, ReLU, convolution, once or twice. In training it takes little memory; it says what they say."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        norms = [layer for layer in self.modules() if isinstance(layer, nn.BatchNorm2d)]
        if isinstance(x, fx.Proxy) or not torch.is_grad_enabled() or not all(norm.training for norm in norms):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return Block.apply(x.to(norms[0].weight.dtype), self, *self.parameters())  # pyright: ignore[reportReturnType]


@dataclass
class Kept:
    """What a block's way back needs beside its maps: their means and variances, and of each layer what came between its convolutions."""

    mean: Tensor
    var: Tensor
    rows: list["Row"] = field(default_factory=list)


@dataclass
class Row:
    """A layer: pairs of norm and convolution, and, if it has two pairs, what came between and the statistics of that."""

    pairs: list[tuple[nn.BatchNorm2d, nn.Conv2d]]
    between: Tensor | None = None
    mean: Tensor | None = None
    var: Tensor | None = None


def pairs(f: nn.Module) -> list[tuple[nn.BatchNorm2d, nn.Conv2d]]:
    norms = [layer for layer in f.modules() if isinstance(layer, nn.BatchNorm2d)]
    return list(zip(norms, [layer for layer in f.modules() if isinstance(layer, nn.Conv2d)], strict=True))


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    return torch.conv2d(x, conv.weight, None, 1, conv.padding, conv.dilation)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of each map over the batch: mean and variance."""
    var, mean = torch.var_mean(x, (0, 2, 3), correction=0)
    return mean, var


def affine(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What the norm does to a map, x * scale + shift, and 1 / its deviation."""
    inverse = (var + norm.eps).rsqrt()
    scale = norm.weight * inverse
    return scale, norm.bias - mean * scale, inverse


def rectified(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """relu(x * scale + shift), picture by picture, so that each is still in the cache when it is rectified."""
    scale, shift, out = scale.view(-1, 1, 1), shift.view(-1, 1, 1), torch.empty(x.shape, dtype=x.dtype, device=x.device)
    for picture, made in zip(x, out, strict=True):
        torch.addcmul(shift, picture, scale, out=made).relu_()
    return out


def remember(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor, n: int) -> None:
    """Moves the running statistics towards those of this batch, of `n` numbers a map."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    momentum = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(var * (n / (n - 1)), momentum)


class Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, block: nn.Sequential, *_: Tensor) -> Tensor:
        rows = [Row(pairs(layer.f)) for layer in block]  # pyright: ignore[reportArgumentType]
        n, c, h, w = x.shape
        full = c + sum(row.pairs[-1][1].out_channels for row in rows)
        buffer, mean, var = x.new_empty(n, full, h, w), x.new_empty(full), x.new_empty(full)
        buffer[:, :c] = x
        mean[:c], var[:c] = moments(x)
        for row in rows:
            (norm, conv), *second = row.pairs
            remember(norm, mean[:c], var[:c], n * h * w)
            y = convolve(conv, rectified(buffer[:, :c], *affine(norm, mean[:c], var[:c])[:2]))
            if second:
                ((norm, conv),) = second
                row.between, (row.mean, row.var) = y, moments(y)
                remember(norm, row.mean, row.var, n * h * w)
                y = convolve(conv, rectified(y, *affine(norm, row.mean, row.var)[:2]))
            end = c + y.shape[1]
            buffer[:, c:end] = y
            mean[c:end], var[c:end] = moments(y)
            c = end
        ctx.kept, ctx.parameters = Kept(mean, var, rows), list(block.parameters())
        ctx.save_for_backward(buffer, *ctx.parameters)  # not in `kept`, where an output would hold itself; and changes are noticed
        ctx.given = x.shape[1]
        return buffer

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        buffer, kept, found = ctx.saved_tensors[0], ctx.kept, {}
        if kept is None:
            raise RuntimeError("The way back through a thrifty dense block can be taken once: it frees what it kept as it goes.")
        total, through = grad.clone(), Through(buffer, kept)
        c = buffer.shape[1]
        for row in reversed(kept.rows):
            start = c - row.pairs[-1][1].out_channels
            g = through.finished(total, start, c)
            if row.between is not None:
                g = back_between(row, g, found)
            through.back(row.pairs[0], g, total, start, found)
            row.between, c = None, start
        given = through.finished(total, 0, ctx.given)
        ctx.kept = None
        return given, None, *(found[p] for p in ctx.parameters)


def back_conv(conv: nn.Conv2d, g: Tensor, z: Tensor, found: dict[Tensor, Tensor]) -> Tensor:
    """The gradient by what the convolution read, z."""
    options = [1, 1], list(conv.padding), list(conv.dilation), False, [0, 0], 1
    gz, found[conv.weight], _ = aten.convolution_backward(g, z, conv.weight, None, *options, [True, True, False])
    return gz


def back_between(row: Row, g: Tensor, found: dict[Tensor, Tensor]) -> Tensor:
    """Through the second pair of a layer."""
    assert row.between is not None
    assert row.mean is not None
    assert row.var is not None
    norm, conv = row.pairs[1]
    scale, shift, inverse = affine(norm, row.mean, row.var)
    z = rectified(row.between, scale, shift)
    gz = back_conv(conv, g, z, found)
    gz = aten.threshold_backward(gz, z, 0)
    del z
    gy, found[norm.weight], found[norm.bias] = aten.native_batch_norm_backward(
        gz, row.between, norm.weight, None, None, row.mean, inverse, True, norm.eps, [True, True, True]
    )
    return gy


class Through:
    """The gradient of the buffer's maps that flows through their means and variances, added up over the layers that read them."""

    def __init__(self, buffer: Tensor, kept: Kept):
        self.buffer, self.kept = buffer, kept
        self.by_mean, self.by_var = torch.zeros_like(kept.mean), torch.zeros_like(kept.var)
        self.n = buffer[:, 0].numel()

    def back(self, pair: tuple[nn.BatchNorm2d, nn.Conv2d], g: Tensor, total: Tensor, c: int, found: dict[Tensor, Tensor]) -> None:
        """Through the first pair of a layer, which reads the first `c` maps: adds to `total` all but what flows through the statistics."""
        norm, conv = pair
        x, mean = self.buffer[:, :c], self.kept.mean[:c]
        scale, shift, inverse = affine(norm, mean, self.kept.var[:c])
        z = rectified(x, scale, shift)
        gz = back_conv(conv, g, z, found)
        sums, dots = torch.zeros_like(mean), torch.zeros_like(mean)
        factor = scale.view(-1, 1, 1)
        for picture, given, made, into in zip(x, gz, z, total[:, :c], strict=True):
            masked = aten.threshold_backward(given, made, 0)
            into.addcmul_(masked, factor)
            flat = masked.view(c, -1)
            sums += flat.sum(1)
            dots += torch.linalg.vecdot(flat, picture.view(c, -1))
        dots -= mean * sums
        found[norm.bias], found[norm.weight] = sums, dots * inverse
        self.by_mean[:c] += scale * sums / self.n
        self.by_var[:c] += scale * inverse.square() * dots / self.n

    def finished(self, total: Tensor, start: int, end: int) -> Tensor:
        """The whole gradient of some maps that no layer still to come has read."""
        maps, shape = slice(start, end), (-1, 1, 1)
        scale = self.by_var[maps].view(shape)
        shift = (self.by_mean - self.by_var * self.kept.mean)[maps].view(shape)
        return total[:, maps] - self.buffer[:, maps] * scale - shift
