"""Every claim, with the budget that takes a minute; and how verdicts are given."""

import json

import pytest

from convatlas.claims import NAMES, claim, examine
from convatlas.claims.draw import draw
from convatlas.claims.finding import FAILS, HOLDS, OPEN, Budget, more
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


def test_verdicts_are_by_intervals():
    assert more([3.0, 3.1, 2.9], [1.0, 1.1, 0.9])[0] == HOLDS
    assert more([1.0, 1.1, 0.9], [3.0, 3.1, 2.9])[0] == FAILS
    assert more([1.0, 2.0, 3.0], [2.0, 1.0, 3.0])[0] == OPEN


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
