"""The rewritten twin of every network gives what the network gives, and is as lean as it should be."""

import pytest
import torch
from test_contract import SMALL
from torch import nn

from convatlas.models import MODELS, build, densenet, preresnet, wide_resnet
from convatlas.models.lean import lean
from convatlas.models.net import Net

NORMS_FIRST = (preresnet, wide_resnet, densenet)  # their norms stand before convolutions and non-linearities
BOTTLENECKS = ("wide_resnet50_2", "wide_resnet101_2")  # of that paper too, but their norms stand behind


def trained(name: str) -> Net:
    """In evaluation, with norms that have seen something, some of them turning maps upside down."""
    net = build(name, num_classes=7).double().eval()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.8, 1.2)
            if layer.weight is not None:
                layer.weight.data.uniform_(-1, 1)
    return net


def pictures(net: Net, count: int = 2):
    cin = next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))
    return torch.randn(count, cin, min(67, net.size), min(67, net.size), dtype=torch.float64)


def norms(net: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())


@torch.no_grad()
@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in SMALL else [pytest.mark.slow]) for name in MODELS])
def test_the_twin_answers_as_its_network(name):
    net = trained(name)
    x, before = pictures(net), norms(net)
    twin = lean(net)
    torch.testing.assert_close(twin(x), net(x), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(twin(x[:1]), net(x[:1]), rtol=1e-9, atol=1e-12)
    assert norms(net) == before
    assert not any(isinstance(layer, nn.Dropout | nn.Identity | nn.LocalResponseNorm) for layer in twin.modules())
    assert bool(norms(twin)) == (MODELS[name][0] in NORMS_FIRST and name not in BOTTLENECKS)


def test_every_network_has_a_twin():
    assert len(MODELS) == 110


def kinds(net: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(layer, kind) for layer in net.modules())


def test_branches_that_read_the_same_are_joined():
    net = build("googlenet").eval()
    twin = lean(net)
    assert kinds(net.features, nn.Conv2d) == 57
    assert kinds(twin, nn.Conv2d) == 57 - 9 * 2 + 2  # the 1x1 windows and the two reductions of each module; two normalisations


def test_a_projection_and_the_first_layer_beside_it_are_not_joined_for_one_has_no_relu():
    assert kinds(lean(build("resnet50").eval()), nn.Conv2d) == 53


def test_a_pool_comes_before_the_convolution_across_maps():
    steps = [node.name for node in lean(build("densenet121").eval()).graph.nodes if "transition1" in node.name]
    assert steps == [f"features_transition1_{layer}" for layer in ("bn", "relu", "pool", "conv")]


@torch.no_grad()
def test_a_norm_goes_through_a_pool_only_if_it_keeps_the_order():
    stack = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.BatchNorm2d(4)).eval()
    x = torch.randn(2, 1, 8, 8)
    assert norms(lean(stack)) == 0
    torch.testing.assert_close(lean(stack)(x), stack(x))
    stack[2].weight.data[1] = -1
    assert norms(lean(stack)) == 1
    torch.testing.assert_close(lean(stack)(x), stack(x))


@torch.no_grad()
def test_what_others_read_too_is_left():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn, self.pool, self.wide = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Conv2d(4, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            y = self.wide(self.bn(x) + x)
            return self.pool(y).mean() + y.mean()

    net, x = Twice().eval(), torch.randn(1, 3, 4, 4)
    net.bn.running_mean.fill_(3)
    torch.testing.assert_close(lean(net)(x), net(x))
    assert norms(lean(net)) == 1
