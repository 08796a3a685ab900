"""What every network keeps to (docs/architecture.md, "Contracts").

`make test` asks nearly all for shapes, and for numbers one of each family that has a small one; the rest is slow, for it is much.
"""

import pytest
import torch
from torch import Tensor, fx, nn
from torch.export import Dim, export

from convatlas.models import FAMILIES, MODELS, alexnet, build, lenet, vgg, zfnet
from convatlas.models.googlenet import Auxiliary
from convatlas.models.lenet import MAP, LeNet5
from convatlas.models.net import Net

DEEP = {"resnet1202", "preresnet1001", "densenet264", "efficientnet_b7"}
SMALL = {
    "lenet5", "lenet5_modern", "nin_cifar10", "googlenet", "resnet20", "preresnet110", "wide_resnet40_4", "resnext50_32x4d",
    "densenet_40_12", "se_resnet18", "squeezenet1_1", "xception", "mobilenet_v1_025", "mobilenet_v2", "mobilenet_v3_small",
    "efficientnet_lite0", "speedrun_mnist",
}  # fmt: skip
EXPORTED = {"lenet5", "lenet5_modern", "nin_cifar10", "googlenet", "resnet20", "se_resnet18", "squeezenet1_1", "mobilenet_v1_025"}
LARGE = {alexnet, zfnet, vgg}  # the families without a small network: their heads have a hundred million weights
SIDE = 67  # pixels: fewer leave nothing for AlexNet's last pool

# In double precision, two orders of summing differ by far less than this share of the largest score. A picture that another
# one can see, by a norm's means for instance, differs by far more.
NEGLIGIBLE = 1e-9


def networks(quick: set[str]) -> list:
    return [pytest.param(name, marks=[] if name in quick else [pytest.mark.slow]) for name in MODELS]


def pictures(net: Net) -> Tensor:
    side = min(SIDE, net.size)
    return torch.randn(3, 1, side, side, dtype=torch.float64)


@pytest.fixture(scope="module", params=networks(SMALL))
def net(request) -> Net:
    """With fresh weights, in double precision; its norms have seen pictures, so that nothing dies or grows on its way."""
    torch.manual_seed(0)
    net = build(request.param, in_channels=1, num_classes=7).double()
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None  # an average of all batches
    with torch.no_grad():
        net(pictures(net))
    return net


def close(y: Tensor, expected: Tensor) -> bool:
    return float((y - expected).abs().max() / expected.abs().max()) <= NEGLIGIBLE


def test_every_network_is_asked_and_one_of_each_family_in_the_quick_tests():
    assert [param.values[0] for param in networks(SMALL)] == list(MODELS)
    assert len(MODELS) == 110
    assert MODELS.keys() >= DEEP | SMALL
    assert EXPORTED <= SMALL
    assert {MODELS[name][0] for name in SMALL} == set(FAMILIES) - LARGE


@pytest.mark.parametrize("name", networks(MODELS.keys() - DEEP))
def test_shapes_need_no_memory_and_pictures_may_be_odd(name):
    width = 101 if MODELS[name][0] is lenet else 75  # LeNet's must be square
    with torch.device("meta"):
        net = build(name, in_channels=4, num_classes=7, size=101).eval()
    assert all(t.is_meta for t in (*net.parameters(), *net.buffers()))
    assert net.size == 101
    with torch.no_grad():
        assert net(torch.empty(2, 4, 101, width, device="meta")).shape == (2, 7)
    assert fx.symbolic_trace(net).graph.find_nodes(op="placeholder", target="x")


def test_every_parameter_learns(net):
    loss = MAP() if isinstance(net, LeNet5) else Auxiliary()  # which is cross-entropy where nothing is auxiliary
    loss(net.train()(pictures(net)), torch.tensor([0, 1, 2])).backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()]
    net.zero_grad()
    assert idle == []


@torch.no_grad()
def test_scores_are_the_same_each_time_and_whoever_else_is_in_the_batch(net):
    x = pictures(net)
    y = net.eval()(x)
    assert torch.equal(net(x), y)
    assert close(torch.cat([net(picture) for picture in x.split(1)]), y)
    assert not close(y.roll(1, 0), y)


@torch.no_grad()
def test_the_head_takes_what_the_features_give(net):
    x = pictures(net)
    assert torch.equal(net.eval().head(net.features(x)), net(x))


@torch.no_grad()
def test_the_traced_twin_says_the_same(net):
    x = pictures(net)
    assert torch.equal(fx.symbolic_trace(net.eval())(x), net(x))


@torch.no_grad()
@pytest.mark.parametrize("net", networks(EXPORTED), indirect=True, scope="module")
def test_the_exported_program_says_the_same_for_any_batch(net):
    x = pictures(net)
    program = export(net.eval(), (x,), dynamic_shapes=({0: Dim("batch")},))
    assert close(program.module()(x[:2]), net(x[:2]))


@torch.no_grad()
def test_all_that_it_knows_is_in_its_state(net, request):
    with torch.device("meta"):
        other = build(request.node.callspec.params["net"], in_channels=1, num_classes=7)
    other.load_state_dict(net.state_dict(), assign=True)
    x = pictures(net)
    assert torch.equal(other.eval()(x), net.eval()(x))
