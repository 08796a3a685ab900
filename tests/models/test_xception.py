"""Fig. 5 of Chollet 2016."""

import torch
from networks import parts
from torch import nn

from convatlas.models import build
from convatlas.models.xception import Block, SeparableConv


def test_maps_are_those_of_figure_5():
    with torch.device("meta"):
        x, sides = torch.zeros(1, 3, 299, 299), []
        for stage in build("xception").features:
            x = stage(x)
            sides.append((x.shape[1], x.shape[2]))
    entry = [(32, 149), (64, 147), (128, 74), (256, 37), (728, 19)]
    assert sides == [*entry, *[(728, 19)] * 8, (1024, 10), (1536, 10), (2048, 10)]


def test_there_are_36_convolutions_and_34_are_separable():
    assert len(parts("xception", SeparableConv)) == 34


def test_shortcuts_are_convolutions_only_where_the_map_shrinks():
    blocks = parts("xception", Block)
    assert ["pool" in dict(b.f.named_children()) for b in blocks] == [True] * 3 + [False] * 8 + [True]
    assert [isinstance(b.shortcut, nn.Identity) for b in blocks] == [False] * 3 + [True] * 8 + [False]


def test_no_activation_stands_between_depthwise_and_pointwise():
    assert {tuple(dict(m.named_children())) for m in parts("xception", SeparableConv)} == {("depthwise", "pointwise", "bn")}


def test_a_block_leaves_its_input_alone():
    block = build("xception").features.middle1.eval()
    x = torch.randn(1, 728, 3, 3)
    before = x.clone()
    block(x)
    assert torch.equal(x, before)
