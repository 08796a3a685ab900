"""The twin in OpenVINO against the network itself."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_plain import BOUNDS, apart
from torch import nn

from convatlas.models import MODELS, build
from convatlas.models.lean import lean

pytest.importorskip("openvino", reason="the extra `fast` is not installed")

from convatlas.inference.openvino import Compiled, convert, of_pixels, quantised, quantised_with_care

QUICK = ("lenet5", "alexnet_owt", "googlenet", "resnet20", "densenet_40_12", "efficientnet_lite0")
NAMED = ("alexnet", "zfnet", "vgg16", "resnet18", "resnet50", "resnet152", "densenet121", "mobilenet_v1", "mobilenet_v2", "squeezenet1_1",
         "efficientnet_b0", "xception", "se_resnet18", "preresnet110", "mobilenet_v3_small")  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMED)])
def test_the_twin_is_equal(name):
    net = build(name).eval()
    x = torch.randn(3, MODELS[name][1].in_channels, net.size, net.size)
    model = convert(lean(net), x.shape[1:])
    for precision, bound in BOUNDS.items():
        found = Compiled(model, precision, chunk=2, streams=2, threads=1)(x.numpy())
        assert apart(torch.from_numpy(found), net(x)) < bound, precision


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    net = build("resnet20", num_classes=7).eval()
    return net, convert(lean(net), (3, 64, 48))


@settings(deadline=None, max_examples=30)
@given(count=st.integers(0, 9), chunk=st.integers(1, 5), streams=st.integers(1, 3), strided=st.booleans())
@torch.no_grad()
def test_whatever_the_number_the_chunks_and_the_streams(small, count, chunk, streams, strided):
    net, model = small
    x = torch.randn(count, 3, 64, 48)
    x = x.contiguous(memory_format=torch.channels_last) if strided else x
    found = torch.from_numpy(Compiled(model, "fp32", chunk, streams, threads=1)(x.numpy()))
    torch.testing.assert_close(found, net(x), rtol=1e-4, atol=1e-5)
    assert count == 0 or net(x).abs().max() > 0.1


@torch.no_grad()
@pytest.mark.parametrize(("precision", "bound"), BOUNDS.items())
def test_pixels_are_normalised_in_the_model(small, precision, bound):
    net, model = small
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    pixels = torch.randint(0, 256, (5, 64, 48, 3), dtype=torch.uint8)
    found = Compiled(of_pixels(model, mean, std), precision, 2, 2, threads=1)(pixels.numpy())
    x = (pixels.permute(0, 3, 1, 2) / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    assert apart(torch.from_numpy(found), net(x)) < bound
    assert model.input().element_type.to_string() == "f32"  # what was given is as it was


def in_int8(model):
    """How many of its maps and weights are quantised."""
    return sum(op.get_type_name() == "FakeQuantize" for op in model.get_ops())


def test_int8_spares_depthwise_convolutions_if_asked(capfd):
    pytest.importorskip("nncf", reason="the extra `fast` is not installed")
    model, real = convert(lean(build("mobilenet_v1", width=0.25).eval()), (3, 64, 64)), torch.randn(8, 3, 64, 64).numpy()
    all_, some = (in_int8(quantised(model, real, depthwise)) for depthwise in (True, False))
    assert 0 < some < all_
    assert capfd.readouterr().out == ""  # where answers belong


@torch.no_grad()
def test_int8_leaves_layers_in_float_until_it_agrees():
    """Of one map that is 300 times as wide as the others, and of no use: in eight bits, it leaves them nothing."""
    pytest.importorskip("nncf", reason="the extra `fast` is not installed")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU(), nn.Flatten(),
                        nn.Linear(8 * 6 * 6, 7)).eval()  # fmt: skip
    net[2].weight[0] *= 300
    net[4].weight[:, 0] = 0
    x = torch.randn(80, 3, 17, 17)
    net[7].bias -= net(x).mean(0)  # or all is of one class
    model = convert(lean(net), (3, 17, 17))
    real, checked = x[:16].numpy(), x[16:].numpy()
    named = net(x[16:]).argmax(1).numpy()
    rough, careful = (
        float((Compiled(found, "int8", 1)(checked).argmax(1) == named).mean())
        for found in (quantised(model, real), quantised_with_care(model, real, checked, 0.95))
    )
    assert rough < 0.9
    assert careful >= 0.95
    assert 0 < in_int8(quantised_with_care(model, real, checked, 0.95)) < in_int8(quantised(model, real))
