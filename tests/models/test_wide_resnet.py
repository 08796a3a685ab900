"""Table 1 of Zagoruyko & Komodakis 2016, and the nets that torchvision ships."""

import pytest
import torchvision
from peers import counted, difference, stated
from torch import nn

from convatlas.models import build
from convatlas.models.wide_resnet import VARIANTS

COUNTS = stated("wide_resnet")


def test_every_variant_has_its_counts():
    assert COUNTS.keys() == VARIANTS.keys()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_as_stated(name):
    assert counted(name) == COUNTS[name]


@pytest.mark.parametrize(("name", "layers"), [("wide_resnet28_10", 28), ("wide_resnet40_4", 40)])
def test_has_as_many_layers_as_its_name_says(name, layers):
    assert sum(isinstance(layer, nn.Conv2d) for layer in build(name).modules()) == layers  # 6n, conv1 and three projections


def test_dropout_stands_between_the_two_convolutions():
    unit = build("wide_resnet40_4", dropout=0.3).features.conv3[1]
    assert [type(layer) for layer in unit.f] == [nn.Conv2d, nn.Sequential, nn.Dropout, nn.Conv2d]
    assert not any(isinstance(layer, nn.Dropout) for layer in build("wide_resnet40_4").modules())


def test_is_torchvisions():
    assert difference(build("wide_resnet50_2"), torchvision.models.wide_resnet50_2()) <= 1e-5
