"""Tables 1 and 2 of Howard et al. 2019, and the nets that torchvision ships."""

import pytest
import torch
import torchvision
from peers import counted, difference, stated
from torch import nn

from convatlas.models import build
from convatlas.models.mobilenet_v3 import VARIANTS, Bneck
from convatlas.models.net import SqueezeExcite

COUNTS = stated("mobilenet_v3")


def test_every_variant_has_its_counts():
    assert COUNTS.keys() == VARIANTS.keys()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_as_stated(name):
    counts = counted(name)
    assert {quantity: counts[quantity] for quantity in COUNTS[name]} == COUNTS[name]


@pytest.mark.parametrize(("name", "blocks", "gates", "residual"), [("mobilenet_v3_large", 15, 8, 10), ("mobilenet_v3_small", 11, 9, 6)])
def test_gates_and_shortcuts_stand_where_the_table_says(name, blocks, gates, residual):
    with torch.device("meta"):
        found = [m for m in build(name).features if isinstance(m, Bneck)]
    assert len(found) == blocks
    assert sum(hasattr(b.f, "se") for b in found) == gates
    assert sum(b.residual for b in found) == residual


def test_gates_are_hard_and_a_quarter_as_wide():
    with torch.device("meta"):
        gates = [m.gate for m in build("mobilenet_v3_large").modules() if isinstance(m, SqueezeExcite)]
    assert {type(gate[-1]) for gate in gates} == {nn.Hardsigmoid}
    assert [gate[1].out_channels for gate in gates] == [24, 32, 32, 120, 168, 168, 240, 240]


@pytest.mark.parametrize("name", VARIANTS)
def test_after_the_first_layer_only_the_second_half_has_swish(name):
    with torch.device("meta"):
        acts = [block.f.depthwise.act for block in build(name).features if isinstance(block, Bneck)]
    relus = sum(isinstance(act, nn.ReLU) for act in acts)
    assert relus == {"mobilenet_v3_large": 6, "mobilenet_v3_small": 3}[name]
    assert all(isinstance(act, nn.Hardswish) for act in acts[relus:])


def test_norms_forget_a_hundredth():
    with torch.device("meta"):
        norms = [m for m in build("mobilenet_v3_small").modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 1e-2)}


@pytest.mark.parametrize("name", VARIANTS)
def test_is_torchvisions(name):
    assert difference(build(name), torchvision.models.get_model(name)) <= 1e-5
