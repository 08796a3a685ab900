"""Tables 1 and 6 of He et al. 2015, the shortcuts of Section 4.1, and stochastic depth."""

import pytest
import torch
import torchvision
from networks import counted, parts, shell
from torch import nn

from convatlas.models import build
from convatlas.models.net import ConvBN, StochasticDepth
from convatlas.models.resnet import Pad, Residual
from convatlas.weights import adopt


@pytest.mark.parametrize(
    ("name", "option", "parameters", "macs"),
    [
        ("resnet18", "A", 11_515_688, 1_794_805_760),
        ("resnet18", "C", 12_043_816, 1_878_298_624),
        ("resnet34", "A", 21_623_848, 3_644_493_824),
        ("resnet34", "C", 22_716_840, 3_830_747_136),
        ("resnet20", "B", 272_474, 40_813_184),
        ("resnet56", "B", 855_770, 125_747_840),
        ("resnet110", "B", 1_730_714, 253_149_824),
    ],
)
def test_counts_with_other_shortcuts(name, option, parameters, macs):
    assert counted(name, shortcut=option) == (parameters, macs)


@pytest.mark.parametrize(("option", "pads", "projections", "identities"), [("A", 3, 0, 13), ("B", 0, 3, 13), ("C", 0, 16, 0)])
def test_the_three_options_of_a_shortcut(option, pads, projections, identities):
    kinds = [type(layer.shortcut) for layer in parts("resnet34", Residual, shortcut=option)]
    assert [kinds.count(kind) for kind in (Pad, ConvBN, nn.Identity)] == [pads, projections, identities]


@pytest.mark.parametrize(("plain", "residual"), [("plain18", "resnet18"), ("plain34", "resnet34"), ("plain20", "resnet20")])
def test_a_plain_net_has_exactly_the_weights_of_the_residual_one_with_option_a(plain, residual):
    plain_net, residual_net = shell(plain), shell(residual, shortcut="A")
    assert not parts(plain, Residual)
    assert {k: t.shape for k, t in plain_net.state_dict().items()} == {k: t.shape for k, t in residual_net.state_dict().items()}


def test_zero_padding_keeps_every_second_pixel_and_adds_empty_maps():
    x = torch.randn(2, 16, 9, 9)
    y = Pad(16, 32, stride=2)(x)
    assert y.shape == (2, 32, 5, 5)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


@pytest.mark.parametrize(("name", "strides"), [("resnet50", [2, 1, 1]), ("resnet50_v1_5", [1, 2, 1])])
def test_which_layer_of_a_bottleneck_halves_the_map(name, strides):
    net = shell(name)
    for stage in (net.features.conv3_x, net.features.conv4_x, net.features.conv5_x):
        assert [layer.conv.stride[0] for layer in stage[0].f] == strides


@torch.no_grad()
def test_the_published_form_is_torchvisions_with_the_strides_moved():
    net, peer = build("resnet50").eval(), torchvision.models.resnet50().eval()
    adopt(net, peer.state_dict())
    x = torch.randn(1, 3, 64, 64)
    assert (net(x) - peer(x)).abs().max() > 1e-2 * peer(x).abs().max()
    for layer in peer.modules():
        if isinstance(layer, torchvision.models.resnet.Bottleneck) and layer.stride == 2:
            layer.conv1.stride, layer.conv2.stride = (2, 2), (1, 1)
    assert (net(x) - peer(x)).abs().max() <= 1e-5 * peer(x).abs().max()


def test_chance_of_a_skip_grows_with_depth():
    chances = [layer.p for layer in parts("resnet110", StochasticDepth, drop_path=0.5)]
    assert chances == pytest.approx([0.5 * block / 54 for block in range(1, 55)])
    assert not parts("resnet110", StochasticDepth)


def test_a_skipped_block_leaves_its_shortcut():
    block = build("resnet20", drop_path=0.5).features.conv3_x[0].train()
    block.f[-1].p = 1 - 1e-12
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(block(x), block.shortcut(x).relu())


def test_stochastic_depth_is_for_training_only():
    net, sure = build("resnet20", drop_path=0.5), build("resnet20")
    sure.load_state_dict(net.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(net.eval()(x), sure.eval()(x))
