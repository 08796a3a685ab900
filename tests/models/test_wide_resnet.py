"""Table 1 of Zagoruyko & Komodakis 2016, and where dropout stands."""

import pytest
from networks import parts, shell
from torch import nn


@pytest.mark.parametrize(("name", "layers"), [("wide_resnet28_10", 28), ("wide_resnet40_4", 40)])
def test_has_as_many_layers_as_its_name_says(name, layers):
    assert len(parts(name, nn.Conv2d)) == layers  # 6n, conv1 and three projections


def test_dropout_stands_between_the_two_convolutions():
    unit = shell("wide_resnet40_4", dropout=0.3).features.conv3[1]
    assert [type(layer) for layer in unit.f] == [nn.Conv2d, nn.Sequential, nn.Dropout, nn.Conv2d]
    assert not parts("wide_resnet40_4", nn.Dropout)
