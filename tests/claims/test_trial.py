"""Trainings of experiments: what was done is read, what was interrupted goes on to the same bits."""

from dataclasses import replace

import pytest
import torch

from convatlas.claims import trial
from convatlas.claims.finding import OPEN, Budget
from convatlas.claims.small import small
from convatlas.claims.trial import Course, contest, learn, plan
from convatlas.mistake import Mistake


@pytest.fixture
def own():
    return plan(Budget(), 1, 24)


def test_what_was_trained_by_the_same_plan_is_read(own, tmp_path):
    budget = Budget(folder=tmp_path)
    first = learn("net", small, own, 0, budget)
    (file,) = tmp_path.iterdir()
    state = torch.load(file, weights_only=True)
    assert state["curve"][-1][2] == first.test_error
    torch.save(state | {"curve": [(1, 0.0, 1.5)]}, file)
    assert learn("the same for another claim", small, own, 0, budget).test_error == 1.5
    assert learn("net", small, own, 1, budget).test_error != 1.5
    assert learn("net", lambda channels: small(channels, hidden=32), own, 0, budget).test_error != 1.5  # another network by that name
    assert learn("net", small, replace(own, rate=0.05), 0, budget).test_error != 1.5


def test_an_interrupted_training_goes_on_to_the_same_bits(own, tmp_path, monkeypatch):
    own = replace(own, points=6, rate=0.005)

    def net(channels):
        return small(channels, dropout=0.5)

    def told(net):
        return {"sum": float(sum(p.detach().double().sum() for p in net.parameters()))}

    whole = learn("net", net, own, 0, Budget(), tell=told)
    monkeypatch.setattr(trial, "SAVED", 0.0)

    class Cut(Exception):
        pass

    def cut(text):
        if "step 12 " in text:
            raise Cut

    with pytest.raises(Cut):
        learn("net", net, own, 0, Budget(folder=tmp_path, follow=cut), tell=told)
    (file,) = tmp_path.iterdir()
    assert torch.load(file, weights_only=True)["step"] == 8  # saved after it was told of
    torch.manual_seed(99)
    resumed = learn("net", net, own, 0, Budget(folder=tmp_path), tell=told)
    assert resumed.curve == whole.curve
    assert resumed.told == whole.told
    assert learn("net", net, own, 0, Budget(folder=tmp_path), tell=told).told == whole.told  # of weights that were kept


def test_when_an_error_was_reached_is_between_measurements():
    course = Course(10.0, 12.0, [(100, 50.0, 52.0), (200, 30.0, 33.0), (300, 10.0, 12.0)], 1.0, 1)
    assert course.reached(40.0) == 150
    assert course.reached(70.0) == 50
    assert course.reached(5.0) is None


def test_rivals_are_judged_by_the_margin_of_their_seeds():
    def courses(*errors):
        return [Course(0.0, error, [(1, 0.0, error)], 2.0, 7, plan={"steps": 10, "batch": 4, "pictures": 20}) for error in errors]

    found = {"a": courses(10.0, 11.0), "b": courses(10.5, 10.5)}
    finding = contest(found, "a", "b", (0, 1))
    assert finding.verdict == OPEN
    assert finding.figures["a"]["each"] == [10.0, 11.0]
    assert finding.seconds == 8.0
    assert finding.says.startswith("after 2 passes the test error is 10.50 % (a) and 10.50 % (b), a difference of +0.00 (-2.15 to +2.15)")


def test_a_training_ends_when_the_error_is_enough(own):
    assert len(learn("net", small, replace(own, points=6, enough=100.0), 0, Budget()).curve) == 1


def test_what_learns_nothing_of_a_full_budget_is_no_result_where_it_must(own, tmp_path):
    for _ in range(2):  # and is not trained again
        with pytest.raises(Mistake, match="net, seed 0, learned nothing"):
            learn("net", small, replace(own, rate=0.0), 0, Budget(full=True, folder=tmp_path))
    assert torch.load(next(tmp_path.iterdir()), weights_only=True)["done"]
    assert learn("net", small, replace(own, rate=0.0), 0, Budget(full=True, folder=tmp_path), must=False).reached(50.0) is None
