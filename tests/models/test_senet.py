"""The gate of Hu et al. 2017, what makes `senet154`, and where timm's shallow nets differ."""

import pytest
import torch
from networks import averaged, counted, numbers, shell
from torch import nn

from convatlas.check import analysis, published
from convatlas.models import build
from convatlas.models.net import ConvBN, SqueezeExcite


def test_gates_cost_what_equation_5_says():
    gates = 2 / 16 * sum(blocks * c**2 for blocks, c in zip((3, 4, 6, 3), (256, 512, 1024, 2048), strict=True))
    biases = sum(blocks * (c + c // 16) for blocks, c in zip((3, 4, 6, 3), (256, 512, 1024, 2048), strict=True))
    assert counted("se_resnet50")[0] - counted("resnet50")[0] == gates + biases


PLAIN = {"resnet50": "3.86", "resnet101": "7.58", "resnet152": "11.30", "resnext50_32x4d": "4.24", "resnext101_32x4d": "7.99"}
GATED = {
    figure["model"]: figure["printed"].removesuffix(" GFLOPs")
    for figure in published()["senet"]
    if (figure["quantity"], figure["place"]) == ("macs", "Table 2")
}


@pytest.mark.parametrize(("name", "printed"), (PLAIN | GATED).items())
def test_table_2_counts_activations_and_pools_too_and_cuts_off(name, printed):
    cost = analysis(name, 224)
    total = cost.macs + numbers(cost, "ReLU", "Sigmoid") + 3 * 3 * numbers(cost, "MaxPool2d") + sum(averaged(cost))
    assert f"{total // 10**7 / 100:.2f}" == printed
    assert name in PLAIN or any(
        f"{total:,} with" in figure.get("erratum", "") for figure in published()["senet"] if figure["model"] == name
    )


def test_table_2_has_five_nets_with_gates():
    assert GATED.keys() == {f"se_{name}" for name in PLAIN}


def test_the_gate_comes_last_in_every_branch():
    for stage in shell("se_resnet50").features[2:]:
        for block in stage:
            assert isinstance(block.f[-1], SqueezeExcite)
            assert block.f[-1].gate[1].out_channels == block.f[-1].gate[1].in_channels // 16


def test_a_shut_gate_leaves_the_shortcut():
    block = build("se_resnet18").features.conv2_x[0].eval()
    with torch.no_grad():
        block.f[-1].gate[3].weight.zero_()
        block.f[-1].gate[3].bias.fill_(-1e4)
    x = torch.rand(1, 64, 4, 4)
    assert torch.equal(block(x), x)


def test_what_makes_senet154():
    net = shell("senet154")
    assert [layer.conv.kernel_size for layer in net.features.conv1] == [(3, 3)] * 3
    assert net.head.dropout.p == 0.2
    for i, stage in enumerate(net.features[2:]):
        first = stage[0]
        assert isinstance(first.shortcut, ConvBN)
        assert first.shortcut.conv.kernel_size == ((3, 3) if i else (1, 1))
        for block in stage:
            reduce, grouped = block.f[0].conv, block.f[1].conv
            assert (grouped.groups, 2 * reduce.out_channels) == (64, grouped.out_channels)


@pytest.mark.parametrize("kind", ["se_resnet18", "se_resnet50"])
def test_the_pool_rounds_up_without_padding(kind):
    with torch.device("meta"):
        assert build(kind).features.pool1(torch.empty(1, 64, 112, 112)).shape[-1] == 56


def test_timms_shallow_nets_differ_by_a_relu_in_front_of_the_gate():
    ours, theirs = (shell(name).features.conv2_x[0].f for name in ("se_resnet18", "se_resnet18_timm"))
    assert not hasattr(ours[1], "act")
    assert isinstance(theirs[1].act, nn.ReLU)
