import pytest
import torch
import torchvision
from peers import adopted, computed, sides

from convatlas.check import analysis, measure
from convatlas.models import build


@computed("squeezenet")
def test_numbers_are_those_computed_from_the_paper(figure):
    assert measure(figure) == figure["value"]


def test_maps_are_as_wide_as_in_table_1_on_227_pixels():
    assert sides("squeezenet1_0") == [111, 55, 55, 55, 55, 27, 27, 27, 27, 27, 13, 13]
    assert sides("squeezenet1_0", 224)[0] == 109


def test_every_layer_is_a_convolution():
    assert not [x for x in analysis("squeezenet1_0").layers if x.kind == "Linear"]


@pytest.mark.parametrize("model", ["squeezenet1_0", "squeezenet1_1"])
def test_is_torchvisions_network(model):
    with torch.device("meta"):
        net, peer = build(model), getattr(torchvision.models, model)()
    adopted(net, peer)
    x = torch.randn(1, 3, 48, 60)
    torch.testing.assert_close(net(x), peer(x))


def test_fresh_weights_are_the_authors():
    net = build("squeezenet1_0")
    assert net.head.conv10.conv.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert net.features.fire9.expand3x3.conv.weight.var().item() == pytest.approx(1 / (64 * 9), rel=0.02)
    assert not any(p.any() for p in net.parameters() if p.dim() == 1)
