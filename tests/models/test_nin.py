import pytest
import torch
from networks import sides

from convatlas.check import analysis
from convatlas.models import build


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
