import pytest
import torch
from torch import nn

from convatlas.explain.deconvnet import deconvnet
from convatlas.explain.guided import guided
from convatlas.explain.patches import projection, strongest
from convatlas.explain.what import Unit
from convatlas.mistake import Mistake


def test_the_best_of_all_batches_each_with_what_it_depends_on():
    net = nn.Sequential(nn.Conv2d(3, 2, 3, stride=2, bias=False), nn.ReLU())  # no switches: by guided backpropagation
    net[0].weight.data.zero_()
    net[0].weight.data[0, 0] = 1.0  # map 0 adds up red
    net[0].weight.data[1, 1] = -1.0  # map 1 is off for what is green
    x = torch.zeros(20, 3, 11, 11)
    for i in range(20):
        x[i, 0, 4, 6] = float((7 * i) % 20)
    found = strongest(net, x.split(6), "1", [0, 1], best=3)
    assert [(patch.picture, patch.value) for patch in found[0]] == [(17, 19.0), (14, 18.0), (11, 17.0)]
    best = found[0][0]
    top, left, bottom, right = best.box
    assert top <= 4 < bottom
    assert left <= 6 < right
    assert best.pixels.shape == best.projection.shape == (3, 3, 3)
    assert torch.equal(best.projection, net[0].weight[0].detach())
    assert all(patch.value == 0 for patch in found[1])
    assert len({patch.picture for patch in found[1]}) == 3


def test_what_a_layer_does_not_have_is_a_mistake():
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten())
    with pytest.raises(Mistake, match="0 gives 2 maps, counted from 0; there is no map 2"):
        strongest(net, [torch.zeros(1, 3, 8, 8)], "0", [0, 2])
    with pytest.raises(Mistake, match=r"1 gives no maps, but values \(72,\)"):
        strongest(net, [torch.zeros(1, 3, 8, 8)], "1", [0])


def test_a_projection_is_the_deconvnet_where_pools_switch():
    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 2, 3), nn.ReLU()), torch.randn(1, 1, 16, 16)
    unit = Unit("4", 1)
    assert torch.equal(projection(net, x, unit), deconvnet(net, x, unit))
    assert not torch.equal(projection(net, x, unit), guided(net, x, unit))
