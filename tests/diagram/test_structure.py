"""The stages, blocks and side heads of whole networks, and that nothing of them is lost."""

from functools import lru_cache

import pytest
import torch

from convatlas.diagram.structure import structure
from convatlas.models import MODELS, build


@lru_cache(maxsize=8)
def read(model: str):
    with torch.device("meta"):
        return structure(build(model))


def stage(it, name):
    return next(stage for stage in it.stages if stage.name == name)


def shown(it, name) -> list[tuple[str, int]]:
    return [(slab.text[1], slab.count) for slab in stage(it, name).slabs]


def test_equal_blocks_of_a_stage_are_one_that_is_counted():
    it = read("resnet152")
    assert shown(it, "conv4_x") == [("block A", 1), ("block B", 35)]
    assert [(block.letter, block.count, block.part.place) for block in it.blocks] == [("A", 4, "conv3_x.1"), ("B", 46, "conv2_x.2")]
    assert stage(it, "conv4_x").shape == (1024, 14, 14)


def test_equal_layers_of_a_stage_are_one_that_is_counted():
    it = read("vgg16")
    assert [count for _, count in shown(it, "stage3")] == [3, 1]
    assert it.blocks == ()


def test_equal_stages_in_a_row_are_one_that_is_counted():
    it = read("xception")
    assert [stage.name for stage in it.stages][6:8] == ["middle1 to 8", "exit1"]
    assert stage(it, "middle1 to 8").count == 8
    assert stage(it, "middle1 to 8").macs == 8 * 581_068_488


def test_a_dense_block_is_one_that_grows():
    it = read("densenet_40_12")
    assert shown(it, "dense2") == [("block A", 12)]
    assert stage(it, "dense2").slabs[0].shape == (16 + 24 * 12, 16, 16)
    assert [(block.count, block.run) for block in it.blocks] == [(36, 12)]


def test_dropout_and_the_like_stand_with_the_stage_before_them():
    assert [slab.text[1] for slab in stage(read("nin"), "pool3").slabs][1:] == ["dropout"]
    assert [it.name for it in read("alexnet").stages][-4:] == ["pool5", "fc6", "fc7", "fc8"]


def test_side_heads_leave_where_the_network_says():
    it = read("googlenet")
    assert [(side.name, side.place, side.parameters) for side in it.sides] == [
        ("aux1", "inception4a", 3_188_840),
        ("aux2", "inception4d", 3_190_888),
    ]
    assert read("resnet18").sides == ()


def whole(model):
    """Whether the stages cost what the network costs, and end in its classes."""
    it = read(model)
    assert sum(stage.parameters for stage in it.stages) == it.cost.parameters
    assert sum(stage.macs for stage in it.stages) == it.cost.macs
    assert it.stages[-1].shape[0] == it.cost.layers[-1].shape[0]
    assert len({block.letter for block in it.blocks}) == len(it.blocks)


@pytest.mark.parametrize("model", ["lenet5", "alexnet", "googlenet", "resnet18", "mobilenet_v1", "mobilenet_v3_small"])
def test_nothing_is_lost(model):
    whole(model)


@pytest.mark.slow
def test_nothing_is_lost_of_any_network():
    for model in MODELS:
        whole(model)


def test_how_a_convolution_pads_makes_no_other_kind_of_block():
    padded, plain = (read(name).blocks for name in ("efficientnet_lite0", "efficientnet_lite0_timm"))
    assert [(block.letter, block.count) for block in padded] == [(block.letter, block.count) for block in plain]
    assert len(plain) == 5
