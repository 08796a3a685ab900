"""Blocks as their papers draw them, read off the modules."""

import torch
from torch import nn

from convatlas.diagram.wiring import Op, Split, form, wired
from convatlas.models import build

X = chr(215)  # the sign for times


def block(model: str, stage: str, place: int | None = None):
    with torch.device("meta"):
        module = build(model).features.get_submodule(stage)
    return module if place is None else module[place]


def labels(series) -> list[str]:
    return [step.label if isinstance(step, Op) else step.join.label for step in series]


def test_inception_has_four_branches():
    (split,), shape = wired(block("googlenet", "inception3a"), (192, 28, 28))
    assert [labels(branch) for branch in split.branches] == [
        [f"1{X}1, 64"],
        [f"1{X}1, 96", f"3{X}3, 128"],
        [f"1{X}1, 16", f"5{X}5, 32"],
        [f"max 3{X}3", f"1{X}1, 32"],
    ]
    assert split.join.label == "concatenate"
    assert shape == (256, 28, 28)


def test_a_residual_block_has_a_shortcut_and_a_plus():
    series, shape = wired(block("resnet50", "conv3_x", 1), (512, 28, 28))
    split, relu = series
    assert [labels(branch) for branch in split.branches] == [[f"1{X}1, 128", f"3{X}3, 128", f"1{X}1, 512"], []]
    assert split.branches[0][0].text == ("", f"1{X}1, 128", "BN, ReLU")
    assert split.branches[0][2].text == ("", f"1{X}1, 512", "BN")
    assert (split.join.label, relu.label, shape) == ("+", "ReLU", (512, 28, 28))


def test_a_projection_is_a_branch_with_one_layer():
    (split, _), shape = wired(block("resnet50", "conv3_x", 0), (256, 56, 56))
    assert [labels(branch) for branch in split.branches][1] == [f"1{X}1, 512, /2"]
    assert shape == (512, 28, 28)
    (split, _), _ = wired(block("resnet20", "conv3_x", 0), (16, 32, 32))
    assert [labels(branch) for branch in split.branches][1] == ["zero-pad to 32, /2"]


def test_norms_that_stand_before_a_layer_are_written_before_it():
    (split,), _ = wired(block("preresnet110", "conv2_x", 1), (16, 32, 32))
    assert [step.text for step in split.branches[0]] == [("BN, ReLU", f"3{X}3, 16", "")] * 2
    act, split = wired(block("preresnet164", "conv3_x", 0), (64, 32, 32))[0]  # this one's shortcut reads them too
    assert act.label == "BN, ReLU"
    assert [len(branch) for branch in split.branches] == [3, 1]


def test_a_gate_is_a_split_in_a_split():
    (split, _), _ = wired(block("se_resnet50", "conv2_x", 1), (256, 56, 56))
    inner = split.branches[0][-1]
    assert isinstance(inner, Split)
    assert inner.join.label == X
    assert sorted(labels(branch) for branch in inner.branches) == [[], ["global average", f"1{X}1, 16", f"1{X}1, 256"]]


def test_a_dense_layer_hands_on_what_it_reads():
    (split,), shape = wired(block("densenet121", "dense1", 0), (64, 56, 56))
    assert split.is_dense
    assert labels(split.branches[split.branches.index(()) - 1]) == [f"1{X}1, 128", f"3{X}3, 32"]
    assert shape == (96, 56, 56)
    assert not wired(block("googlenet", "inception3a"), (192, 28, 28))[0][0].is_dense


def test_layers_say_how_they_look_at_their_maps():
    chain, _ = wired(block("mobilenet_v2", "bottleneck3", 0), (16, 112, 112))
    assert labels(chain) == [f"1{X}1, 96", f"3{X}3, 96, depthwise, /2", f"1{X}1, 24"]
    assert labels(wired(block("alexnet", "conv2"), (96, 27, 27))[0]) == [f"5{X}5, 256, 2 groups"]
    assert labels(wired(block("lenet5", "C3"), (6, 14, 14))[0]) == [f"5{X}5, 16, 60 of 96 pairs"]


def test_what_does_nothing_is_not_shown():
    with torch.device("meta"):
        silent = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(6), nn.Flatten())
    assert wired(silent, (256, 6, 6)) == ((), (256 * 36,))


def test_blocks_are_of_one_kind_whatever_their_widths_and_strides():
    def of(model, stage, place, given, exact=False):
        return form(wired(block(model, stage, place), given)[0], exact)

    first, second = ("conv2_x", 0, (64, 56, 56)), ("conv3_x", 0, (256, 56, 56))
    assert of("resnet50", *first) == of("resnet50", *second)
    assert of("resnet50", *first, exact=True) != of("resnet50", *second, exact=True)
    assert of("resnet50", *second) != of("resnet50", "conv3_x", 1, (512, 28, 28))
    assert of("resnet50", *second) != of("se_resnet50", *second)
