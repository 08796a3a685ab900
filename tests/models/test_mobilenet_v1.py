"""What Tables 1 to 5 of Howard et al. 2017 say beyond counts."""

import torch
from networks import shell

from convatlas.analysis import analyse
from convatlas.models import build


def test_shares_are_those_of_table_2_but_for_one():
    analysis = analyse(shell("mobilenet_v1"))
    kinds = ("pointwise", "depthwise", "conv0", "output")
    shares = [100 * sum(x.macs for x in analysis.layers if kind in x.name) / analysis.macs for kind in kinds]
    assert [round(share, 2) for share in shares] == [94.86, 3.06, 1.91, 0.18]  # the paper prints 1.19


def test_each_depthwise_filter_sees_one_map():
    for separable in shell("mobilenet_v1").features[1:]:
        depthwise, pointwise = separable.depthwise.conv, separable.pointwise.conv
        assert depthwise.groups == depthwise.in_channels == depthwise.out_channels == pointwise.in_channels
        assert (depthwise.kernel_size, pointwise.kernel_size) == ((3, 3), (1, 1))


def test_the_full_twin_has_the_same_maps():
    with torch.device("meta"):
        net, twin = build("mobilenet_v1").features, build("mobilenet_v1_full").features
        x = torch.zeros(1, 3, 224, 224)
        for separable, full in zip(net, twin, strict=True):
            x = separable(x)
            assert full[0].groups == 1
            assert full[0].out_channels == x.shape[1]
    assert x.shape == (1, 1024, 7, 7)


def test_the_shallow_one_lacks_the_five_equal_layers():
    deep, shallow = shell("mobilenet_v1").features, shell("mobilenet_v1_shallow").features
    assert [str(layer) for layer in shallow] == [str(layer) for i, layer in enumerate(deep) if i not in range(7, 12)]


def test_only_relu6_clips():
    loud = 1e4 * torch.randn(1, 3, 32, 32)
    tops = [build(name, width=0.25).features[0].eval()(loud).max() for name in ("mobilenet_v1", "mobilenet_v1_relu6")]
    assert tops[0] > 6
    assert tops[1] == 6
