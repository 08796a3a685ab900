"""Other people's counters: our rules for them give what they themselves printed (bench/counters.py), to the unit."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convatlas.analysis import analyse
from convatlas.models import MODELS, build
from convatlas.rules import RULES, totals

MEASURED = json.loads((Path(__file__).parent.parent / "results" / "bench" / "counters.json").read_text())["counts"]
DEEPEST = ("resnet1202", "preresnet1001")  # a quarter of the time of all others together


def told(name: str) -> dict[str, int]:
    with torch.device("meta"):
        return {row["rule"]: row["total"] for row in totals(analyse(build(name)))}


@pytest.mark.parametrize("name", MEASURED)
def test_each_rule_gives_what_the_tool_printed(name):
    ours = told(name)
    assert len(MEASURED[name]) == 6
    assert MEASURED[name] == {tool: ours[tool] for tool in MEASURED[name]}


def test_one_resnet50_has_the_seven_figures_that_are_known():
    printed = [round(total / 1e6, 1) for total in told("resnet50_v1_5").values()]
    assert printed == [4089.2, 4089.2, 4089.2, 4111.5, 4132.4, 4133.7, 8178.4]
    assert len(set(told("resnet50_v1_5").values())) == len(RULES) == 7


@pytest.mark.slow
def test_torch_counts_two_for_each_of_our_multiply_accumulates_in_all_networks():
    covered = 0
    for name in MODELS.keys() - {*DEEPEST, "lenet5"}:  # RBF units and subsampling are no matrix products to torch
        with torch.device("meta"):
            net = build(name).eval()
            channels = next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d))
            with FlopCounterMode(display=False) as counter:
                net(torch.empty(1, channels, net.size, net.size))
        assert counter.get_total_flops() == told(name)["torch's FlopCounterMode"], name
        covered += 1
    assert covered == len(MODELS) - 3
