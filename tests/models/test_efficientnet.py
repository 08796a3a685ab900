"""Table 1 of Tan & Le 2019 and its enlargements."""

import pytest
import torch
from networks import parts, shell
from torch import nn

from convatlas.models import build
from convatlas.models.efficientnet import VARIANTS, MBConv, enlarged
from convatlas.models.net import StochasticDepth

LITE = [name for name in VARIANTS if "lite" in name]


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


@pytest.mark.parametrize(("name", "eps"), [("efficientnet_b0", 1e-5), ("efficientnet_b5", 1e-3), ("efficientnet_lite4", 1e-5)])
def test_norms_forget_a_hundredth(name, eps):
    assert {(norm.eps, norm.momentum) for norm in parts(name, nn.BatchNorm2d)} == {(eps, 1e-2)}
