"""Convolutions together with what follows them, against the two apart."""

from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn

from convatlas.inference.fused import ACTS, Fused, fused, there

pytestmark = pytest.mark.skipif(not there(torch.float32), reason="this torch has no oneDNN")


class Sum(nn.Module):
    def __init__(self, conv, act, turned):
        super().__init__()
        self.conv, self.act, self.turned = conv, act, turned

    def forward(self, x):
        return self.act(x + self.conv(x) if self.turned else self.conv(x) + x)


def found(net):
    return [layer for layer in net.modules() if isinstance(layer, Fused)]


@settings(deadline=None, max_examples=40)
@given(
    act=st.sampled_from([*ACTS, nn.Sigmoid]), k=st.sampled_from([1, 3, 5]), stride=st.integers(1, 2), dilation=st.integers(1, 2),
    grouped=st.booleans(), bias=st.booleans(), last=st.booleans(),
)  # fmt: skip
@torch.inference_mode()
def test_an_activation(act, k, stride, dilation, grouped, bias, last):
    conv = nn.Conv2d(8, 16, k, stride, "same" if stride == 1 else k // 2, dilation, groups=4 if grouped else 1, bias=bias)
    net = nn.Sequential(conv, act()).eval()
    twin = fused(fx.symbolic_trace(deepcopy(net)))
    assert len(found(twin)) == 1
    assert (type(twin.get_submodule("1")) is act) if act is nn.Sigmoid else len(list(twin.children())) == 1
    for count in (1, 3, 1):
        x = 3 * torch.randn(count, 8, 9, 12)
        x = x.contiguous(memory_format=torch.channels_last) if last else x
        torch.testing.assert_close(twin(x), net(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("act", [nn.ReLU, nn.Identity, nn.SiLU])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("groups", [1, 8])
@torch.inference_mode()
def test_a_sum(act, turned, groups):
    net = Sum(nn.Conv2d(8, 8, 3, padding=1, groups=groups), act(), turned).eval()
    twin = fused(fx.symbolic_trace(deepcopy(net)))
    x = torch.randn(2, 8, 6, 7)
    torch.testing.assert_close(twin(x), net(x), rtol=1e-4, atol=1e-5)
    assert "add" not in twin.code.replace("_add", "")
    assert len(found(twin)) == 1


@pytest.mark.parametrize("shape", [(2, 8, 1, 7), (2, 8, 6, 7)], ids=["it is spread", "it is itself"])
@torch.inference_mode()
def test_a_sum_of_something_else(shape):
    class Others(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.relu = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()

        def forward(self, x, narrow):
            y = self.first(x)
            return self.relu(self.second(y + y) + narrow) + 3

    net, x, narrow = Others().eval(), torch.randn(2, 8, 6, 7), torch.randn(shape)
    twin = fused(fx.symbolic_trace(deepcopy(net)))
    torch.testing.assert_close(twin(x, narrow), net(x, narrow), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@torch.inference_mode()
def test_what_others_read_too_and_what_pads_unevenly_stays():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.even, self.relu = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 2, padding="same"), nn.ReLU()

        def forward(self, x):
            x = self.conv(x)
            return self.relu(x) * x + self.relu(self.even(x))

    net, x = Twice().eval(), torch.randn(2, 4, 5, 5)
    twin = fused(fx.symbolic_trace(deepcopy(net)))
    torch.testing.assert_close(twin(x), net(x), rtol=1e-4, atol=1e-5)
    (only,) = found(twin)
    assert only.act[0] == "none"
