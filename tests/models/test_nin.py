import pytest
import torch
from peers import computed, sides

from convatlas.check import analysis, measure
from convatlas.models import build


@computed("nin")
def test_numbers_are_those_computed_from_the_authors_files(figure):
    assert measure(figure) == figure["value"]


def test_maps_are_as_wide_as_the_last_pools_of_the_authors_files():
    assert sides("nin")[-1] == 6
    assert sides("nin_cifar10")[-1] == 8


@pytest.mark.parametrize("model", ["nin", "nin_cifar10"])
def test_every_layer_is_a_convolution(model):
    assert not [x for x in analysis(model).layers if x.kind == "Linear"]


def test_a_score_is_the_mean_of_one_rectified_map():
    net = build("nin_cifar10").eval()
    x = torch.randn(2, 3, 32, 32)
    maps = net.head[:2](net.features(x))
    assert maps.shape == (2, 10, 8, 8)
    assert maps.min() >= 0
    torch.testing.assert_close(net(x), maps.mean((2, 3)))


def test_fresh_weights_are_as_wide_as_in_the_authors_file():
    weights = [p for p in build("nin_cifar10").parameters() if p.dim() > 1]
    assert [w.std().item() for w in weights] == pytest.approx([0.05] * 9, rel=0.05)
