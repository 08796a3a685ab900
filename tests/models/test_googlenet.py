import pytest
import torch
from networks import parts, sides
from torch import nn
from torch.nn.functional import cross_entropy

from convatlas.analysis import analyse
from convatlas.check import analysis, published, rounds
from convatlas.models import build
from convatlas.models.googlenet import Auxiliary, Config, Inception, Row, Scores


def test_table_1_prints_the_costs_of_a_separable_conv1():
    each, mix = nn.Conv2d(3, 3 * 8, 7, 2, padding=3, groups=3, bias=False), nn.Conv2d(3 * 8, 64, 1, bias=False)
    cost = analyse(nn.Sequential(each, mix), 224)
    printed = [f for f in published()["googlenet"] if f["quantity"].endswith("of conv1") and f["trust"] == "read"]
    assert len(printed) == 2
    for figure in printed:
        total = getattr(cost, figure["quantity"].split()[0])
        assert rounds(total, figure["value"], figure["printed"])
        assert figure["erratum"].startswith(f"{total:,} ")


def test_maps_are_as_wide_as_table_1_says():
    assert sides("googlenet") == [112, 56, 56, 56, 56, 28, 28, 28, 14, 14, 14, 14, 14, 14, 7, 7, 7]


def test_auxiliary_classifiers_speak_in_training_only():
    net = build("googlenet", num_classes=5)
    x = torch.randn(2, 3, 64, 64)
    scores = net(x)
    assert isinstance(scores, Scores)
    assert [s.shape for s in scores] == [(2, 5)] * 3
    assert isinstance(net.eval()(x), torch.Tensor)


def test_without_auxiliary_classifiers_training_gives_scores():
    with torch.device("meta"):
        net = build("googlenet", aux=False)
        assert net(torch.empty(1, 3, 224, 224)).shape == (1, 1000)
    assert sum(p.numel() for p in net.parameters()) == 6_998_552


def test_auxiliary_losses_count_three_tenths():
    main, aux1, aux2, y = torch.randn(4, 5), torch.randn(4, 5), torch.randn(4, 5), torch.arange(4)
    expected = cross_entropy(main, y) + 0.3 * (cross_entropy(aux1, y) + cross_entropy(aux2, y))
    torch.testing.assert_close(Auxiliary()(Scores(main, aux1, aux2), y), expected)
    torch.testing.assert_close(Auxiliary()(main, y), cross_entropy(main, y))


@pytest.mark.parametrize(("naive", "depth", "macs"), [(True, 672, 854_196_224), (False, 480, 271_351_808)])
def test_module_of_the_lecture_costs_what_its_terms_add_up_to(naive, depth, macs):
    with torch.device("meta"):
        module = Inception(256, Row(128, 64, 192, 64, 96, 64), Config(naive=naive))
    assert module.cout == depth
    assert analyse(module, 28).macs == macs


def test_naive_modules_never_give_fewer_maps_than_they_get():
    assert [m.cout for m in parts("googlenet_naive", Inception)] == [416, 832, 1280, 1728, 2176, 2640, 3344, 4048, 4944]


def test_as_published_there_is_no_batch_norm_and_5x5_is_5x5():
    kinds = {x.kind for x in analysis("googlenet").layers}
    assert "BatchNorm2d" not in kinds
    assert "LocalResponseNorm" in kinds
    fives = [m.get_submodule("5x5").conv.conv.kernel_size for m in parts("googlenet", Inception)]
    assert fives == [(5, 5)] * 9
