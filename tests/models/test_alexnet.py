import pytest
import torch
import torchvision
from peers import adopted, computed, sides

from convatlas.check import analysis, measure
from convatlas.models import build
from convatlas.models.alexnet import local_response_norm


@computed("alexnet")
def test_numbers_are_those_computed_from_the_paper(figure):
    assert measure(figure) == figure["value"]


def test_maps_are_as_wide_as_drawn_on_227_pixels_only():
    assert sides("alexnet") == [55, 27, 27, 13, 13, 13, 13, 6]
    assert sides("alexnet", 224)[0] == 54


def test_two_columns_meet_in_conv3_only():
    with torch.device("meta"):
        net = build("alexnet")
    assert [layer.conv.groups for name, layer in net.features.named_children() if name.startswith("conv")] == [1, 2, 1, 2, 2]


@pytest.mark.parametrize(("lrn", "share"), [("paper", 1), ("code", 1 / 5)])
def test_local_response_norm_is_the_formula(lrn, share):
    x = 20 * torch.randn(1, 9, 2, 2)
    around = [x[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(9)]
    expected = x / (2 + share * 1e-4 * torch.stack(around, 1)) ** 0.75
    torch.testing.assert_close(local_response_norm(lrn)(x), expected)


def test_lrn_stands_behind_the_rectifiers_of_conv1_and_conv2():
    places = [x.name for x in analysis("alexnet").layers if x.kind == "LocalResponseNorm"]
    assert places == ["features.conv1.norm", "features.conv2.norm"]
    assert not [x for x in analysis("alexnet_owt").layers if x.kind == "LocalResponseNorm"]


def test_fresh_biases_are_one_where_the_paper_says():
    net = build("alexnet", num_classes=10)
    ones = {name.split(".")[1] for name, p in net.named_parameters() if name.endswith("bias") and bool((p == 1).all())}
    assert ones == {"conv2", "conv4", "conv5", "fc6", "fc7"}
    assert not net.head.fc8.bias.any()
    assert net.features.conv3.conv.weight.std().item() == pytest.approx(0.01, rel=0.01)


def test_owt_is_torchvisions_network():
    with torch.device("meta"):
        net, peer = build("alexnet_owt"), torchvision.models.alexnet()
    adopted(net, peer)
    x = torch.randn(1, 3, 67, 70)
    torch.testing.assert_close(net(x), peer(x))
