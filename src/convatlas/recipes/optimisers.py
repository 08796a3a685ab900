"""Optimisers as values: called with a network, each makes the torch optimiser that trains it."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..data.batches import Batches
from ..data.crops import Crops
from ..mistake import Mistake
from ..models.backbone import decays
from ..models.lenet import RBF
from ..models.net import Net


class Optimiser(Protocol):
    def __call__(self, net: nn.Module) -> torch.optim.Optimizer: ...

    def look(self, opt: torch.optim.Optimizer, net: nn.Module, batches: Batches | Crops, n: int) -> None:
        """What the method has to find out before step `n`; nothing, for most."""
        ...


class Settled:
    """A method that has nothing to find out."""

    def look(self, opt: torch.optim.Optimizer, net: nn.Module, batches: Batches | Crops, n: int) -> None:
        pass


def tiers(net: nn.Module, decay: float, apart: bool = False, bias_rate: float = 1.0) -> list[dict[str, Any]]:
    """Groups for torch.optim. Biases learn at `bias_rate` times the rate, and their decay is so much smaller that the product stays.

    If `apart`, biases and the weights of norms do not decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, p in net.named_parameters():
        scale = bias_rate if name.rpartition(".")[2] == "bias" else 1.0
        own = 0.0 if apart and not decays(p) else decay / scale
        groups.setdefault((scale, own), []).append(p)
    return [{"params": params, "scale": scale, "weight_decay": own} for (scale, own), params in groups.items()]


@dataclass(frozen=True)
class SGD(Settled):
    """Stochastic gradient descent with momentum; `decay` is that of an L2 penalty on all weights, or if `apart` on those of `tiers`.

    Biases learn at `bias_rate` times the rate, and decay as the others do: `tiers`.
    """

    momentum: float = 0.9
    decay: float = 0.0
    nesterov: bool = False
    apart: bool = False
    bias_rate: float = 1.0

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        return self.over(tiers(net, self.decay, self.apart, self.bias_rate))

    def over(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.SGD(groups, lr=0.0, momentum=self.momentum, nesterov=self.nesterov, fused=True)


@dataclass(frozen=True)
class AdamW(Settled):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter 2017, arXiv:1711.05101), for a `Net`.

    Each stage learns at `layer_decay` times the rate of the one after it; biases and norms do not decay.
    """

    decay: float = 0.01
    layer_decay: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        groups = net.param_groups(0.0, self.decay, self.layer_decay) if isinstance(net, Net) else net.parameters()
        return torch.optim.AdamW(groups, lr=0.0, betas=self.betas, weight_decay=self.decay, foreach=True)


@dataclass(frozen=True)
class RMSprop(Settled):
    """Each gradient divided by the root of its running mean square (Tieleman & Hinton 2012), in TensorFlow's form.

    `eps` stands inside the root, the mean squares begin at 1, and momentum gathers steps with the rates of their time in them;
    torch.optim's RMSprop differs in all three. Published rates of MobileNet and EfficientNet are for this form. `alpha` is the
    share of the mean square that stays, `decay` that of an L2 penalty, if `apart` not on biases and norms.
    """

    momentum: float = 0.9
    decay: float = 0.0
    alpha: float = 0.9
    eps: float = 1e-3
    apart: bool = False

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        defaults = {"lr": 0.0, "momentum": self.momentum, "alpha": self.alpha, "eps": self.eps}
        return TensorFlowRMSprop(tiers(net, self.decay, self.apart), defaults)


@dataclass(frozen=True)
class LAMB(Settled):
    """Adam whose step is, layer by layer, as long as the layer's weights are (You et al. 2019, arXiv:1904.00962).

    As the published training of Wightman et al. 2021 (arXiv:2110.00476) has it: a gradient whose norm over all weights
    exceeds `clip` is shortened to it, and biases and norms neither decay nor are measured.
    """

    decay: float = 0.02
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-6
    clip: float = 1.0

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        defaults = {"lr": 0.0, "betas": self.betas, "eps": self.eps, "clip": self.clip}
        return LayerwiseAdam(tiers(net, self.decay, apart=True), defaults)


@dataclass(frozen=True)
class Muon(Settled):
    """Filters move by their momentum made orthogonal (Jordan et al. 2024, "Muon: An optimizer for hidden layers"), the rest by `rest`.

    A layer's filters are the rows of a matrix, and `steps` of `orthogonal` bring its singular values near 1. If `normalised`,
    as in the published CIFAR-10 run, its norm is first brought to the root of the number of filters, instead of a decay.
    The rest learns at `rest_rate` times the rate, and decays as `tiers` has it. torch.optim.Muon takes no filters, only matrices.
    """

    momentum: float = 0.6
    steps: int = 3
    normalised: bool = True
    rest: SGD = SGD(momentum=0.85, nesterov=True)
    rest_rate: float = 1.0

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        filters = {p for p in net.parameters() if p.dim() == 4 and p.requires_grad}
        # A plain step along what `turn` leaves as their gradient.
        groups: list[dict[str, Any]] = [{"params": [], "weight_decay": 0.0, "momentum": 0.0, "nesterov": False, "orthogonal": True}]
        for group in tiers(net, self.rest.decay, self.rest.apart, self.rest.bias_rate):
            groups[0]["params"] += [p for p in group["params"] if p in filters]
            others = [p for p in group["params"] if p not in filters]
            scale, decay = group["scale"] * self.rest_rate, group["weight_decay"] / self.rest_rate
            groups.append({"params": others, "scale": scale, "weight_decay": decay, "orthogonal": False})
        opt = self.rest.over([group for group in groups if group["params"]])
        opt.register_step_pre_hook(self.turn)
        return opt

    @torch.no_grad()
    def turn(self, opt: torch.optim.Optimizer, *_: object) -> None:
        """Puts in place of the filters' gradients, before the step, what they shall move by."""
        for p in (p for group in opt.param_groups if group["orthogonal"] for p in group["params"] if p.grad is not None):
            if "gathered" not in opt.state[p]:
                opt.state[p]["gathered"] = torch.zeros_like(p)
            gathered = opt.state[p]["gathered"].mul_(self.momentum).add_(p.grad)
            ahead = p.grad.add(gathered, alpha=self.momentum)
            if self.normalised:
                p.mul_(len(p) ** 0.5 / p.norm().clamp(min=1e-7))
            p.grad.copy_(orthogonal(ahead.flatten(1), self.steps).view(p.shape))


def orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """(rows, columns) with its singular vectors and singular values of roughly .7 to 1.2, in bfloat16, by Newton and Schulz's iteration.

    The polynomial's coefficients are Jordan's, chosen to rise steeply at 0 rather than to converge; few steps leave small values small.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    x = (x if len(x) <= x.shape[1] else x.T) / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if len(matrix) <= matrix.shape[1] else x.T


@dataclass(frozen=True)
class Lookahead:
    """Another method goes ahead, and after each `every` steps the weights fall back to `share` of its way.

    Zhang et al. 2019, arXiv:1907.08610. The weights that they test, the slow ones, are the network's after every `every`-th step.
    """

    optimiser: Optimiser
    every: int = 5
    share: float = 0.5

    def __call__(self, net: nn.Module) -> torch.optim.Optimizer:
        opt = self.optimiser(net)
        opt.register_step_pre_hook(self.remember)
        opt.register_step_post_hook(self.fall_back)
        return opt

    def look(self, opt: torch.optim.Optimizer, net: nn.Module, batches: Batches | Crops, n: int) -> None:
        self.optimiser.look(opt, net, batches, n)

    def remember(self, opt: torch.optim.Optimizer, *_: object) -> None:
        for group in opt.param_groups:  # not their state: Adam takes one that is not empty for its own
            if "slow" not in group:
                group["slow"], group["ahead"] = [p.detach().clone() for p in group["params"]], 0

    @torch.no_grad()
    def fall_back(self, opt: torch.optim.Optimizer, *_: object) -> None:
        for group in opt.param_groups:
            group["ahead"] = (group["ahead"] + 1) % self.every
            if group["ahead"] == 0:
                for slow, fast in zip(group["slow"], group["params"], strict=True):
                    fast.copy_(slow.lerp_(fast, self.share))


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

    def look(self, opt: torch.optim.Optimizer, net: nn.Module, batches: Batches | Crops, n: int) -> None:
        if n % self.every == 0:
            x = torch.cat([batches[n + i][0] for i in range(-(-self.samples // batches.batch))])[: self.samples]
            for p, h in curvature(net, x).items():
                opt.state[p]["gain"] = 1 / (self.mu + h)


class TensorFlowRMSprop(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: asks for no closure
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if not state:
                    state["square"], state["way"] = torch.ones_like(p), torch.zeros_like(p)
                grad = p.grad.add(p, alpha=group["weight_decay"])
                state["square"].lerp_(grad.square(), 1 - group["alpha"])
                state["way"].mul_(group["momentum"]).addcdiv_(grad, (state["square"] + group["eps"]).sqrt_(), value=group["lr"])
                p.sub_(state["way"])


class LayerwiseAdam(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: asks for no closure
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        shorten = (nn.utils.get_total_norm(grads) / self.defaults["clip"]).clamp(min=1.0)
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                update = self.adam(p, p.grad / shorten, group["betas"], group["eps"])
                if group["weight_decay"]:
                    update.add_(p, alpha=group["weight_decay"])
                    ratio = p.norm() / update.norm()
                    update.mul_(torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0))
                p.sub_(update, alpha=group["lr"])

    def adam(self, p: Tensor, grad: Tensor, betas: tuple[float, float], eps: float) -> Tensor:
        (beta1, beta2), state = betas, self.state[p]
        if not state:
            state["count"], state["mean"], state["square"] = 0, torch.zeros_like(p), torch.zeros_like(p)
        state["count"] += 1
        mean = state["mean"].lerp_(grad, 1 - beta1)
        square = state["square"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        root = square.sqrt().div_((1 - beta2 ** state["count"]) ** 0.5).add_(eps)
        return (mean / (1 - beta1 ** state["count"])).div_(root)


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
