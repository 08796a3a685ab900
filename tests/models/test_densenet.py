"""Tables 1 and 2 of Huang et al. 2016: growth, transitions, stems and dropout."""

import pytest
import torch
from networks import parts, shell
from torch import nn

from convatlas.models import build
from convatlas.models.densenet import VARIANTS


@pytest.mark.parametrize("name", VARIANTS)
def test_has_as_many_layers_as_its_name_says(name):
    layers = len(parts(name, nn.Conv2d) + parts(name, nn.Linear))
    named = int(name.removeprefix("densenet").removeprefix("_bc").strip("_").split("_")[0])
    assert layers == named + (name == "densenet264")  # which has 265, by the rule that names the others


def test_a_layer_keeps_what_was_there_and_adds_its_own_maps():
    net = build("densenet_40_12").eval()
    x = torch.randn(1, 16, 8, 8)
    for i, layer in enumerate(net.features.dense1, 1):
        y = layer(x)
        assert torch.equal(y[:, : x.shape[1]], x)
        assert y.shape[1] == 16 + 12 * i
        x = y


@pytest.mark.parametrize(("name", "stem", "kept"), [("densenet_40_12", 16, 1), ("densenet_bc_100_12", 24, 0.5), ("densenet121", 64, 0.5)])
def test_stems_and_transitions(name, stem, kept):
    assert parts(name, nn.Conv2d)[0].out_channels == stem
    conv = shell(name).features.transition1.conv
    assert conv.out_channels == kept * conv.in_channels


@pytest.mark.parametrize(("name", "convolutions"), [("densenet_40_12", 39), ("densenet_bc_100_12", 99)])
def test_dropout_follows_every_convolution_but_the_first(name, convolutions):
    net = shell(name, dropout=0.2)
    assert len(parts(name, nn.Dropout, dropout=0.2)) == convolutions - 1
    for before, after in zip(list(net.features.modules()), list(net.features.modules())[1:], strict=False):
        if isinstance(before, nn.Conv2d) and before is not net.features.conv1:
            assert isinstance(after, nn.Dropout)


def test_the_last_layer_of_a_block_reads_every_earlier_one():
    block = build("densenet_bc_100_12").features.dense1.eval()
    x = torch.randn(1, 24 + 15 * 12, 8, 8, requires_grad=True)
    block[15].f(x)[0, 0].sum().backward()
    assert x.grad.abs().sum((0, 2, 3)).all()
