"""That each stage gives the maps that torchvision's create_feature_extractor and timm's features_only give, once `adopt` has run."""

from collections.abc import Callable

import pytest
import torch
from test_parity import made
from torch import nn
from torchvision.models.feature_extraction import create_feature_extractor

from convatlas.models import FAMILIES, MODELS, alexnet, build, densenet, googlenet, mobilenet_v2, resnet, squeezenet, vgg
from convatlas.models.net import Net
from convatlas.weights import TIMM, TORCHVISION, adopt, peer

SMALL = {
    "alexnet_owt", "vgg11_bn", "googlenet_bn", "resnet18", "resnet50_v1_5", "resnext50_32x4d", "wide_resnet50_2", "densenet121",
    "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0",
}  # fmt: skip
CONVOLUTIONS = {"conv1": 1, "pool1": 2, "conv2": 4, "pool2": 5, "conv3": 7, "conv4": 9, "conv5": 11, "pool5": 12}  # of AlexNet there


def cumulative(depths: list[int]) -> list[int]:
    return [sum(depths[: i + 1]) for i in range(len(depths))]


def in_torchvision(name: str, net: Net, other: nn.Module) -> dict[str, str]:
    """Each stage here, and there the module that ends it."""
    stages, family = [stage for stage, _ in net.features.named_children()], MODELS[name][0]
    if family is alexnet:
        ends = [f"features.{i}" for i in CONVOLUTIONS.values()]
    elif family is vgg:
        ends = [f"features.{i}" for i, layer in enumerate(other.features) if isinstance(layer, nn.MaxPool2d)]
    elif family is googlenet:
        ends = ["conv1", "maxpool1", "conv3", "maxpool2", *(stage.replace("pool", "maxpool") for stage in stages[4:])]
    elif family is densenet:
        blocks = [f"features.{kind}{i}" for i in range(1, 5) for kind in ("denseblock", "transition")][:-1]
        ends = ["features.relu0", "features.pool0", *blocks, "relu"]
    elif family is squeezenet:
        ends = [f"features.{i}" for i in range(1, len(other.features))]
    elif family is mobilenet_v2:
        ends = [f"features.{i}" for i in (0, *cumulative([row.depth for row in mobilenet_v2.TABLE_2]), 18)]
    elif stages[0] == "conv1" and "pool1" in stages:
        ends = ["relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    else:
        ends = [f"features.{i}" for i in range(len(other.features))]
    return dict(zip(stages, ends, strict=True))


def same(value: str) -> dict[str, str]:
    return {stage: stage for stage in value.split()}


SE = {f"conv{i}_x" if i > 1 else "conv1": f"layer{i - 1}" for i in range(1, 6)}
RESNEXT = {"conv1": "act1", **{f"conv{i}": f"layer{i - 1}" for i in range(2, 6)}}
V1 = dict(zip(["conv1", "conv3", "conv5", "conv11", "conv13"], [f"blocks.{i}" for i in range(5)], strict=True))
V2 = {f"bottleneck{i + 2}": f"blocks.{i}" for i in (0, 1, 2, 4, 6)}
MBCONV = {f"stage{i + 2}": f"blocks.{i}" for i in (0, 1, 2, 4, 6)}
XCEPTION = {"conv2": "act2", "entry1": "block2.rep.0", "entry2": "block3.rep.0", "middle8": "block12.rep.0", "exit3": "act4"}
IN_TIMM: dict[str, dict[str, str]] = {
    "se_resnet18_timm": SE,
    "se_resnet50": SE,
    "se_resnext50_32x4d": SE,
    "resnext101_32x4d": RESNEXT,
    "senet154": SE,
    "xception": XCEPTION,  # there the maps are those behind the next block's ReLU
    "mobilenet_v1_relu6": V1,
    "mobilenet_v2": V2,
    "mobilenet_v2_140": V2,
    "efficientnet_lite0": MBCONV,
    "efficientnet_lite0_timm": MBCONV,
    "efficientnet_lite4": MBCONV,
    "efficientnet_b0": MBCONV,
}
QUICK = {"se_resnet18_timm", "xception", "mobilenet_v1_relu6", "mobilenet_v2", "efficientnet_lite0", "efficientnet_lite0_timm"}


def test_every_family_that_they_have_is_compared():
    theirs = {MODELS[name][0] for name in (*TORCHVISION, *TIMM)}
    assert {MODELS[name][0] for name in (*TORCHVISION, *IN_TIMM)} == theirs
    assert {MODELS[name][0] for name in SMALL | QUICK} == theirs
    assert len(theirs) == len(FAMILIES) - 5  # LeNet, ZFNet, NiN, the pre-activated ResNets and airbench are not there
    assert TORCHVISION.keys() >= SMALL
    assert TIMM.keys() >= IN_TIMM.keys() >= QUICK
    assert resnet in theirs


def pictures(name: str) -> torch.Tensor:
    return torch.randn(1, 3, 96, 107 if "alexnet" in name else 91)


def close(maps: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], after: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert maps.keys() == expected.keys()
    for stage, theirs in expected.items():
        assert theirs.std() > 1e-4
        difference = (after(maps[stage]) - theirs).abs().max() / theirs.abs().max()
        assert difference <= 1e-5, stage


@torch.no_grad()
@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in SMALL else [pytest.mark.slow]) for name in TORCHVISION])
def test_torchvisions_feature_extractor_gives_the_same(name):
    with torch.device("meta"):
        net, other = build(name), peer("torchvision", TORCHVISION[name])
    net, other = made(net).eval(), made(other).eval()
    adopt(net, other.state_dict())
    ends = in_torchvision(name, net, other)
    x = pictures(name)
    extract = create_feature_extractor(other, {end: stage for stage, end in ends.items()}, suppress_diff_warning=True)
    close(net.pyramid(x, ends), extract.eval()(x), lambda maps: maps)
    assert net.pyramid(x, ends).keys() == {stage.name for stage in net.stages()}


@torch.no_grad()
@pytest.mark.parametrize("name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in IN_TIMM])
def test_timms_features_only_gives_the_same(name):
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        net, other = build(name), peer("timm", TIMM[name])
        only = timm.create_model(TIMM[name], features_only=True)
    net, other, only = made(net).eval(), made(other).eval(), only.to_empty(device="cpu").eval()
    state = other.state_dict()
    adopt(net, state)
    taken = dict(zip(only.state_dict(), state.values(), strict=False))  # without the head, which is the last
    assert all(taken[key].shape == t.shape for key, t in only.state_dict().items())
    only.load_state_dict(taken)
    ends = IN_TIMM[name]
    assert only.feature_info.module_name() == list(ends.values())
    assert only.feature_info.reduction() == [stage.stride for stage in net.stages() if stage.name in ends]
    x = pictures(name)
    expected = dict(zip(ends, only(x), strict=True))
    close(net.pyramid(x, ends), expected, torch.relu if ends is XCEPTION else lambda maps: maps)
