"""The bottlenecks of Sandler et al. 2018, Tables 1 and 2."""

import pytest
import torch
from networks import parts
from torch import nn

from convatlas.models import build
from convatlas.models.mobilenet_v2 import Bottleneck, to_eights


def test_there_are_17_bottlenecks_not_19_and_10_of_them_are_residual():
    found = parts("mobilenet_v2", Bottleneck)
    assert [sum(b.residual for b in found), len(found)] == [10, 17]


def test_bottlenecks_are_wide_inside_and_end_without_activation():
    found = parts("mobilenet_v2", Bottleneck)
    for block in found[1:]:
        expand, depthwise, project = block.f
        assert expand.conv.out_channels == depthwise.conv.groups == 6 * expand.conv.in_channels
        assert isinstance(depthwise.act, nn.ReLU6)
        assert not hasattr(project, "act")
    assert len(found[0].f) == 2


def test_a_silenced_branch_leaves_x():
    block = build("mobilenet_v2").features.bottleneck3[1].eval()
    nn.init.zeros_(block.f.project.bn.weight)
    x = torch.randn(1, 24, 8, 8)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize(("width", "rounded"), [(3, 8), (19.2, 24), (22.4, 24), (17.6, 16), (44.8, 48), (36, 40), (320, 320)])
def test_widths_go_to_eights_but_never_a_tenth_down(width, rounded):
    assert to_eights(width) == rounded
