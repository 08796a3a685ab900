import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from convatlas.recipes import RECIPES, Cosine, Knots, OneCycle, Plateau, Poly, Stairs, Steps


def test_steps_divide_at_each_mark():
    rate = Steps(0.1, at=(32_000, 48_000))
    assert [rate(n, 64_000) for n in (0, 31_999, 32_000, 48_000)] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_lenets_rates_are_the_papers_pass_by_pass():
    rate = RECIPES["lenet5-mnist"].rate
    assert [rate(p * 60_000, 1_200_000) for p in range(20)] == [5e-4] * 2 + [2e-4] * 3 + [1e-4] * 3 + [5e-5] * 4 + [1e-5] * 8


def test_stairs_and_knots():
    assert [Stairs((0, 2, 5), (3.0, 2.0, 1.0))(n, 9) for n in range(7)] == [3, 3, 2, 2, 2, 1, 1]
    knots = Knots(((0.0, 0.0), (0.2, 1.0), (1.0, 0.0)))
    assert [knots(n, 10) for n in (0, 1, 2, 6, 10)] == pytest.approx([0, 0.5, 1, 0.5, 0])


def test_caffes_poly_falls_as_a_root():
    assert [Poly(rate=0.01, power=0.5)(n, 100) for n in (0, 75, 99)] == pytest.approx([0.01, 0.005, 0.001])


@pytest.mark.parametrize("steps", [50, 400])
def test_cosine_and_one_cycle_are_torchs_own(steps):
    weight = torch.nn.Parameter(torch.zeros(1))
    opt = torch.optim.SGD([weight], lr=0.3)
    own = torch.optim.lr_scheduler.CosineAnnealingLR(opt, steps)
    for n in range(steps):
        assert Cosine(0.3)(n, steps) == pytest.approx(opt.param_groups[0]["lr"], abs=1e-9)
        opt.step()
        own.step()
    opt = torch.optim.SGD([weight], lr=1.0)
    own = torch.optim.lr_scheduler.OneCycleLR(opt, 0.3, total_steps=steps, cycle_momentum=False)
    for n in range(steps):
        assert OneCycle(0.3)(n, steps) == pytest.approx(opt.param_groups[0]["lr"], rel=0.08, abs=2e-3)
        opt.step()
        if n < steps - 1:
            own.step()


def test_warm_up_rises_and_joins():
    rate = Cosine(1.0, warm=0.1, last=0.1)
    row = [rate(n, 100) for n in range(101)]
    assert row[:11] == sorted(row[:11])
    assert max(row) == row[10] == 1.0
    assert row[100] == pytest.approx(0.1)


def test_plateau_waits_then_drops_and_stops_dropping():
    rate = Plateau(0.1, patience=2, times=2)
    errors = [9.0, 8.0, 8.5, 8.2, 7.9, 7.9, 8.0, 8.0, 8.0, 8.0]
    got = [rate(0, 1, errors[:i]) for i in range(len(errors) + 1)]
    assert got == pytest.approx([0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.001])


@given(st.sampled_from(sorted(RECIPES)), st.floats(0, 1))
def test_every_recipe_has_a_rate_at_every_step(name, share):
    recipe = RECIPES[name]
    n = min(int(share * recipe.steps), recipe.steps - 1)
    assert 0 <= recipe.rate(n, recipe.steps) < 10
    assert n == 0 or recipe.rate(n, recipe.steps) > 0  # some rise from nothing
