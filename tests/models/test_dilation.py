"""That a dilated network says at every place that was there what it said before, to the rim of the picture."""

import pytest
import torch
from torch import Tensor, nn

from convatlas.models import MODELS, build
from convatlas.models.net import Net, SqueezeExcite

SMALL = {
    "alexnet_owt", "vgg11_bn", "googlenet", "googlenet_bn", "nin", "squeezenet1_1", "resnet18", "resnet50", "preresnet110", "densenet121",
    "se_resnet18", "xception", "mobilenet_v1_025", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_lite0",
    "efficientnet_lite0_timm", "lenet5", "zfnet",
}  # fmt: skip
DEEP = {"resnet1202", "preresnet1001", "wide_resnet28_10", "densenet_bc_190_40"}  # of stride 4, so that nothing changes


class First(nn.Module):
    """What a gate sees here: the first unit of each map, which is the same, and not the mean, to which the new units belong too."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :1, :1]


def features_only(name: str) -> Net:
    """In double precision, without its head, which may have a hundred million weights. Its norms have statistics of their own."""
    torch.manual_seed(0)
    with torch.device("meta"):
        net = build(name)
    net.head, net.aux1, net.aux2 = (nn.Sequential() for _ in range(3))
    for layer in net.modules():
        if isinstance(layer, SqueezeExcite):
            layer.gate[0] = First()
    net = net.double().to_empty(device="cpu").eval()
    with torch.no_grad():
        for key, t in net.state_dict().items():
            if t.is_floating_point():
                _ = t.normal_(0, t[0].numel() ** -0.5) if t.dim() == 4 else t.uniform_(0.5, 1.5)
            else:
                t.zero_() if "pairs" not in key else t.copy_(build(name).state_dict()[key])
    return net


def strides(net: Net) -> int:
    return max(stage.stride for stage in net.stages())


@torch.no_grad()
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SMALL else [pytest.mark.slow]) for name in MODELS if name not in DEEP]
)
def test_what_was_there_stays(name):
    net = features_only(name)
    own = strides(net)
    channels = next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))
    x = torch.randn(1, channels, 91, 76, dtype=torch.float64)
    before = net.features(x)
    for output_stride in (16, 8):
        after = net.dilate(output_stride).features(x)
        lost = own // strides(net)
        assert strides(net) == min(own, output_stride)
        seen = after[:, :, ::lost, ::lost]
        assert seen.shape == before.shape
        torch.testing.assert_close(seen, before, rtol=1e-9, atol=1e-12)
    assert lost in {1, 2, 4}
    assert before.std() > 1e-6


def test_it_covers_every_network_that_has_strides_to_lose():
    assert MODELS.keys() >= SMALL | DEEP
    assert len(MODELS.keys() - DEEP) == 106
    with torch.device("meta"):
        assert all(strides(build(name)) == 4 for name in DEEP - {"resnet1202", "preresnet1001"})


def test_there_is_no_way_back_and_no_other_stride():
    with torch.device("meta"):
        net = build("resnet18")
    with pytest.raises(ValueError, match="one of 8, 16, 32, not 4"):
        net.dilate(4)
    assert strides(net.dilate(8)) == 8
    with pytest.raises(ValueError, match="build it anew"):
        net.dilate(16)
    assert strides(net.dilate(8)) == 8


def test_what_it_sees_stays_and_the_pyramid_follows():
    with torch.device("meta"):
        net = build("densenet121").eval()
    field = {stage.name: stage.field for stage in net.stages()}
    x = torch.empty(1, 3, 224, 224, device="meta")
    assert list(net.pyramid(x)) == ["conv1", "dense1", "dense2", "dense3", "activation"]
    net.dilate(8)
    assert {stage.name: stage.field for stage in net.stages()} == field
    assert list(net.pyramid(x)) == ["conv1", "dense1", "activation"]
    assert net.state_dict().keys() == build("densenet121").state_dict().keys()
