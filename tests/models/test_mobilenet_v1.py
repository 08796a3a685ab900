"""Tables 1 to 7 of Howard et al. 2017, and the net that timm ships."""

import pytest
import torch
from peers import counted, difference, stated
from torch import nn

from convatlas.analysis import analyse
from convatlas.models import build
from convatlas.models.mobilenet_v1 import VARIANTS

COUNTS = stated("mobilenet_v1")


def test_every_variant_has_its_counts():
    assert COUNTS.keys() == VARIANTS.keys() - {"mobilenet_v1_relu6"}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_as_stated(name):
    assert counted(name) == COUNTS[name]


def test_shares_are_those_of_table_2_but_for_one():
    with torch.device("meta"):
        analysis = analyse(build("mobilenet_v1"))
    kinds = ("pointwise", "depthwise", "conv0", "output")
    shares = [100 * sum(x.macs for x in analysis.layers if kind in x.name) / analysis.macs for kind in kinds]
    assert [round(share, 2) for share in shares] == [94.86, 3.06, 1.91, 0.18]  # the paper prints 1.19


def test_each_depthwise_filter_sees_one_map():
    with torch.device("meta"):
        net = build("mobilenet_v1")
    for separable in net.features[1:]:
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
    with torch.device("meta"):
        deep, shallow = build("mobilenet_v1").features, build("mobilenet_v1_shallow").features
    assert [str(layer) for layer in shallow] == [str(layer) for i, layer in enumerate(deep) if i not in range(7, 12)]


def test_only_relu6_clips():
    loud = 1e4 * torch.randn(1, 3, 32, 32)
    tops = [build(name, width=0.25).features[0].eval()(loud).max() for name in ("mobilenet_v1", "mobilenet_v1_relu6")]
    assert tops[0] > 6
    assert tops[1] == 6


def test_weights_start_as_in_the_authors_code():
    net = build("mobilenet_v1_025")
    weights = torch.cat([m.weight.detach().flatten() for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)])
    assert weights.abs().max() <= 0.18
    assert weights.std() == pytest.approx(0.88 * 0.09, rel=0.01)  # cut at two sigma, a normal has .88 of its deviation
    assert not net.head.output.bias.any()


def test_relu6_is_timms():
    timm = pytest.importorskip("timm")
    assert difference(build("mobilenet_v1_relu6"), timm.create_model("mobilenetv1_100")) <= 1e-5
