"""Tables 1 and 2 of Howard et al. 2019."""

import pytest
from networks import parts
from torch import nn

from convatlas.models.mobilenet_v3 import VARIANTS, Bneck
from convatlas.models.net import SqueezeExcite


@pytest.mark.parametrize(("name", "blocks", "gates", "residual"), [("mobilenet_v3_large", 15, 8, 10), ("mobilenet_v3_small", 11, 9, 6)])
def test_gates_and_shortcuts_stand_where_the_table_says(name, blocks, gates, residual):
    found = parts(name, Bneck)
    assert len(found) == blocks
    assert sum(hasattr(b.f, "se") for b in found) == gates
    assert sum(b.residual for b in found) == residual


def test_gates_are_hard_and_a_quarter_as_wide():
    gates = [m.gate for m in parts("mobilenet_v3_large", SqueezeExcite)]
    assert {type(gate[-1]) for gate in gates} == {nn.Hardsigmoid}
    assert [gate[1].out_channels for gate in gates] == [24, 32, 32, 120, 168, 168, 240, 240]


@pytest.mark.parametrize("name", VARIANTS)
def test_after_the_first_layer_only_the_second_half_has_swish(name):
    acts = [block.f.depthwise.act for block in parts(name, Bneck)]
    relus = sum(isinstance(act, nn.ReLU) for act in acts)
    assert relus == {"mobilenet_v3_large": 6, "mobilenet_v3_small": 3}[name]
    assert all(isinstance(act, nn.Hardswish) for act in acts[relus:])


def test_norms_forget_a_hundredth():
    assert {(norm.eps, norm.momentum) for norm in parts("mobilenet_v3_small", nn.BatchNorm2d)} == {(1e-3, 1e-2)}
