import pytest
import torch
from networks import parts, sides
from torch import nn

from convatlas.check import analysis
from convatlas.models.alexnet import local_response_norm


def test_maps_are_as_wide_as_drawn_on_227_pixels_only():
    assert sides("alexnet") == [55, 27, 27, 13, 13, 13, 13, 6]
    assert sides("alexnet", 224)[0] == 54


def test_two_columns_meet_in_conv3_only():
    assert [conv.groups for conv in parts("alexnet", nn.Conv2d)] == [1, 2, 1, 2, 2]


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
