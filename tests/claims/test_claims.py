"""Every claim, with the budget that takes a minute; and how verdicts are given."""

import json
from pathlib import Path

import pytest

from convatlas.claims import NAMES, claim, examine
from convatlas.claims.degradation import judged
from convatlas.claims.draw import draw
from convatlas.claims.finding import FAILS, HOLDS, OPEN, Budget, all_of, more
from convatlas.claims.relu_sooner import best, sooner
from convatlas.claims.shortcuts import close
from convatlas.intervals import margin
from convatlas.mistake import Mistake


@pytest.mark.parametrize("name", NAMES)
def test_a_claim_runs_and_its_finding_is_plain_data_with_a_picture(name, tmp_path):
    found = examine(name, Budget(folder=tmp_path))
    assert found["verdict"] in (HOLDS, FAILS, OPEN)
    assert json.loads(json.dumps(found)) == found
    assert (len(found["seeds"]) > 0) == found["trained"]
    draw(found, tmp_path / "picture.svg")
    assert found["claim"] in (tmp_path / "picture.svg").read_text()
    if not found["trained"]:
        assert found["verdict"] == HOLDS


def test_there_are_as_many_as_promised():
    assert len(NAMES) >= 18
    assert sum(claim(name).trained for name in NAMES) >= 10
    assert len({claim(name).sentence for name in NAMES}) == len(NAMES)
    with pytest.raises(Mistake, match="no claim 'magic'; there are: lenet_counts"):
        claim("magic")


def test_ten_trained_ones_were_tried_in_full():
    kept = [json.loads(path.read_text()) for path in (Path(__file__).parents[2] / "results" / "claims").glob("*.json")]
    full = {found["claim"] for found in kept if found["trained"] and found["budget"] == "full"}
    assert len(full) >= 10
    assert "degradation" in full


def test_verdicts_are_by_intervals():
    assert more([3.0, 3.1, 2.9], [1.0, 1.1, 0.9])[0] == HOLDS
    assert more([1.0, 1.1, 0.9], [3.0, 3.1, 2.9])[0] == FAILS
    assert more([1.0, 2.0, 3.0], [2.0, 1.0, 3.0])[0] == OPEN
    assert more([1.0, 5.0, 9.0], [0.9, 4.85, 8.9])[0] == OPEN
    assert more([1.0, 5.0, 9.0], [0.9, 4.85, 8.9], margin)[0] == HOLDS  # of the same network, in pairs


def test_degradation_takes_both_halves():
    worse, better = {"plain20": [12.1, 12.4], "plain56": [36.2, 38.0]}, {"resnet20": [9.0, 9.2], "resnet56": [6.1, 6.0]}
    verdict, says, _ = judged(worse | better)
    assert verdict == HOLDS
    assert says.startswith("training error: plain-56 beside plain-20 +24.85 (+20.")
    assert "ResNet-56 beside ResNet-20 -3.05 (-3." in says
    assert judged(worse | {"resnet20": [6.1, 6.0], "resnet56": [9.0, 9.2]})[0] == FAILS
    assert judged({"plain20": [12.0, 30.0], "plain56": [13.0, 31.0]} | better)[0] == OPEN


def test_several_things_at_once_hold_if_each_does():
    assert all_of(HOLDS, HOLDS) == HOLDS
    assert all_of(HOLDS, OPEN) == OPEN
    assert all_of(OPEN, FAILS, HOLDS) == FAILS


def test_as_well_as_another_is_less_than_so_much_worse():
    assert [close(low, high) for low, high in ((-2.0, -0.2), (0.1, 1.4), (0.1, 1.6), (1.6, 3.0))] == [HOLDS, HOLDS, OPEN, FAILS]


def test_sooner_is_by_the_interval_and_who_never_gets_there_took_longer():
    assert sooner([100, 110, 90], [600, 590, 610], 900)[:2] == (HOLDS, pytest.approx(6.0, rel=0.02))
    assert sooner([100, 110, 90], [None, None, None], 900)[:2] == (HOLDS, pytest.approx(9.0, rel=0.02))
    assert sooner([100, 110, 90], [150, 140, 160], 900).verdict == FAILS
    assert sooner([100, 110, 90], [None, None, None], 150).verdict == OPEN
    assert sooner([100, 110, 90], [190, 210, 230], 900).verdict == OPEN
    assert sooner([None, 110, 90], [600, 590, 610], 900).verdict == OPEN
    assert best({"rate 1": [300, None], "rate 2": [400, 500]}, 900) == "rate 2"


def test_the_command_lists_and_runs(convatlas, alone, tmp_path):
    listed = json.loads(convatlas("claims", "--json").stdout)
    assert [row["claim"] for row in listed] == list(NAMES)
    done = convatlas("claims", "vgg_weights", "stacked_fields", "--quick", "--out", tmp_path / "found")
    assert done.stdout.startswith("vgg_weights: holds. 138,357,544 weights")
    assert {p.name for p in (tmp_path / "found").iterdir()} == {
        f"{n}.{e}" for n in ("vgg_weights", "stacked_fields") for e in ("json", "svg")
    }
    assert convatlas("claims", "magic", "--quick").returncode == 2
    assert convatlas("claims", "--quick", "--full").returncode == 2
