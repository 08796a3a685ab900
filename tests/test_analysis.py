import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from convatlas.analysis import analyse
from convatlas.models import build

KNOWN = {  # torchvision's networks: parameters, multiply-accumulates, receptive field of the last map
    "alexnet": (61_100_840, 714_188_480, 195),
    "vgg16": (138_357_544, 15_470_264_320, 212),
    "resnet18": (11_689_512, 1_814_073_344, 435),
    "resnet50": (25_557_032, 4_089_184_256, 427),
    "densenet121": (7_978_856, 2_834_161_664, None),
    "mobilenet_v2": (3_504_872, 300_774_272, None),
    "googlenet": (6_624_904, 1_498_376_192, 379),
}


@pytest.mark.parametrize("name", KNOWN)
def test_any_traceable_network_is_counted(name):
    extra = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        found = analyse(torchvision.models.get_model(name, **extra), 224)
    parameters, macs, field = KNOWN[name]
    assert (found.parameters, found.macs) == (parameters, macs)
    if field:
        assert field in {layer.field for layer in found.layers if len(layer.shape) == 3}


class Branches(nn.Module):
    """Two branches of different field, stacked, then a residual sum, with functional layers mixed in."""

    def __init__(self):
        super().__init__()
        self.small, self.large = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 5, 5, padding=2)
        self.mix = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3))

    def forward(self, x):
        x = self.mix(torch.cat([self.small(x), self.large(x)], 1))
        return F.max_pool2d(x + F.conv2d(x, self.weight, padding=1), 2)


def field_by_gradient(net: nn.Module, channels: int, size: int) -> int:
    """How many columns of the picture the middle unit of the last map reacts to."""
    x = torch.randn(1, channels, size, size, dtype=torch.float64, requires_grad=True)
    out = net.double()(x)
    out[0, :, out.shape[2] // 2, out.shape[3] // 2].sum().backward()
    touched = x.grad[0].abs().sum((0, 1)).nonzero()[:, 0]
    return int(touched[-1] - touched[0]) + 1


def test_branches_are_joined_at_the_widest():
    found = analyse(Branches(), 64)
    assert [layer.name for layer in found.layers] == ["small", "large", "mix", "conv2d"]
    assert [layer.field for layer in found.layers] == [1, 5, 7, 11]
    assert found.parameters == (2 * 3 + 3) + (2 * 5 * 25 + 5) + (64 * 9 + 8) + 64 * 9
    assert found.macs == 64 * 64 * (6 + 250) + 32 * 32 * 64 * 9 * 2


layer = st.tuples(st.sampled_from(["conv", "pool"]), st.integers(1, 5), st.integers(1, 2), st.integers(0, 2), st.integers(1, 2))


@settings(max_examples=25, deadline=None)
@given(st.lists(layer, min_size=1, max_size=4))
def test_the_receptive_field_is_where_the_gradient_reaches(rows):
    net = nn.Sequential()
    for kind, k, stride, padding, dilation in rows:
        if kind == "conv":
            net.append(nn.Conv2d(1, 1, k, stride, padding, dilation))
            nn.init.uniform_(net[-1].weight, 0.1, 1.0)
        else:
            net.append(nn.AvgPool2d(k, stride, min(padding, k // 2)))
    found = analyse(net, 192, channels=1)
    assert found.layers[-1].field == field_by_gradient(net, 1, 192)


@pytest.mark.parametrize("name", ["lenet5", "lenet5_modern"])
def test_the_field_of_lenet_is_where_the_gradient_reaches(name):
    net = build(name, **({"pool": "average"} if name == "lenet5_modern" else {}))
    assert analyse(net.features[:4], 64).layers[-1].field == field_by_gradient(net.features[:4], 1, 64) == 16


def test_nothing_is_allocated_or_changed():
    net = build("lenet5").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    analyse(net)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_network_too_large_for_memory_is_counted_on_the_meta_device():
    with torch.device("meta"):
        net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 1024 * 1024, 1 << 20))  # 13 TB of weights
    assert analyse(net, 1024, channels=3).macs == 3 * 1024 * 1024 << 20


def test_a_layer_used_twice_is_counted_once_and_works_twice():
    shared = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    found = analyse(nn.Sequential(shared, shared), 8)
    assert found.parameters == 4 * 4 * 9
    assert found.macs == 2 * 4 * 4 * 9 * 64


def test_memory_is_what_tensors_take():
    net = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False), nn.ReLU(), nn.ReLU(inplace=True), nn.Flatten())
    found = analyse(net, 10)
    assert found.saved == 2 * 400  # in place and flattened, nothing new is taken
    assert found.inference_bytes(3) == 4 * (4 + 3 * 800)
    assert found.training_bytes(3) == 4 * (3 * 4 + 3 * 800)


@pytest.mark.parametrize("size", [3, 0, 1 << 20, (32, 9)])
def test_a_picture_that_does_not_fit_is_refused_with_the_place(size):
    with pytest.raises(ValueError, match=r"do not fit this network, (at its start|after features\.S\d)|are not analysed"):
        analyse(build("lenet5"), size)


@pytest.mark.parametrize("name", ["lenet5", "lenet5_modern"])
def test_show_prints_as_agreed(name, convatlas, request):
    printed = convatlas("show", name).stdout
    golden = request.path.parent / "golden" / f"show-{name}.txt"
    assert printed == golden.read_text(), f"if that is meant: convatlas show {name} > tests/golden/show-{name}.txt"
