"""The twin in ONNX Runtime against the network itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plain import BOUNDS, apart

from convatlas.models import MODELS, build
from convatlas.models.lean import lean

pytest.importorskip("onnxruntime", reason="the extra `fast` is not installed")

from convatlas.inference.onnxruntime import Session, convert

QUICK = ("lenet5", "alexnet_owt", "googlenet", "resnet20", "densenet_40_12", "efficientnet_lite0", "squeezenet1_1")


@torch.no_grad()
@pytest.mark.parametrize("name", QUICK)
def test_the_twin_is_equal(name):
    net = build(name).eval()
    x = torch.randn(3, MODELS[name][1].in_channels, net.size, net.size)
    session = Session(convert(lean(net), x.shape[1:]), chunk=2, streams=2, threads=2)
    assert apart(torch.from_numpy(session(x.numpy())), net(x)) < BOUNDS["fp32"]


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    net = build("resnet20", num_classes=7).eval()
    return net, convert(lean(net), (3, 64, 48))


@settings(deadline=None, max_examples=20)
@given(count=st.integers(0, 9), chunk=st.integers(1, 5), streams=st.integers(1, 3), strided=st.booleans())
@torch.no_grad()
def test_whatever_the_number_the_chunks_and_the_streams(small, count, chunk, streams, strided):
    net, model = small
    x = torch.randn(count, 3, 64, 48)
    x = x.contiguous(memory_format=torch.channels_last) if strided else x
    found = torch.from_numpy(Session(model, chunk, streams, threads=1)(x.numpy()))
    torch.testing.assert_close(found, net(x), rtol=1e-4, atol=1e-5)
