import torch
from torch import nn

from convatlas.explain.receptive import effective, receptive


def test_a_stack_of_two_3x3_sees_5x5_and_its_middle_most():
    net = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.Conv2d(1, 1, 3, padding=1, bias=False))
    for conv in net:
        conv.weight.data.fill_(1.0)
    found = receptive(net, "1", torch.randn(2, 1, 15, 15))
    assert found.shape == (15, 15)
    rows = (found > 0).any(1).nonzero()[:, 0]
    assert rows.tolist() == [5, 6, 7, 8, 9]
    assert torch.equal(found[7, 5:10] * 9, torch.tensor([3.0, 6.0, 9.0, 6.0, 3.0]))
    assert effective(found) == 5.0
    assert effective(found, least=0.5) < 5.0
