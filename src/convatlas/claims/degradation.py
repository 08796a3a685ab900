"""He et al. 2015, sections 1 and 4.2, figures 1 and 6: a deeper plain network learns worse, in training too; residual ones learn better.

plain-20 and plain-56, ResNet-20 and ResNet-56, trained alike. Beside them the norm of each convolution's gradient through the
depth, at the start, with and without batch norms.
"""

from collections.abc import Mapping, Sequence

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


def judged(last: Mapping[str, Sequence[float]]) -> tuple[str, str, dict[str, list[float]]]:
    """The verdict by the training errors (of each network, one a seed), a sentence, and the two margins."""
    plain, worse, (a, b) = more(last["plain56"], last["plain20"])
    residual, better, (c, d) = more(last["resnet20"], last["resnet56"])
    says = f"training error: plain-56 beside plain-20 {signed(worse, a, b)}, ResNet-56 beside ResNet-20 {signed(-better, -d, -c)}"
    margins = {"plain, deeper minus shallower": [worse, a, b], "residual, shallower minus deeper": [better, c, d]}
    return all_of(plain, residual), says, margins


def test(budget: Budget) -> Finding:
    seeds, own = (0, 1), plan(budget, PASSES, 2, decay=1e-4, points=15, watched=5_000)
    makes = {name: lambda channels, name=name: build(name, in_channels=channels) for name in NAMES}
    found = rivals("degradation", makes, own, seeds, budget)
    last = {name: [c.train_error for c in courses] for name, courses in found.items()}
    verdict, says, margins = judged(last)
    depth = {
        f"{name}{'' if normed else ', without norms'}": norms(name, normed, budget.of(2, 64)) for name in NAMES for normed in (True, False)
    }
    figures = {"training error": last, "test error": {name: [c.test_error for c in own] for name, own in found.items()}, **margins,
               "gradient norms": {name: [float(f"{v:.3e}") for v in row] for name, row in depth.items()}}  # fmt: skip
    first = {name: row[1] / row[-1] for name, row in depth.items()}
    says += (f"; at the start the gradient of plain-56's second convolution is {first['plain56']:,.1f} times its last's "
             f"({first['plain56, without norms']:,.1f} without batch norms), of ResNet-56's {first['resnet56']:,.1f}")  # fmt: skip
    series = {name: [[n, v] for n, v in enumerate(row, 1)] for name, row in depth.items()}
    deep = {"kind": "lines", "x": "convolution, from the picture on", "y": "norm of its gradient", "scale": "log", "series": series}
    return Finding(verdict, says, figures, {"panels": [curves(found), deep]}, seeds, seconds(found))


CLAIM = Claim(
    "Plain networks learn worse as they get deeper, and residual ones better.", "He et al. 2015, sections 1 and 4.2, figure 6", test
)
