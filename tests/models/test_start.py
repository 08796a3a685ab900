"""Fresh weights are drawn as each paper, or its authors' code, says: a table of every family's tensors, by what they are called.

A law turns the values of a tensor into numbers that must lie evenly between 0 and 1 if it is the law they were drawn by.
"""

import re
from collections.abc import Callable
from math import sqrt

import pytest
import torch
from torch import Tensor
from torch.special import ndtr

from convatlas.models import FAMILIES, MODELS, build
from convatlas.models.lenet import TABLE_I

Law = Callable[[Tensor], Tensor]
Deviation = float | Callable[[Tensor], float | Tensor]


def normal(std: Deviation) -> Law:
    return lambda p: ndtr(p / (std(p) if callable(std) else std))


def uniform(std: Deviation) -> Law:
    """From -sqrt(3) to sqrt(3) deviations."""
    return lambda p: (p / (sqrt(3) * (std(p) if callable(std) else std)) + 1) / 2


def cut(std: float) -> Law:
    """Normal, and drawn again beyond two deviations."""
    low, high = ndtr(torch.tensor([-2.0, 2.0]))
    return lambda p: (ndtr(p / std) - low) / (high - low)


def fan_in(p: Tensor) -> int:
    return p[0].numel()


def fan_out(p: Tensor) -> int:
    return p[:, 0].numel()


LECUN = uniform(lambda p: fan_in(p) ** -0.5)  # variance 1 / fan-in; Caffe calls it Xavier
TORCH = uniform(lambda p: (3 * fan_in(p)) ** -0.5)  # +-1 / sqrt(fan-in), which is what PyTorch's layers begin with
GLOROT = uniform(lambda p: sqrt(2 / (fan_in(p) + fan_out(p))))
HE = normal(lambda p: sqrt(2 / fan_out(p)))  # a grouped convolution's fan-out counts all groups

NORM = {r"bn\.weight": 1}
RESIDUAL = {**NORM, r"bias": 0, r"output\.weight": TORCH, r"weight": HE}
MOBILE = {**NORM, r"bias": 0, r"weight": cut(0.09)}

MAPS = torch.tensor([25.0 * len(maps) for maps in TABLE_I])  # inputs of each map of C3
PAIRS = torch.tensor([25.0 * len(maps) for maps in TABLE_I for _ in maps])

# The first row whose pattern is found in a tensor's name is its row. A number: all values are that.
START: dict[str, dict[str, Law | int | float]] = {
    "lenet5": {
        r"coefficient": 8**-0.5,
        r"S[24].*bias": uniform(4**-0.5),
        r"C3.*weight": uniform(PAIRS.view(-1, 1, 1).rsqrt()),
        r"C3.*bias": uniform(MAPS.rsqrt()),
        r"weight": LECUN,
        r"C1.*bias": uniform(25**-0.5),
        r"C5.*bias": uniform(400**-0.5),
        r"F6.*bias": uniform(120**-0.5),
    },
    "lenet5_modern": {
        r"weight": TORCH,
        r"C1.*bias": uniform((3 * 25) ** -0.5),
        r"C3.*bias": uniform((3 * 150) ** -0.5),
        r"C5.*bias": uniform((3 * 400) ** -0.5),
        r"F6.*bias": uniform((3 * 120) ** -0.5),
        r"output.*bias": uniform((3 * 84) ** -0.5),
    },
    "alexnet": {r"weight": normal(0.01), r"(conv[245]|fc[67])\..*bias": 1, r"bias": 0},
    "zfnet": {r"weight": normal(0.01), r"bias": 0},
    "nin": {r"mlpconv[13]\.conv\.weight|head\.cccp\.weight": normal(0.01), r"weight": normal(0.05), r"bias": 0},
    "nin_cifar10": {r"weight": normal(0.05), r"bias": 0},
    "vgg11": {r"weight": GLOROT, r"bias": 0},
    "googlenet": {r"weight": LECUN, r"output\.bias": 0, r"bias": 0.2},
    "resnet18": RESIDUAL,
    "preresnet164": RESIDUAL,
    "wide_resnet40_4": RESIDUAL,
    "resnext50_32x4d": RESIDUAL,
    "densenet_40_12": RESIDUAL,
    "se_resnet18": RESIDUAL,
    "squeezenet1_1": {r"conv10.*weight": normal(0.01), r"weight": LECUN, r"bias": 0},
    "xception": {**NORM, r"weight": GLOROT, r"bias": 0},
    "mobilenet_v1_025": MOBILE,
    "mobilenet_v2": MOBILE,
    "mobilenet_v3_small": MOBILE,
    "efficientnet_b0": {
        **NORM,
        r"bias": 0,
        r"output\.weight": uniform((3 * 1000) ** -0.5),
        r"depthwise.*weight": normal(lambda p: sqrt(2 / p[0, 0].numel())),  # its fan-out counts its own map alone
        r"weight": HE,
    },
    "speedrun_mnist": {  # filters beyond the identities, where there are any
        r"output\.weight": normal(1 / 64),
        r"block2\.conv1|block3\.conv1": lambda p: TORCH(p[p.shape[1] :]),
        r"conv\d\.weight": lambda p: (p == torch.nn.init.dirac_(torch.empty_like(p))).float() * torch.rand(p.shape),
        r"bias": 0,
    },
}


def test_every_family_has_its_row():
    assert {MODELS[name][0] for name in START} == set(FAMILIES)


def unevenness(u: Tensor) -> float:
    """Kolmogorov's distance from evenly spread, times the root of the number of values: by chance above 2.5 once in 100,000 times."""
    assert u.min() >= -1e-6
    assert u.max() <= 1 + 1e-6
    u = u.sort().values
    even = (torch.arange(len(u)) + 0.5) / len(u)
    return float((u - even).abs().max()) * sqrt(len(u))


@pytest.mark.parametrize("name", START)
@torch.no_grad()
def test_fresh_weights_are_drawn_as_the_table_says(name):
    found: dict[str, list[Tensor]] = {pattern: [] for pattern in START[name]}
    draws = 50 if name.startswith("lenet") else 1  # a single one has too few biases to tell laws apart
    for key, p in (item for _ in range(draws) for item in build(name).named_parameters()):
        pattern = next(pattern for pattern in START[name] if re.search(pattern, key))
        law = START[name][pattern]
        if callable(law):
            u = law(p).flatten()
            found[pattern].append(u[:: max(1, len(u) // 100_000)])
        else:
            assert bool((p == law).all()), key
            found[pattern].append(p)
    for pattern, tensors in found.items():
        assert tensors, f"nothing is called {pattern}"
        if callable(START[name][pattern]):
            few = [u for u in tensors if len(u) < 1000]
            for u in [u for u in tensors if len(u) >= 1000] + ([torch.cat(few)] if few else []):
                assert unevenness(u) < 2.5, (pattern, len(u))
