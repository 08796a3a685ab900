import pytest
import torch

from convatlas.check import analysis
from convatlas.models.vgg import TABLE_1, stage


@pytest.mark.parametrize(
    ("model", "depth"), [("vgg11", 11), ("vgg11_lrn", 11), ("vgg13", 13), ("vgg16_c", 16), ("vgg16", 16), ("vgg19", 19)]
)
def test_has_as_many_weight_layers_as_table_1_says(model, depth):
    assert len([x for x in analysis(model).layers if x.macs]) == depth


def test_c_is_b_and_a_1x1_layer_in_each_of_the_last_three_stages():
    assert [c[: len(b)] for b, c in zip(TABLE_1["B"], TABLE_1["C"], strict=True)] == list(TABLE_1["B"])
    assert [c[len(b) :] for b, c in zip(TABLE_1["B"], TABLE_1["C"], strict=True)] == [(), (), (1,), (1,), (1,)]


def test_a_lrn_normalises_once():
    assert [x.name for x in analysis("vgg11_lrn").layers if x.kind == "LocalResponseNorm"] == ["features.stage1.lrn1"]


def test_three_3x3_layers_cost_27_parts_of_49_of_one_7x7():
    weights = sum(p.numel() for p in stage(8, 8, (3, 3, 3), bn=False, lrn=False).parameters() if p.dim() > 1)
    assert weights * 49 == 27 * torch.nn.Conv2d(8, 8, 7).weight.numel()
