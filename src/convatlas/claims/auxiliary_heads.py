"""Szegedy et al. 2014, section 5: auxiliary classifiers bring gradients to early layers, and were thought to help; later papers doubt it.

A plain stack of 3x3 convolutions, with and without a second classifier at its middle, weighted .3 and gone at test. What reaches the
first layer is the norm of its gradient at the start, of one batch.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ..intervals import margin
from . import Claim
from .finding import Budget, Finding, all_of, more, signed
from .trial import bars, learn, plan

LAYERS, MAPS, WEIGHT = 14, 32, 0.3


class Scores(NamedTuple):
    main: Tensor
    aux: Tensor


class Deep(nn.Module):
    def __init__(self, channels: int, aux: bool):
        super().__init__()
        convs = [nn.Conv2d(channels if n == 0 else MAPS, MAPS, 3, 2 if n in (2, 7) else 1, 1) for n in range(LAYERS)]
        self.first = nn.Sequential(*(layer for conv in convs[: LAYERS // 2] for layer in (conv, nn.ReLU())))
        self.second = nn.Sequential(*(layer for conv in convs[LAYERS // 2 :] for layer in (conv, nn.ReLU())))
        for conv in convs:
            nn.init.kaiming_normal_(conv.weight)
        self.head = head()
        self.aux = head() if aux else None  # last: with it or without, the rest begins with the same weights

    def forward(self, x: Tensor) -> Tensor | Scores:
        middle = self.first(x)
        main = self.head(self.second(middle))
        return Scores(main, self.aux(middle)) if self.aux is not None and self.training else main


def head() -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(MAPS, 10))


@dataclass(frozen=True)
class Loss:
    """Cross-entropy, and WEIGHT times the second classifier's."""

    def __call__(self, scores: Tensor | Scores, target: Tensor) -> Tensor:
        if isinstance(scores, Scores):
            return cross_entropy(scores.main, target) + WEIGHT * cross_entropy(scores.aux, target)
        return cross_entropy(scores, target)


def reaching(aux: bool, seed: int) -> float:
    torch.manual_seed(seed)
    net = Deep(3, aux)
    torch.manual_seed(1000 + seed)
    x, y = torch.randn(64, 3, 32, 32), torch.randint(10, (64,))
    Loss()(net(x), y).backward()
    return float(next(p.grad.norm() for p in net.first.parameters() if p.grad is not None))


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2, 3)), plan(budget, 8, 10, rate=0.02)
    names = {"without": False, "with": True}
    norms = {name: [reaching(aux, seed) for seed in range(5)] for name, aux in names.items()}
    courses = {
        name: [learn(f"auxiliary_heads-{name}", lambda channels, aux=aux: Deep(channels, aux), own, seed, budget, Loss()) for seed in seeds]
        for name, aux in names.items()
    }
    errors = {name: [c.test_error for c in own] for name, own in courses.items()}
    gradient, times, (low, high) = more([b / a for a, b in zip(norms["without"], norms["with"], strict=True)], [1.0] * 5, margin)
    verdict, middle, (a, b) = more(errors["without"], errors["with"])
    figures = {"gradient norms": norms, "errors": errors, "gain": [middle, a, b]}
    says = (f"the first layer's gradient is {times + 1:.2f} times as large ({low + 1:.2f} to {high + 1:.2f}); "
            f"the test error changes by {signed(-middle, -b, -a)}")  # fmt: skip
    return Finding(all_of(gradient, verdict), says, figures, bars(errors), seeds, sum(c.seconds for own in courses.values() for c in own))


CLAIM = Claim("Auxiliary classifiers bring more gradient to early layers, and lower the error.", "Szegedy et al. 2014, section 5", test)
