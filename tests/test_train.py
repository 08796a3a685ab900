from dataclasses import replace

import pytest
import torch

from convatlas.data import source
from convatlas.data.batches import Batches
from convatlas.models import build
from convatlas.recipes import RECIPES, Plateau
from convatlas.train import fit, machine


def setting(name: str, **changes):
    recipe = replace(RECIPES[name], **changes)
    torch.manual_seed(0)
    return build(recipe.model), recipe, Batches(source(recipe.data).load("test"), recipe.batch, 0, recipe.preprocess, recipe.augment)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns(name):
    net, recipe, batches = setting(name, steps=250 if RECIPES[name].batch > 1 else 600)
    losses = [float(step.loss) for step in fit(net, recipe, batches)]
    tenth = recipe.steps // 10
    assert sum(losses[-tenth:]) < 0.6 * sum(losses[:tenth])


@pytest.mark.parametrize("name", RECIPES)
def test_training_in_two_halves_is_training_in_one(name):
    net, recipe, batches = setting(name, steps=30)
    twin, _, again = setting(name, steps=30)
    list(fit(net, recipe, batches))
    opt = recipe.optimiser(twin)
    for step in fit(twin, recipe, again, opt):
        if step.n == 13:
            break
    list(fit(twin, recipe, again, opt, start=13))
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), twin.state_dict().values(), strict=True))


def test_steps_count_from_one_and_carry_their_rate():
    net, recipe, batches = setting("lenet5_modern-mnist", steps=3)
    assert [(step.n, step.rate) for step in fit(net, recipe, batches)] == [(n + 1, recipe.rate(n, 3)) for n in range(3)]


def test_a_plateau_hears_of_the_errors_that_its_caller_measures():
    net, recipe, batches = setting("lenet5_modern-mnist", steps=4, rate=Plateau(0.01, patience=1))
    errors: list[float] = []
    rates = []
    for step in fit(net, recipe, batches, errors=errors):
        rates.append(step.rate)
        errors.append(5.0)
    assert rates == pytest.approx([0.01, 0.01, 0.001, 1e-4])


def test_the_machine_is_left_as_it_was():
    before = torch.get_num_threads(), torch.backends.mkldnn.enabled
    with pytest.raises(ZeroDivisionError), machine(RECIPES["lenet5-mnist"]):
        assert (torch.get_num_threads(), torch.backends.mkldnn.enabled) == (1, False)
        1 / 0  # noqa: B018
    assert (torch.get_num_threads(), torch.backends.mkldnn.enabled) == before
