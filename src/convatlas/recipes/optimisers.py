"""Optimisers as values: called with a network, each makes the torch optimiser that trains it."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..data.batches import Batches
from ..mistake import Mistake
from ..models.lenet import RBF
from ..models.net import Net


class Optimiser(Protocol):
    def __call__(self, net: nn.Module) -> torch.optim.Optimizer: ...

    def look(self, opt: torch.optim.Optimizer, net: nn.Module, batches: Batches, n: int) -> None:
        """What the method has to find out before step `n`; nothing, for most."""
        ...


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum; `decay` is that of an L2 penalty on all weights."""

    momentum: float = 0.9
    decay: float = 0.0
    nesterov: bool = False

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(net.parameters(), lr=0.0, momentum=self.momentum, weight_decay=self.decay, nesterov=self.nesterov)

    def look(self, opt: torch.optim.Optimizer, net: nn.Module, batches: Batches, n: int) -> None:
        pass


@dataclass(frozen=True)
class AdamW:
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2017, arXiv:1711.05101), for a `Net`.

    Each stage learns at `layer_decay` times the rate of the one after it; biases and norms do not decay.
    """

    decay: float = 0.01
    layer_decay: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        groups = net.param_groups(0.0, self.decay, self.layer_decay) if isinstance(net, Net) else net.parameters()
        return torch.optim.AdamW(groups, lr=0.0, betas=self.betas, weight_decay=self.decay, foreach=True)

    def look(self, opt: torch.optim.Optimizer, net: nn.Module, batches: Batches, n: int) -> None:
        pass


@dataclass(frozen=True)
class SDLM:
    """Stochastic diagonal Levenberg-Marquardt: a rate of its own for each weight, eta / (mu + h), LeCun et al. 1998, Appendix C.

    h is the second derivative of the loss with respect to the weight, in the diagonal Gauss-Newton approximation,
    measured on `samples` pictures every `every` steps and kept between. eta is the recipe's rate.
    """

    every: int
    samples: int = 500
    mu: float = 0.02

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        return DiagonalLM(net.parameters(), {"lr": 0.0})

    def look(self, opt: torch.optim.Optimizer, net: nn.Module, batches: Batches, n: int) -> None:
        if n % self.every == 0:
            x = torch.cat([batches[n + i][0] for i in range(-(-self.samples // batches.batch))])[: self.samples]
            for p, h in curvature(net, x).items():
                opt.state[p]["gain"] = 1 / (self.mu + h)


class DiagonalLM(torch.optim.Optimizer):
    """Each weight moved against its gradient by lr times its gain."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: asks for no closure
        for group in self.param_groups:
            weights = group["params"]
            gains = [self.state[p]["gain"] for p in weights]
            grads = [p.grad for p in weights]
            torch._foreach_addcmul_(weights, grads, gains, value=-group["lr"])  # pyright: ignore[reportPrivateImportUsage]: as torch's own do


def curvature(net: nn.Module, x: Tensor) -> dict[nn.Parameter, Tensor]:
    """The mean over pictures x (N, C, H, W) of the second derivative of the loss by each parameter, never below zero.

    Second derivatives are propagated back as Appendix C tells: through weighted sums go the squares of the weights, to a
    weight that is shared goes the sum over its uses of its input's square, through a squashing function goes the square
    of its slope. Asks for a chain of such layers that ends in squared distances, as LeNet-5 does; else raises Mistake.
    """
    *layers, last = (layer for layer in net.modules() if next(layer.children(), None) is None)
    if not isinstance(last, RBF):
        raise Mistake(f"SDLM trains networks that end in RBF units, such as lenet5; {type(net).__name__} ends in {type(last).__name__}.")
    inputs = [x]
    with torch.no_grad():
        for layer in layers:
            inputs.append(layer(inputs[-1]))
    found: dict[nn.Parameter, Tensor] = {}
    h = torch.full_like(inputs[-1], 2.0)  # of (x - w)^2
    for layer, z, out in zip(reversed(layers), reversed(inputs[:-1]), reversed(inputs[1:]), strict=True):
        own = dict(layer.named_parameters())
        if own or out.shape != z.shape:  # weighted sums
            squares = {name: p.detach().square().requires_grad_() for name, p in own.items()}
            square = z.square().requires_grad_()
            *sums, h = torch.autograd.grad(functional_call(layer, squares, (square,)), [*squares.values(), square], h)
            found |= {p: s / len(x) for p, s in zip(own.values(), sums, strict=True)}
        else:  # squashing
            at = z.clone().requires_grad_()
            (slope,) = torch.autograd.grad(layer(at).sum(), at)
            h = h * slope.square()
    return found
