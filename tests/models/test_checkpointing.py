"""That recomputing changes memory alone: the same scores, gradients and statistics, to the bit."""

from copy import deepcopy

import pytest
import torch
from test_contract import LARGE, SMALL
from torch import fx, nn

from convatlas.models import MODELS, build
from convatlas.models.checkpointing import blocks
from convatlas.models.googlenet import Auxiliary
from convatlas.models.net import Net

HEADLESS = {name for name, (family, _) in MODELS.items() if family in LARGE}


def step(net: Net, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """All that a training step of SGD depends on."""
    torch.manual_seed(1)
    net.train().zero_grad()
    y = net(x)
    Auxiliary()(y, torch.arange(len(x))).backward()
    return {name: p.grad.clone() for name, p in net.named_parameters()} | {name: b.clone() for name, b in net.named_buffers()}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in SMALL | {"vgg11_bn", "alexnet_owt"} else [pytest.mark.slow]) for name in MODELS],
)
def test_gradients_and_statistics_are_the_same_to_the_bit(name):
    net = build(name, num_classes=5)
    if name in HEADLESS:  # a hundred million weights that nothing here is about
        net.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    side = min(67, net.size)
    channels = next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.3
    twin = deepcopy(net).checkpointing()
    assert any("forward" in vars(layer) for layer in twin.features.modules())
    x = torch.randn(3, channels, side, side)
    for _ in range(2):
        plain, again = step(net, x), step(twin, x)
        assert plain.keys() == again.keys()
        for key, value in plain.items():
            assert torch.equal(again[key], value), key


def test_every_network_is_asked():
    assert len(MODELS) == 110


def saved(net: Net, x: torch.Tensor) -> int:
    seen: dict[int, int] = {}

    def note(t: torch.Tensor) -> torch.Tensor:
        seen[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        net(x)
    return sum(seen.values())


@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18", "mobilenet_v2", "efficientnet_b0"])
def test_it_keeps_less(name):
    net = build(name, num_classes=5)
    net.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.features.requires_grad_()
    x = torch.randn(2, 3, 96, 96)
    weights = sum(p.nbytes for p in net.parameters())
    plain = saved(net, x) - weights
    kept = 0

    def note(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        nonlocal kept
        kept += given[0].nbytes

    net.checkpointing()
    for block in blocks(net.features):
        block.register_forward_pre_hook(note)
    net(x)
    assert 0 < kept < 0.5 * plain


def test_it_can_be_switched_off_copied_and_traced():
    net = build("resnet20").checkpointing()
    copy = deepcopy(net)
    with torch.no_grad():
        for p in copy.parameters():
            p.zero_()
    x = torch.randn(2, 3, 32, 32)
    assert net.eval()(x).any()
    assert not copy.eval()(x).any()
    assert torch.equal(fx.symbolic_trace(net)(x), net(x))
    assert net.stages() == build("resnet20").stages()
    assert net.checkpointing(False)(x).any()
    assert not any("forward" in vars(layer) for layer in net.modules())


def test_frozen_stages_and_thrifty_blocks_are_recomputed_too():
    x = torch.randn(2, 3, 64, 64)
    net = build("resnet18", num_classes=5).freeze("conv2_x")
    twin = deepcopy(net).checkpointing()
    for each in (net, twin):
        nn.functional.cross_entropy(each.train()(x), torch.arange(2)).backward()
    for ours, theirs in zip(twin.parameters(), net.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        assert ours.grad is None or torch.equal(ours.grad, theirs.grad)
    net = build("densenet121", depths=(2, 2, 2, 2), num_classes=5, thrifty=True)
    twin = deepcopy(net).checkpointing()
    plain, again = step(net, x), step(twin, x)
    assert all(torch.equal(plain[key], again[key]) for key in plain)
