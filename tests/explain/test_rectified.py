"""Deconvnet and guided backpropagation against captum where captum is right, and against an explicit rule where it is not."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.explain.deconvnet import deconvnet
from convatlas.explain.guided import guided
from convatlas.explain.rectified import Rectified
from convatlas.explain.what import Score, Unit, gradient
from convatlas.mistake import Mistake
from convatlas.models import build

RIGHT = ("vgg11", "alexnet_owt", "resnet18")  # all ReLUs are modules: captum finds them
EXPLICIT = ("googlenet_bn", "densenet121", "vgg11")


def apart(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("name", RIGHT)
def test_equal_to_captum_where_captum_is_right(name):
    attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    net, x = build(name).eval(), torch.randn(2, 3, 224, 224)
    target = torch.tensor([3, 7])
    with warnings.catch_warnings(action="ignore"):  # that it sets hooks
        theirs = {
            deconvnet: attr.Deconvolution(net).attribute(x.clone(), target),
            guided: attr.GuidedBackprop(net).attribute(x.clone(), target),
        }
    for ours, wanted in theirs.items():
        assert apart(ours(net, x, Score(target)), wanted) < 1e-4


class Explicit(torch.autograd.Function):
    """The rule written down once more."""

    guided = False

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return torch.where(x > 0, g, 0.0).clamp(min=0) if Explicit.guided else g.clamp(min=0)


@pytest.mark.parametrize("ours", [deconvnet, guided])
@pytest.mark.parametrize("name", EXPLICIT)
def test_equal_to_the_explicit_rule_for_functional_relus_too(name, ours, monkeypatch):
    import torchvision

    names = {"googlenet_bn": "googlenet"}
    with warnings.catch_warnings(action="ignore"):
        theirs = torchvision.models.get_model(names.get(name, name), **({"init_weights": True} if "googlenet" in name else {})).eval()
    net, x = build(name).eval(), torch.randn(1, 3, 224, 224)
    for one in (net, theirs):
        found = ours(one, x, Score(5))
        plain = gradient(one, x, Score(5))
        with monkeypatch.context() as patch:
            patch.setattr(F, "relu", lambda x, inplace=False: Explicit.apply(x))
            patch.setattr(Explicit, "guided", ours is guided)
            wanted = gradient(one, x, Score(5))
        assert apart(found, wanted) < 1e-4
        assert apart(plain, wanted) > 0.1


def test_it_is_unpooling_by_switches_rectifying_and_filtering():
    conv1, pool = nn.Conv2d(3, 5, 5, 2), nn.MaxPool2d(2, return_indices=True)
    norm, conv2 = nn.LocalResponseNorm(3, alpha=0.5, k=2.0), nn.Conv2d(5, 4, 3)
    net = nn.Sequential(conv1, nn.ReLU(), nn.MaxPool2d(2), norm, conv2, nn.ReLU())
    x = torch.randn(1, 3, 33, 33)
    with torch.no_grad():
        a = conv1(x).relu()
        b, switches = pool(a)
        scale = norm(b) / b.clamp(min=1e-30)
        scale = torch.where(b > 0, scale, 2.0)
        c = conv2(norm(b)).relu()
        one = torch.zeros_like(c)
        place = divmod(int(c[0, 2].argmax()), c.shape[3])
        one[0, 2, place[0], place[1]] = 1.0
        back = F.conv_transpose2d(one, conv2.weight) * scale
        back = F.max_unpool2d(back, switches, 2, output_size=a.shape).clamp(min=0)
        wanted = F.conv_transpose2d(back, conv1.weight, stride=2)
    found = deconvnet(net, x, Unit("5", 2))
    assert float(c[0, 2].max()) > 0
    torch.testing.assert_close(found[..., : wanted.shape[2], : wanted.shape[3]], wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["efficientnet_b0", "lenet5", "se_resnet18", "mobilenet_v3_small"])
@pytest.mark.parametrize("ours", [deconvnet, guided])
def test_curved_networks_are_refused(name, ours):
    net = build(name).eval()
    x = torch.randn(1, next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d)), net.size, net.size)
    with pytest.raises(Mistake, match="going back this way is for networks of ReLUs; this one has"):
        ours(net, x)


def test_a_relu6_lets_back_what_it_let_through():
    net = nn.Sequential(nn.Flatten(), nn.ReLU6(), nn.Linear(3, 1, bias=False))
    net[2].weight.data.fill_(1.0)
    x = torch.tensor([[[[-1.0, 3.0, 7.0]]]])
    assert guided(net, x).flatten().tolist() == [0.0, 1.0, 1.0]
    assert gradient(net, x, Score()).flatten().tolist() == [0.0, 1.0, 0.0]
    assert gradient(net, x, Score(), Rectified(guided=False)).flatten().tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v1", "plain20"])
def test_where_nothing_is_switched_a_deconvnet_is_the_same_of_every_picture_and_is_refused(name):
    net = build(name).eval()
    one, two = (gradient(net, torch.randn(1, 3, 64, 64), Score(3), Rectified(guided=False)) for _ in range(2))
    assert torch.equal(one, two)
    with pytest.raises(Mistake, match="every picture would look the same"):
        deconvnet(net, torch.randn(1, 3, 64, 64))


def test_a_unit_is_one_that_the_layer_has():
    net, x = build("resnet20").eval(), torch.randn(1, 3, 32, 32)
    with pytest.raises(Mistake, match="head gives no maps, but values"):
        guided(net, x, Unit("head", 0))
    with pytest.raises(Mistake, match="features gives 64 maps, counted from 0; there is no map 64"):
        guided(net, x, Unit("features", 64))
    with pytest.raises(Mistake, match="the maps of features are of 8 x 8; there is no place"):
        guided(net, x, Unit("features", 0, (8, 0)))


def test_the_network_is_left_as_it_was():
    net, x = build("alexnet").eval(), torch.randn(1, 3, 227, 227)
    with torch.no_grad():
        before = net(x)
    deconvnet(net, x)
    assert all(p.grad is None for p in net.parameters())
    with torch.no_grad():
        assert torch.equal(net(x), before)
