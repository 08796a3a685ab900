"""The twin in plain PyTorch against the network itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from convatlas.inference.plain import Plain
from convatlas.models import build
from convatlas.models.lean import lean

BOUNDS = {"fp32": 1e-4, "bf16": 2e-2}
QUICK = ("alexnet", "alexnet_owt", "googlenet", "resnet20", "densenet_40_12", "mobilenet_v2", "efficientnet_lite0", "squeezenet1_1")


def apart(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, as a share of the largest score."""
    return float((found - wanted).abs().max() / wanted.abs().max())


@torch.no_grad()
@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("name", QUICK)
def test_the_twin_is_equal(name, precision):
    net = build(name).eval()
    x = torch.randn(3, 3, net.size, net.size)
    fast = Plain(lean(net), precision)
    assert apart(fast(x), net(x)) < BOUNDS[precision]
    assert fast(x).dtype == torch.float32


@settings(deadline=None, max_examples=25)
@given(count=st.integers(1, 5), height=st.integers(32, 80), width=st.integers(32, 80), precision=st.sampled_from(list(BOUNDS)))
@torch.no_grad()
def test_whatever_the_pictures_shape_and_number(count, height, width, precision):
    torch.manual_seed(0)
    net = build("resnet20", num_classes=7).eval()
    x = torch.randn(count, 3, height, width)
    assert apart(Plain(lean(net), precision)(x), net(x)) < BOUNDS[precision]
