"""Table 1 of Tan & Le 2019 and its enlargements."""

import pytest
import torch
from networks import averaged, numbers, parts, shell
from torch import nn

from convatlas.check import analysis, published
from convatlas.models import build
from convatlas.models.efficientnet import VARIANTS, MBConv, enlarged
from convatlas.models.net import StochasticDepth

LITE = [name for name in VARIANTS if "lite" in name]


PRINTED = [f for f in published()["efficientnet"] if f["quantity"] == "macs" and f["trust"] == "read"]
UNKNOWN = {"efficientnet_b4", "efficientnet_b5", "efficientnet_b7", "efficientnet_lite0"}  # no rule gives what is printed


def profiled(name: str) -> float:
    """Multiply-adds as the authors count: half the operations that TensorFlow's profiler knows (its flops_registry.py).

    B0 to B7 as they answer: a product for each output of swish and of a gate, what pools read, a sum for each skip; a fused norm is
    not known to it. Lite networks as they train: a norm is two means, a squared difference (2), a product and a sum for each output,
    and a skip a quotient, a product and a sum.
    """
    cost = analysis(name)
    if "lite" in name:
        return cost.macs + (6 * numbers(cost, "BatchNorm2d") + 3 * numbers(cost, "StochasticDepth")) / 2
    *gates, head = averaged(cost)
    return cost.macs + (numbers(cost, "SiLU", "StochasticDepth") + 2 * sum(gates) + head) / 2


def test_enlarging_rounds_widths_to_eights_and_depths_up():
    assert [row.depth for row in enlarged(VARIANTS["efficientnet_b1"])] == [2, 3, 3, 4, 4, 5, 2]
    assert [row.width for row in enlarged(VARIANTS["efficientnet_b3"])] == [24, 32, 48, 96, 136, 232, 384]
    assert [row.depth for row in enlarged(VARIANTS["efficientnet_b7"])] == [4, 7, 7, 10, 10, 13, 4]
    assert [row.depth for row in enlarged(VARIANTS["efficientnet_lite4"])] == [1, 4, 4, 6, 6, 8, 1]


def test_gates_squeeze_to_a_quarter_of_what_comes_in():
    for block in parts("efficientnet_b0", MBConv):
        first = next(m for m in block.f.modules() if isinstance(m, nn.Conv2d))
        assert block.f.se.gate[1].out_channels == first.in_channels // 4


@pytest.mark.parametrize("name", LITE)
def test_lite_has_no_gates_no_swish_and_a_fixed_stem_and_head(name):
    net = shell(name)
    kinds = {type(m) for m in net.modules()}
    assert not kinds & {nn.SiLU, nn.Sigmoid}
    assert nn.ReLU6 in kinds
    assert (net.features.stage1.conv.out_channels, net.features.stage9.conv.out_channels) == (32, 1280)


def test_later_blocks_are_skipped_more_often():
    blocks = parts("efficientnet_b0", MBConv)
    chances = {i: m.p for i, block in enumerate(blocks) for m in block.modules() if isinstance(m, StochasticDepth)}
    assert chances == pytest.approx({i: 0.2 * i / 16 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)})


def test_a_skipped_block_leaves_x():
    block = build("efficientnet_lite0").features.stage7[3]
    block.f.skip.p = 0.5
    x = torch.randn(16, 192, 2, 2)
    alone = [torch.equal(before, after) for before, after in zip(x, block(x), strict=True)]
    assert 0 < sum(alone) < 16
    y = block.eval()(x)
    assert not any(torch.equal(before, after) for before, after in zip(x, y, strict=True))


@pytest.mark.parametrize(("name", "eps"), [("efficientnet_b0", 1e-5), ("efficientnet_b5", 1e-3), ("efficientnet_lite4", 1e-3)])
def test_norms_forget_a_hundredth(name, eps):
    assert {(norm.eps, norm.momentum) for norm in parts(name, nn.BatchNorm2d)} == {(eps, 1e-2)}
