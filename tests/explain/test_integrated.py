"""Integrated gradients against captum and against their axiom."""

import warnings

import pytest
import torch

from convatlas.explain.integrated import integrated
from convatlas.explain.what import Score
from convatlas.models import build


@pytest.mark.parametrize("name", ["vgg11", "alexnet_owt", "resnet18"])
def test_equal_to_captum(name):
    attr = pytest.importorskip("captum.attr", reason="captum is not installed")
    net, x = build(name).eval(), torch.randn(1, 3, 224, 224)
    with warnings.catch_warnings(action="ignore"):
        wanted = attr.IntegratedGradients(net).attribute(x, target=3, n_steps=10, method="gausslegendre")
    found = integrated(net, x, Score(3), steps=10)
    assert float((found - wanted).abs().max()) < 1e-4 * float(wanted.abs().max())


def test_all_together_is_the_difference_of_scores():
    net = build("lenet5_modern").eval()
    x, nothing = torch.randn(3, 1, net.size, net.size), torch.full((3, 1, net.size, net.size), 0.1)
    with torch.no_grad():
        wanted = net(x).amax(1) - net(nothing).gather(1, net(x).argmax(1)[:, None])[:, 0]
    torch.testing.assert_close(integrated(net, x, steps=200, nothing=nothing).sum((1, 2, 3)), wanted, rtol=2e-2, atol=1e-3)
