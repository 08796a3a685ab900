import torch
from peers import computed, sides

from convatlas.check import measure
from convatlas.models import build


@computed("zfnet")
def test_numbers_are_those_computed_from_the_paper(figure):
    assert measure(figure) == figure["value"]


def test_maps_are_as_wide_as_drawn_in_fig_3():
    assert sides("zfnet") == [110, 55, 55, 26, 13, 13, 13, 13, 13, 6]


def test_maps_are_pooled_before_they_are_normalised():
    with torch.device("meta"):
        names = [name for name, _ in build("zfnet").features.named_children()]
    assert names == ["conv1", "pool1", "norm1", "conv2", "pool2", "norm2", "conv3", "conv4", "conv5", "pool5"]
