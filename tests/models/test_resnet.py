"""Tables 1 and 6 of He et al. 2015, the shortcuts of Section 4.1, and stochastic depth."""

from math import sqrt

import pytest
import torch
import torchvision
from peers import counted, difference, stated
from torch import nn

from convatlas.models import build
from convatlas.models.net import ConvBN, StochasticDepth
from convatlas.models.resnet import VARIANTS, Pad, Residual

COUNTS = stated("resnet")


def test_every_variant_has_its_counts():
    assert COUNTS.keys() == VARIANTS.keys()


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name == "resnet1202" else name for name in COUNTS])
def test_counts_are_the_papers(name):
    assert counted(name) == COUNTS[name]


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
    counts = counted(name, shortcut=option)
    assert (counts["parameters"], counts["macs"]) == (parameters, macs)


def of(net: nn.Module, kind: type) -> list:
    return [layer for layer in net.modules() if isinstance(layer, kind)]


@pytest.mark.parametrize(("option", "pads", "projections", "identities"), [("A", 3, 0, 13), ("B", 0, 3, 13), ("C", 0, 16, 0)])
def test_the_three_options_of_a_shortcut(option, pads, projections, identities):
    kinds = [type(layer.shortcut) for layer in of(build("resnet34", shortcut=option), Residual)]
    assert [kinds.count(kind) for kind in (Pad, ConvBN, nn.Identity)] == [pads, projections, identities]


@pytest.mark.parametrize(("plain", "residual"), [("plain18", "resnet18"), ("plain34", "resnet34"), ("plain20", "resnet20")])
def test_a_plain_net_has_exactly_the_weights_of_the_residual_one_with_option_a(plain, residual):
    with torch.device("meta"):
        plain_net, residual_net = build(plain), build(residual, shortcut="A")
    assert not of(plain_net, Residual)
    assert {k: t.shape for k, t in plain_net.state_dict().items()} == {k: t.shape for k, t in residual_net.state_dict().items()}


def test_zero_padding_keeps_every_second_pixel_and_adds_empty_maps():
    x = torch.randn(2, 16, 9, 9)
    y = Pad(16, 32, stride=2)(x)
    assert y.shape == (2, 32, 5, 5)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()


@pytest.mark.parametrize(("name", "strides"), [("resnet50", [2, 1, 1]), ("resnet50_v1_5", [1, 2, 1])])
def test_which_layer_of_a_bottleneck_halves_the_map(name, strides):
    with torch.device("meta"):
        net = build(name)
    for stage in (net.features.conv3_x, net.features.conv4_x, net.features.conv5_x):
        assert [layer.conv.stride[0] for layer in stage[0].f] == strides


@pytest.mark.parametrize(("name", "peer"), [("resnet18", "resnet18"), ("resnet50_v1_5", "resnet50")])
def test_is_torchvisions_where_torchvision_ships_it(name, peer):
    assert difference(build(name), getattr(torchvision.models, peer)()) <= 1e-5


def test_the_published_form_is_torchvisions_with_the_strides_moved():
    peer = torchvision.models.resnet50()
    for layer in peer.modules():
        if isinstance(layer, torchvision.models.resnet.Bottleneck) and layer.stride == 2:
            layer.conv1.stride, layer.conv2.stride = (2, 2), (1, 1)
    assert difference(build("resnet50"), peer) <= 1e-5


def test_chance_of_a_skip_grows_with_depth():
    chances = [layer.p for layer in of(build("resnet110", drop_path=0.5), StochasticDepth)]
    assert chances == pytest.approx([0.5 * block / 54 for block in range(1, 55)])
    assert not of(build("resnet110"), StochasticDepth)


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


def test_weights_start_as_he_et_al_2015_draw_them():
    net = build("resnet18")
    for layer in of(net, nn.Conv2d):
        expected = sqrt(2 / (layer.kernel_size[0] ** 2 * layer.out_channels))
        assert layer.weight.std().item() == pytest.approx(expected, rel=0.05)
    assert not net.head.output.bias.any()
