"""The twin on a card against the network itself."""

import pytest
import torch
from test_plain import BOUNDS, apart

import convatlas
from convatlas.inference.plans import first_plans
from convatlas.models import build
from convatlas.models.lean import lean

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@gpu
@torch.no_grad()
@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("name", ["resnet18", "googlenet", "mobilenet_v2", "alexnet"])
def test_the_graph_is_equal_whatever_the_number(name, precision):
    from convatlas.inference.cuda import Graphed

    net = build(name).eval().cuda()
    run = Graphed(lean(net), precision, 4, (3, net.size, net.size))
    for count in (0, 1, 4, 7):
        x = torch.randn(count, 3, net.size, net.size, device="cuda")
        found = run(x)
        assert found.shape == (count, 1000)
        assert count == 0 or apart(found, net(x)) < BOUNDS[precision]


@gpu
def test_the_fastest_twin_is_where_the_network_is(alone):
    net = build("resnet20").eval().cuda()
    twin = convatlas.fast(net, batch=8)
    assert twin(torch.randn(3, 3, 32, 32, device="cuda")).is_cuda
    assert {plan.engine for plan in twin.seconds} == {"plain", "graph"}


def test_a_card_has_its_own_ways():
    assert {plan.engine for plan in first_plans(("fp32", "bf16", "int8"), 8, "cuda")} == {"plain", "graph"}
    assert "graph" not in {plan.engine for plan in first_plans(("fp32",), 8)}
