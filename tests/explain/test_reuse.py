import pytest
import torch

from convatlas.explain.reuse import reuse
from convatlas.mistake import Mistake
from convatlas.models import build


def test_a_layer_reads_the_block_before_it_and_all_layers_before():
    net = build("densenet_40_12")
    blocks = reuse(net)
    assert [tuple(heat.shape) for heat in blocks] == [(13, 13)] * 3
    for heat in blocks:
        assert torch.equal(~heat.isnan(), torch.triu(torch.ones(13, 13)).bool())


def test_the_last_column_is_the_transitions_and_the_classifiers():
    net = build("densenet_bc_100_12")
    first, _, last = reuse(net)
    assert first.shape == (17, 17)
    weight = next(m for m in net.features.transition1.modules() if isinstance(m, torch.nn.Conv2d)).weight.detach()
    assert torch.allclose(first[0, 16], weight[:, :24].abs().mean())
    assert torch.allclose(first[16, 16], weight[:, -12:].abs().mean())
    weight = next(m for m in net.head.modules() if isinstance(m, torch.nn.Linear)).weight.detach()
    assert torch.allclose(last[3, 16], weight[:, -14 * 12 : -13 * 12].abs().mean())


def test_it_is_the_mean_absolute_weight():
    net = build("densenet_40_12")
    block = next(child for child in net.features.children() if len(list(child.children())) > 2)
    third = next(m for m in list(block.children())[2].modules() if isinstance(m, torch.nn.Conv2d))
    heat = reuse(net)[0][:, 2]
    growth = 12
    start = third.in_channels - 2 * growth
    means = torch.stack([part.abs().mean() for part in third.weight.detach().split([start, growth, growth], 1)])
    assert torch.allclose(heat[:3], means, rtol=1e-4)


def test_other_networks_have_no_dense_blocks():
    with pytest.raises(Mistake, match="feature reuse is a picture of dense blocks; ResNet has none"):
        reuse(build("resnet20"))
