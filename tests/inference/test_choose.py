"""The choice of the fastest way: exact enough, among those that there are, and remembered."""

import pytest
import torch
from test_plain import BOUNDS, apart

import convatlas
from convatlas.inference import plans
from convatlas.inference.choose import Trust
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
    first = convatlas.fast(net, "fp32", batch=2)
    again = convatlas.fast(net, "fp32", batch=2)
    assert first.seconds
    assert (again.plan, again.seconds) == (first.plan, {})
    assert convatlas.fast(net, "fp32", batch=3).seconds
    assert convatlas.fast(net, "fp32", batch=2, size=40).seconds
    assert convatlas.fast(build("resnet20", num_classes=8), "fp32", batch=2).seconds


def test_without_the_extra_there_is_plain_pytorch(net, alone, monkeypatch):
    monkeypatch.setattr(plans, "installed", lambda name: False)
    assert {plan.engine for plan in convatlas.fast(net, batch=2).seconds} == {"plain"}


@torch.no_grad()
def test_what_is_not_exact_enough_is_left_out(net):
    plan, off, coarse = (Plan("plain", precision, 2) for precision in ("fp32", "bf16", "int8"))
    x, real = torch.randn(2, 3, 32, 32), torch.randn(8, 3, 32, 32)
    scale = float(net(x).abs().max())
    trust = Trust(net, x, {"fp32": 1e-4, "bf16": 2e-2}, real, agreement=0.5)
    ways = {plan: lambda x: net(x) + 2e-4 * scale, off: lambda x: net(x) + 2e-4 * scale, coarse: net}
    assert list(trust.of(ways)) == [off, coarse]
    assert list(trust.of({coarse: lambda x: -net(x)})) == []


def test_int8_says_what_the_network_says(net, alone):
    pytest.importorskip("nncf", reason="the extra `fast` is not installed")
    real = torch.randn(40, 3, 32, 32)
    twin = convatlas.fast(net, "int8", batch=4, calibration=real, agreement=0.8)
    assert (twin.plan.engine, twin.plan.precision) == ("openvino", "int8")
    with torch.no_grad():
        assert (twin(real).argmax(1) == net(real).argmax(1)).float().mean() >= 0.8
    assert "int8" in {plan.precision for plan in convatlas.fast(net, batch=4, calibration=real, agreement=0.0).seconds}
    with pytest.raises(Mistake, match="no way of ResNet in int8 is exact enough"):
        convatlas.fast(net, "int8", batch=4, size=40, calibration=torch.randn(8, 3, 40, 40), agreement=1.1)


def test_int8_needs_pictures(net):
    with pytest.raises(Mistake, match="int8 needs `calibration`, some hundred real pictures"):
        convatlas.fast(net, "int8")


def test_untried_it_is_what_is_likely_fastest_and_not_remembered(net, alone):
    twin = convatlas.fast(net, "fp32", tried=False)
    assert twin.seconds == {}
    assert convatlas.fast(net, "fp32").seconds


def test_a_precision_that_there_is_not(net):
    with pytest.raises(Mistake, match=r"no precision 'int4'; there are: auto, fp32, bf16, int8"):
        convatlas.fast(net, "int4")
