"""He et al. 2015, sections 1 and 4.2, figures 1 and 6: a deeper plain network learns worse, in training too; residual ones learn better.

plain-20 and plain-56, ResNet-20 and ResNet-56, trained alike. Beside them the norm of each convolution's gradient through the
depth, at the start, with and without batch norms.
"""

from statistics import mean

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ..models import build
from . import Claim
from .finding import Budget, Finding, all_of, more, signed
from .trial import curves, plan, rivals, seconds

NAMES = ("plain20", "plain56", "resnet20", "resnet56")
PASSES = 15


def norms(name: str, normed: bool, batch: int) -> list[float]:
    """Of each convolution's gradient, from the picture on, for one batch of noise."""
    torch.manual_seed(0)
    net = build(name).train()
    if not normed:
        for path, layer in list(net.named_modules()):
            if isinstance(layer, nn.BatchNorm2d):
                net.set_submodule(path, nn.Identity())
    cross_entropy(net(torch.randn(batch, 3, 32, 32)), torch.arange(batch) % 10).backward()
    return [float(m.weight.grad.norm()) for m in net.modules() if isinstance(m, nn.Conv2d) and m.weight.grad is not None]


def test(budget: Budget) -> Finding:
    seeds, own = (0, 1), plan(budget, PASSES, 2, decay=1e-4, points=15, watched=5_000)
    makes = {name: lambda channels, name=name: build(name, in_channels=channels) for name in NAMES}
    found = rivals("degradation", makes, own, seeds, budget)
    # A run's training error at its end is noisy: the mean of its last fifth.
    last = {name: [mean(a for _, a, _ in c.curve[-max(1, len(c.curve) // 5) :]) for c in courses] for name, courses in found.items()}
    plain, worse, (a, b) = more(last["plain56"], last["plain20"])
    residual, better, (c, d) = more(last["resnet20"], last["resnet56"])
    depth = {
        f"{name}{'' if normed else ' without norms'}": norms(name, normed, budget.of(8, 64)) for name in NAMES for normed in (True, False)
    }
    figures = {"training error": last, "test error": {name: [c.test_error for c in own] for name, own in found.items()},
               "plain, deeper minus shallower": [worse, a, b], "residual, shallower minus deeper": [better, c, d],
               "gradient norms": {name: [float(f"{v:.3e}") for v in row] for name, row in depth.items()}}  # fmt: skip
    says = (f"training error: plain-56 beside plain-20 {signed(worse, a, b)}, "
            f"ResNet-56 beside ResNet-20 {signed(-better, -d, -c)}")  # fmt: skip
    return Finding(all_of(plain, residual), says, figures, curves(found), seeds, seconds(found))


CLAIM = Claim(
    "Plain networks learn worse as they get deeper, and residual ones better.", "He et al. 2015, sections 1 and 4.2, figure 6", test
)
