"""Every network counts what its paper's file states exactly, to the last digit."""

import pytest

from convatlas.check import counts, measure, published
from convatlas.models import MODELS

EXACT = [figure for figures in published().values() for figure in counts(figures) if figure["trust"] == "computed"]
DEEP = {"resnet1202", "preresnet1001"}


def test_every_network_has_exact_counts():
    assert {figure["model"] for figure in EXACT if figure["quantity"] == "parameters"} == MODELS.keys() - {"mobilenet_v1_relu6"}
    assert {figure["model"] for figure in EXACT if figure["quantity"] == "macs"} == MODELS.keys() - {"mobilenet_v1_relu6", "lenet5"}
    assert len([figure for figure in EXACT if figure["model"] == "lenet5" and "connections" in figure["quantity"]]) == 8


@pytest.mark.parametrize("model", [pytest.param(name, marks=[pytest.mark.slow] if name in DEEP else []) for name in MODELS])
def test_counts_are_exact(model):
    figures = [figure for figure in EXACT if figure["model"] == model]
    assert [(figure["quantity"], measure(figure)) for figure in figures] == [(figure["quantity"], figure["value"]) for figure in figures]
