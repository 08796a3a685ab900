"""The list that ships with the package: as the networks are, by one of each kind here and by `make check` for all."""

from convatlas.analysis import analyse
from convatlas.catalogue import alike, catalogue
from convatlas.models import MODELS, build


def test_it_lists_all_networks_as_they_are():
    rows = {row["name"]: row for row in catalogue()}
    assert list(rows) == list(MODELS)
    for name in ("lenet5", "resnet18", "mobilenet_v3_small"):
        cost = analyse(build(name))
        assert (rows[name]["parameters"], rows[name]["macs"], rows[name]["size"]) == (cost.parameters, cost.macs, build(name).size)
        assert len(rows[name]["idea"]) > 40


def test_networks_alike_take_the_same_weights_and_cost_something_else():
    assert alike("resnet101") == ["resnet101_v1_5"]
    assert alike("resnet101_v1_5") == ["resnet101"]
    assert alike("vgg11") == []
