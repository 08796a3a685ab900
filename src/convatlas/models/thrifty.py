"""A dense block that trains in little memory: Pleiss et al., "Memory-Efficient Implementation of DenseNets", 2017 (arXiv:1707.06990).

All layers of a block write into one buffer and read from it, so nothing is copied together, and of each layer's own only what a
convolution gave is kept. What norms and rectifiers made of it is made again on the way back, which costs little; no convolution is
computed twice. Beyond the paper: the statistics of a map are the same for every layer that reads it, so they are found once, and
on the way back the parts of its gradient that flow through them are added up and applied once.
"""

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


Pair = tuple[nn.BatchNorm2d, nn.Conv2d]


def pairs(layer: nn.Module) -> list[Pair]:
    norms = [part for part in layer.modules() if isinstance(part, nn.BatchNorm2d)]
    return list(zip(norms, [part for part in layer.modules() if isinstance(part, nn.Conv2d)], strict=True))


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
        torch.mul(picture, scale, out=made).add_(shift).relu_()  # of addcmul, two small factors make a slow loop
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
    def forward(ctx: Any, x: Tensor, block: nn.Sequential, *weights: Tensor) -> Tensor:
        rows, between = [pairs(layer) for layer in block], list[Tensor]()
        n, c, h, w = x.shape
        full = c + sum(row[-1][1].out_channels for row in rows)
        buffer, mean, var = x.new_empty(n, full, h, w), x.new_empty(full), x.new_empty(full)
        buffer[:, :c] = x
        mean[:c], var[:c] = moments(x)
        for (norm, conv), *second in rows:
            remember(norm, mean[:c], var[:c], n * h * w)
            y = convolve(conv, rectified(buffer[:, :c], *affine(norm, mean[:c], var[:c])[:2]))
            for inner, last in second:
                seen = moments(y)
                remember(inner, *seen, n * h * w)
                between += [y, *seen]
                y = convolve(last, rectified(y, *affine(inner, *seen)[:2]))
            end = c + y.shape[1]
            buffer[:, c:end] = y
            mean[c:end], var[c:end] = moments(y)
            c = end
        ctx.save_for_backward(buffer, mean, var, *between, *weights)
        ctx.rows, ctx.given, ctx.weights = rows, x.shape[1], len(weights)
        return buffer

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (buffer, mean, var, *saved), found = ctx.saved_tensors, {}
        between, weights = saved[: -ctx.weights], saved[-ctx.weights :]
        total, through = grad.clone(), Through(buffer, mean, var)
        c = buffer.shape[1]
        for first, *second in reversed(ctx.rows):
            start = c - (second or [first])[-1][1].out_channels
            g = through.finished(total, start, c)
            if second:
                *between, y, m, v = between
                g = back_between(second[0], y, m, v, g, found)
                del y
            through.back(first, g, total, start, found)
            c = start
        return through.finished(total, 0, ctx.given), None, *(found[p] for p in weights)


def back_conv(conv: nn.Conv2d, g: Tensor, z: Tensor, found: dict[Tensor, Tensor]) -> Tensor:
    """The gradient by what the convolution read, z."""
    options = [1, 1], list(conv.padding), list(conv.dilation), False, [0, 0], 1
    gz, found[conv.weight], _ = aten.convolution_backward(g, z, conv.weight, None, *options, [True, True, False])
    return gz


def back_between(pair: Pair, y: Tensor, mean: Tensor, var: Tensor, g: Tensor, found: dict[Tensor, Tensor]) -> Tensor:
    """Through the second pair of a layer, which read y."""
    norm, conv = pair
    scale, shift, inverse = affine(norm, mean, var)
    z = rectified(y, scale, shift)
    gz = aten.threshold_backward(back_conv(conv, g, z, found), z, 0)
    gy, found[norm.weight], found[norm.bias] = aten.native_batch_norm_backward(
        gz, y, norm.weight, None, None, mean, inverse, True, norm.eps, [True, True, True]
    )
    return gy


class Through:
    """The gradient of the buffer's maps that flows through their means and variances, added up over the layers that read them."""

    def __init__(self, buffer: Tensor, mean: Tensor, var: Tensor):
        self.buffer, self.mean, self.var = buffer, mean, var
        self.by_mean, self.by_var = torch.zeros_like(mean), torch.zeros_like(var)
        self.n = buffer[:, 0].numel()

    def back(self, pair: Pair, g: Tensor, total: Tensor, c: int, found: dict[Tensor, Tensor]) -> None:
        """Through the first pair of a layer, which reads the first `c` maps: adds to `total` all but what flows through the statistics."""
        norm, conv = pair
        x, mean = self.buffer[:, :c], self.mean[:c]
        scale, shift, inverse = affine(norm, mean, self.var[:c])
        z = rectified(x, scale, shift)
        gz = back_conv(conv, g, z, found)
        sums, dots = torch.zeros_like(mean), torch.zeros_like(mean)
        factor = scale.view(-1, 1, 1)
        for picture, given, made, into in zip(x, gz, z, total[:, :c], strict=True):
            masked = aten.threshold_backward.grad_input(given, made, 0, grad_input=given)
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
        shift = (self.by_mean - self.by_var * self.mean)[maps].view(shape)
        return total[:, maps] - self.buffer[:, maps] * scale - shift
