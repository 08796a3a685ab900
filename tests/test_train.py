from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from convatlas.data import source
from convatlas.data.batches import Batches
from convatlas.data.pictures import Pictures
from convatlas.models import build
from convatlas.recipes import RECIPES, Average, Plateau, Steps
from convatlas.recipes.optimisers import SGD
from convatlas.train import Averaged, backward, fit, machine, pictures, recalibrate

INSIDE = [name for name, recipe in RECIPES.items() if recipe.model.startswith("lenet")]  # the others: recipes/test_published.py


def setting(name: str, **changes):
    recipe = replace(RECIPES[name], **changes)
    torch.manual_seed(0)
    return build(recipe.model), recipe, Batches(source(recipe.data).load("test"), recipe.batch, 0, recipe.preprocess, recipe.augment)


@pytest.mark.parametrize("name", INSIDE)
def test_every_recipe_learns(name):
    net, recipe, batches = setting(name, steps=250 if RECIPES[name].batch > 1 else 600)
    losses = [float(step.loss) for step in fit(net, recipe, batches)]
    tenth = recipe.steps // 10
    assert sum(losses[-tenth:]) < 0.6 * sum(losses[:tenth])


@pytest.mark.parametrize("name", INSIDE)
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


def test_a_batch_in_parts_gives_the_gradient_of_the_whole():
    net, recipe, batches = setting("lenet5_modern-mnist", augment=())
    twin = deepcopy(net)
    whole = backward(net, recipe, *batches[0])
    parts = backward(twin, replace(recipe, accumulate=4), *batches[0])
    assert float(parts) == pytest.approx(float(whole), rel=1e-5)
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6)


def test_a_gradient_is_clipped_to_its_norm():
    net, recipe, batches = setting("lenet5_modern-mnist", steps=1, clip=0.01, rate=Steps(1.0, ()))
    before = [p.detach().clone() for p in net.parameters()]
    rate = next(step.rate for step in fit(net, replace(recipe, optimiser=SGD(momentum=0.0)), batches))
    moved = sum(float((p.detach() - q).square().sum()) for p, q in zip(net.parameters(), before, strict=True)) ** 0.5
    assert moved == pytest.approx(0.01 * rate, rel=1e-3)


def test_pictures_grow_when_the_recipe_says():
    _, recipe, batches = setting("lenet5_modern-mnist", steps=10, sizes=((0.0, 16), (0.5, 32)))
    assert [pictures(recipe, batches, n)[0].shape[2] for n in (0, 4, 5, 9)] == [16, 16, 32, 32]


def test_a_plain_average_is_the_mean_of_the_weights_and_a_moving_one_lags_behind():
    net, recipe, batches = setting("lenet5_modern-mnist", steps=8)
    plain, moving = Averaged(net, Average(decay=None, start=0.5), 8), Averaged(net, Average(decay=0.5, every=2), 8)
    seen = []
    for step in fit(net, recipe, batches, average=plain):
        seen.append(next(net.parameters()).detach().clone())
        moving.see(net, step.n)
    torch.testing.assert_close(next(plain.net.parameters()), torch.stack(seen[3:]).mean(0))
    assert (plain.count, moving.count) == (5, 4)
    mean = torch.zeros_like(seen[0])
    for n, w in enumerate(seen[1::2], 1):
        mean = mean.lerp(w, 1 - min(0.5, (1 + n) / (10 + n)))
    assert not torch.equal(next(moving.net.parameters()), seen[-1])
    assert moving.net.training is False


def test_recalibrated_norms_have_the_mean_statistics_of_their_batches():
    recipe = replace(RECIPES["resnet20-cifar10"], steps=1, batch=64, recalibrate=3, augment=(), precision="float32", layout="plain")
    x = torch.randint(0, 256, (192, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    batches = Batches(Pictures(x, torch.arange(192) % 10, tuple("0123456789")), 64, 0, recipe.preprocess)
    net = build("resnet20")
    recalibrate(net, recipe, batches)
    first = next(layer for layer in net.modules() if isinstance(layer, torch.nn.BatchNorm2d))
    conv = next(layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d))
    means = torch.stack([conv(batches[n][0]).mean((0, 2, 3)) for n in (1, 2, 3)])
    torch.testing.assert_close(first.running_mean, means.mean(0), rtol=1e-4, atol=1e-5)
    assert first.momentum == 0.1
    assert not first.training


def test_recalibration_leaves_frozen_norms_alone():
    recipe = replace(RECIPES["resnet20-cifar10"], steps=1, batch=8, recalibrate=1, augment=(), precision="float32", layout="plain")
    x = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8)
    net = build("resnet20").freeze("conv2_x")
    recalibrate(net, recipe, Batches(Pictures(x, torch.arange(16) % 10, tuple("0123456789")), 8, 0, recipe.preprocess))
    learned = {name for name, buffer in net.named_buffers() if name.endswith("running_mean") and buffer.abs().sum() > 0}
    norms = {name for name, _ in net.named_buffers() if name.endswith("running_mean")}
    assert learned
    assert learned == {name for name in norms if not name.startswith(("features.conv1", "features.conv2_x"))}


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
