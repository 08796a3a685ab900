"""The units of He et al. 2016: what stands before the weights, what is shared, and that nothing follows the sum."""

import pytest
import torch
from networks import parts, shell
from torch import nn

from convatlas.models import build
from convatlas.models.preresnet import Unit
from convatlas.models.resnet import Pad


def test_200_layers_are_152_and_16_more_units_in_conv3_x():
    net, resnet152 = shell("preresnet200"), shell("resnet152")
    more = [len(a) - len(b) for a, b in zip(net.features[2:6], resnet152.features[2:6], strict=True)]
    assert more == [0, 16, 0, 0]


def test_nothing_but_sums_is_passed_on():
    net = build("preresnet164").eval()
    stage = net.features.conv2_x
    x = net.features.conv1(torch.randn(1, 3, 16, 16))
    with torch.no_grad():
        for unit in stage[1:]:
            unit.f[-1].weight.zero_()  # then a unit adds nothing
    torch.testing.assert_close(stage(x), stage[0](x), rtol=0, atol=0)


def test_a_projection_shares_its_units_activation_and_padding_does_not():
    x = torch.randn(1, 64, 8, 8)
    for name, kind in (("preresnet164", nn.Conv2d), ("preresnet110", Pad)):
        unit = build(name).features.conv3_x[0].eval()
        assert isinstance(unit.shortcut, kind)
        x = torch.randn(1, unit.act.bn.num_features, 8, 8)
        read = unit.act(x) if kind is nn.Conv2d else x
        assert torch.equal(unit(x), unit.f(unit.act(x)) + unit.shortcut(read))


@pytest.mark.parametrize("name", ["preresnet110", "preresnet164", "preresnet200"])
def test_the_first_activation_stands_in_conv1_and_the_last_after_the_last_sum(name):
    net, units = shell(name), parts(name, Unit)
    assert [isinstance(unit.act, nn.Identity) for unit in units] == [True] + [False] * (len(units) - 1)
    assert isinstance(net.features.conv1.act, nn.ReLU)
    assert isinstance(net.features[-1].relu, nn.ReLU)
