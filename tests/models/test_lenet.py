"""The numbers of LeCun et al. 1998, section II-B, counted off the network."""

import pytest
import torch

from convatlas.analysis import analyse
from convatlas.check import published
from convatlas.models import build
from convatlas.models.lenet import MAP, TABLE_I, Penalty, Squash, Subsample, codes


def test_each_layer_is_counted_and_together_they_are_the_total():
    exact = [figure for figure in published()["lenet"] if figure["model"] == "lenet5" and figure["trust"] == "computed"]
    counts = {figure["quantity"]: figure["value"] for figure in exact}
    for quantity in ("parameters", "connections"):
        parts = [value for name, value in counts.items() if name.startswith(f"{quantity} of ")]
        assert len(parts) == 7
        assert sum(parts) == counts[quantity]


def test_a_unit_of_c5_sees_the_whole_picture():
    assert next(layer.field for layer in analyse(build("lenet5")).layers if layer.name == "features.C5.conv") == 32


def test_table_i_is_as_printed():
    rows = [[str(s2) in maps for s2 in range(6)] for maps in TABLE_I]
    assert sum(map(sum, rows)) == 60
    assert [sum(row) for row in rows] == [3] * 6 + [4] * 9 + [6]
    assert [sum(column) for column in zip(*rows, strict=True)] == [10] * 6  # each map of S2 is read equally often


def test_table_convolution_is_a_convolution_with_the_missing_kernels_zero():
    layer = build("lenet5").features.C3.conv
    full = torch.nn.Conv2d(6, 16, 5)
    with torch.no_grad():
        full.weight.zero_()
        full.bias.copy_(layer.bias)
        kernels = iter(layer.weight)
        for out, maps in enumerate(TABLE_I):
            for s2 in maps:
                full.weight[out, int(s2)] = next(kernels)
    x = torch.randn(2, 6, 14, 14)
    torch.testing.assert_close(layer(x), full(x))


def test_a_map_of_c3_is_blind_to_the_maps_it_does_not_read():
    x = torch.randn(1, 6, 14, 14, requires_grad=True)
    build("lenet5").features.C3.conv(x)[0, 0].sum().backward()
    assert [bool(x.grad[0, s2].any()) for s2 in range(6)] == [True, True, True, False, False, False]


def test_squash_meets_one_at_one():
    at = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)
    torch.testing.assert_close(Squash()(at), at, atol=2e-5, rtol=0)
    assert Squash()(torch.tensor(1e9)).item() == pytest.approx(1.7159)


def test_subsampling_is_coefficient_times_sum_plus_bias():
    layer = Subsample(2)
    with torch.no_grad():
        layer.coefficient.copy_(torch.tensor([2.0, -1.0]).view(2, 1, 1))
        layer.bias.copy_(torch.tensor([0.5, 0.0]).view(2, 1, 1))
    x = torch.arange(8.0).view(1, 2, 2, 2)
    assert layer(x).flatten().tolist() == [2 * (0 + 1 + 2 + 3) + 0.5, -(4 + 5 + 6 + 7)]


def test_scores_are_minus_squared_distances_to_the_bitmaps():
    net = build("lenet5")
    x = torch.randn(3, 1, 32, 32)
    f6 = net.head[:2](net.features(x))
    expected = [[-sum((a - b) ** 2 for a, b in zip(row, code, strict=True)) for code in codes(10).tolist()] for row in f6.tolist()]
    torch.testing.assert_close(net(x), torch.tensor(expected), rtol=1e-4, atol=1e-3)


def test_the_bitmaps_are_fixed_and_all_different():
    assert codes(10).shape == (10, 84)
    assert set(codes(10).flatten().tolist()) == {-1.0, 1.0}
    distances = torch.cdist(codes(10), codes(10)).square() + 1e9 * torch.eye(10)
    assert distances.min() >= 4 * 10  # no two digits share all but nine pixels
    assert "head.output.weight" in dict(build("lenet5").named_buffers())


def test_other_numbers_of_classes_get_codes_of_their_own_always_the_same():
    assert torch.equal(codes(26), codes(26))
    assert build("lenet5", num_classes=26)(torch.randn(2, 1, 32, 32)).shape == (2, 26)


def test_equation_8_is_the_mean_penalty_of_the_right_class():
    scores = torch.tensor([[-3.0, -1.0], [-2.0, -7.0]])
    assert Penalty()(scores, torch.tensor([0, 1])).item() == pytest.approx((3 + 7) / 2)


def test_equation_9_by_hand():
    penalties, j = [3.0, 1.0, 8.0], 2.0
    expected = penalties[0] + torch.tensor([-j, *(-y for y in penalties)]).exp().sum().log()
    loss = MAP(garbage=j)(-torch.tensor([penalties]), torch.tensor([0]))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_equation_9_leaves_wrong_classes_alone_that_are_farther_than_garbage():
    scores = torch.tensor([[-1.0, -60.0]], requires_grad=True)
    MAP(garbage=20.0)(scores, torch.tensor([0])).backward()
    assert scores.grad[0, 1].abs() < 1e-6


@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize("act", ["relu", "tanh", "sigmoid"])
def test_the_modern_form_takes_its_pooling_and_activation_from_the_config(pool, act):
    net = build("lenet5_modern", pool=pool, act=act)
    assert sum(p.numel() for p in net.parameters()) == 61_706
    kinds = {layer.kind for layer in analyse(net).layers}
    assert {"max": "MaxPool2d", "average": "AvgPool2d"}[pool] in kinds
    assert {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid"}[act] in kinds


@pytest.mark.parametrize("name", ["lenet5", "lenet5_modern"])
def test_larger_pictures_leave_more_units_in_c5_and_f6_reads_them_all(name):
    net = build(name, size=64)
    assert net.features(torch.randn(1, 1, 64, 64)).shape == (1, 120, 9, 9)
    assert net.head.F6[0].in_features == 120 * 9 * 9
    assert net(torch.randn(2, 1, 64, 64)).shape == (2, 10)


@pytest.mark.parametrize("name", ["lenet5", "lenet5_modern"])
def test_pictures_of_another_size_than_it_was_built_for_are_refused(name):
    with pytest.raises(RuntimeError, match=r"480.* 120x84"):
        build(name)(torch.randn(1, 1, 36, 36))
    with pytest.raises(ValueError, match=r"1 x 36 x 36 do not fit this network, after head\.flatten"):
        analyse(build(name), 36)
    with pytest.raises(ValueError, match="32 pixels a side or more, not 28"):
        build(name, size=28)


def test_a_name_or_a_setting_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(ValueError, match=r"no model 'lenet'; there are: .*lenet5"):
        build("lenet")
    with pytest.raises(ValueError, match=r"lenet5 has no setting 'classes'; it has: .*num_classes"):
        build("lenet5", classes=3)
