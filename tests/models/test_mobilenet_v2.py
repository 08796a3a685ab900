"""Table 2 of Sandler et al. 2018, and the nets that torchvision and timm ship."""

import pytest
import torch
import torchvision
from peers import counted, difference, stated
from torch import nn

from convatlas.models import build
from convatlas.models.mobilenet_v2 import VARIANTS, Bottleneck, to_eights

COUNTS = stated("mobilenet_v2")


def bottlenecks(net: nn.Module) -> list[Bottleneck]:
    return [m for m in net.modules() if isinstance(m, Bottleneck)]


def test_every_variant_has_its_counts():
    assert COUNTS.keys() == VARIANTS.keys()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_as_stated(name):
    assert counted(name) == COUNTS[name]


def test_there_are_17_bottlenecks_not_19_and_10_of_them_are_residual():
    with torch.device("meta"):
        found = bottlenecks(build("mobilenet_v2"))
    assert [sum(b.residual for b in found), len(found)] == [10, 17]


def test_bottlenecks_are_wide_inside_and_end_without_activation():
    with torch.device("meta"):
        found = bottlenecks(build("mobilenet_v2"))
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


def test_is_torchvisions():
    assert difference(build("mobilenet_v2"), torchvision.models.mobilenet_v2()) <= 1e-5


def test_the_wider_one_is_timms():
    timm = pytest.importorskip("timm")
    assert difference(build("mobilenet_v2_140"), timm.create_model("mobilenetv2_140")) <= 1e-5
