import pytest
import torch
from torch.autograd.functional import hessian
from torch.func import functional_call

from convatlas.data import source
from convatlas.data.batches import Batches
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.models.lenet import RBF, Squash, Subsample
from convatlas.recipes import RECIPES
from convatlas.recipes.optimisers import curvature


def test_curvature_is_exact_where_the_network_is_linear_and_nothing_is_shared():
    """Then there is nothing to approximate: it must be the diagonal of the Hessian."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 3), RBF(torch.ones(2, 3)))
    x = torch.randn(7, 5)
    found = curvature(net, x)
    last = dict(net.named_parameters())["1.weight"]

    def penalty(weight):
        return -functional_call(net, {"1.weight": weight}, (x,))[:, 0].mean()

    full = hessian(penalty, last.detach()).view(12, 12).diagonal().view(3, 4)
    torch.testing.assert_close(found[last], full)


def test_a_shared_weight_gets_the_sum_over_its_uses_by_the_papers_formulas():
    """One map, one 2x2 pool, written out by hand."""
    torch.manual_seed(1)
    net = torch.nn.Sequential(Subsample(1), Squash(), torch.nn.Flatten(), RBF(torch.ones(2, 4)))
    with torch.no_grad():
        net[0].coefficient.fill_(0.3)
        net[0].bias.fill_(0.1)
    x = torch.rand(3, 1, 4, 4)
    found = curvature(net, x)
    weight = bias = 0.0
    for picture in x:
        for i in range(0, 4, 2):
            for j in range(0, 4, 2):
                square = picture[0, i : i + 2, j : j + 2]
                slope = 1.7159 * 2 / 3 * (1 - torch.tanh(2 / 3 * (0.3 * square.sum() + 0.1)) ** 2)
                weight += 2 * slope**2 * square.square().sum() / 3
                bias += 2 * slope**2 / 3
    assert found[net[0].coefficient].item() == pytest.approx(weight.item(), rel=1e-5)
    assert found[net[0].bias].item() == pytest.approx(bias.item(), rel=1e-5)


def test_the_first_rates_of_lenet5_are_of_the_size_the_paper_prints():
    """Section III-B: in the first pass the effective rates lay between about 7e-5 and 0.016."""
    recipe = RECIPES["lenet5-mnist"]
    net = build("lenet5")
    x, _ = Batches(source("mnist").load("train"), 500, 0, recipe.preprocess)[0]
    rates = torch.cat([recipe.rate(0, recipe.steps) / (0.02 + h.flatten()) for h in curvature(net, x).values()])
    assert 7e-5 / 4 < rates.min() < 7e-5 * 4
    assert 0.016 / 2 < rates.max() < 0.016 * 2


def test_it_moves_each_weight_by_its_own_rate_and_looks_again_when_due():
    recipe = RECIPES["lenet5-mnist"]
    net = build("lenet5")
    batches = Batches(source("mnist").load("test"), 1, 0, recipe.preprocess)
    opt = recipe.optimiser(net)
    recipe.optimiser.look(opt, net, batches, 0)
    gains = {p: opt.state[p]["gain"].clone() for p in net.parameters()}
    before = {p: p.detach().clone() for p in net.parameters()}
    recipe.loss(net(batches[0][0]), batches[0][1]).backward()
    opt.param_groups[0]["lr"] = 1e-3
    opt.step()
    for p in net.parameters():
        torch.testing.assert_close(p.detach(), before[p] - 1e-3 * gains[p] * p.grad)
    recipe.optimiser.look(opt, net, batches, 1)
    assert all(torch.equal(opt.state[p]["gain"], gains[p]) for p in gains)
    recipe.optimiser.look(opt, net, batches, 60_000)
    assert not all(torch.equal(opt.state[p]["gain"], gains[p]) for p in gains)


def test_a_network_that_does_not_end_in_distances_is_refused():
    with pytest.raises(Mistake, match="LeNet5Modern ends in Linear"):
        curvature(build("lenet5_modern"), torch.randn(2, 1, 32, 32))
