"""The choice of the fastest way: exact enough, among those that there are, and remembered."""

import pytest
import torch
from test_plain import BOUNDS, apart

import convatlas
from convatlas.inference import exact, plans
from convatlas.inference.plans import Plan
from convatlas.mistake import Mistake
from convatlas.models import build


@pytest.fixture
def net():
    return build("resnet20", num_classes=7).eval()


@pytest.mark.parametrize("precision", [*BOUNDS, "auto"])
@torch.no_grad()
def test_the_fastest_twin_answers_as_the_network(net, alone, precision):
    fast = convatlas.fast(net, precision, batch=4)
    assert fast.plan == min(fast.seconds, key=fast.seconds.get)
    assert precision in ("auto", fast.plan.precision)
    for count in (1, 4, 7):
        x = torch.randn(count, 3, 32, 32)
        assert apart(fast(x), net(x)) < BOUNDS[fast.plan.precision]


def test_the_network_stays_as_it_is(net, alone):
    net.train()
    convatlas.fast(net, "fp32")
    assert net.training
    assert all(layer.training for layer in net.modules())


def test_the_choice_is_remembered_until_something_changes(net, alone):
    first = convatlas.fast(net, batch=2)
    again = convatlas.fast(net, batch=2)
    assert first.seconds
    assert (again.plan, again.seconds) == (first.plan, {})
    assert convatlas.fast(net, batch=3).seconds
    assert convatlas.fast(net, batch=2, size=40).seconds
    assert convatlas.fast(build("resnet20", num_classes=8), batch=2).seconds


def test_without_the_extra_there_is_plain_pytorch(net, alone, monkeypatch):
    monkeypatch.setattr(plans, "installed", lambda name: name != "openvino")
    assert {plan.engine for plan in convatlas.fast(net, batch=2).seconds} == {"plain"}


@torch.no_grad()
def test_what_is_not_exact_enough_is_left_out(net):
    plan, off = Plan("plain", "fp32", 2), Plan("plain", "bf16", 2)
    x = torch.randn(2, 3, 32, 32)
    scale = float(net(x).abs().max())
    ways = {plan: lambda x: net(x) + 2e-4 * scale, off: lambda x: net(x) + 2e-4 * scale}
    assert list(exact(ways, net, x)) == [off]


def test_a_precision_that_there_is_not(net):
    with pytest.raises(Mistake, match=r"no precision 'int4'; there are: auto, fp32, bf16"):
        convatlas.fast(net, "int4")
