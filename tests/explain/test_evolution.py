from copy import deepcopy

import torch
from torch import nn

from convatlas.explain.evolution import evolution


def test_each_state_has_its_own_favourite():
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU())
    states = []
    for colour in (0, 2):
        net[0].weight.data.zero_()
        net[0].weight.data[:, colour] = 1.0
        states.append(deepcopy(net.state_dict()))
    x = torch.zeros(5, 3, 4, 4)
    x[1, 0, 2, 3], x[4, 2, 0, 1] = 2.0, 3.0
    found = evolution(net, states, x.split(2), "1", [1])
    assert [(best.picture, best.value, best.place) for best in found[1]] == [(1, 2.0, (2, 3)), (4, 3.0, (0, 1))]
    assert net[0].weight[0, 2].item() == 1.0
