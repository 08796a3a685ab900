import io
import json
from dataclasses import replace

import pytest
import timm.optim
import torch
from torch.autograd.functional import hessian
from torch.func import functional_call

from convatlas.data import source
from convatlas.data.batches import Batches
from convatlas.mistake import Mistake
from convatlas.models import build
from convatlas.models.lenet import RBF, Squash, Subsample
from convatlas.recipes import RECIPES
from convatlas.recipes.optimisers import LAMB, SGD, AdamW, Lookahead, Muon, RMSprop, curvature, orthogonal
from convatlas.recipes.text import decode, encode

METHODS = {
    "sgd": SGD(0.9, decay=1e-3, nesterov=True, apart=True, bias_rate=2.0),
    "rmsprop": RMSprop(decay=1e-3),
    "lamb": LAMB(),
    "muon": Muon(rest_rate=2.0),
    "lookahead": Lookahead(SGD(0.9), every=3),
    "lookahead over adam": Lookahead(AdamW(), every=3),
    "lookahead over muon": Lookahead(Muon(), every=3),
}


def small(seed=0):
    """A convolution, a norm with its own scale, a classifier."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 5))
    torch.nn.init.uniform_(net[1].weight, 0.5, 1.5)
    return net


def follow(net, opt, steps, start=0, rate=0.01):
    """Steps `start` to `steps`, each with a batch and a rate of its own, as `fit` sets them."""
    for n in range(start, steps):
        g = torch.Generator().manual_seed(n)
        x, y = torch.randn(4, 3, 8, 8, generator=g), torch.randint(5, (4,), generator=g)
        for group in opt.param_groups:
            group["lr"] = rate / (1 + n) * group.get("scale", 1.0)
        opt.zero_grad()
        (9 * torch.nn.functional.cross_entropy(net(x), y)).backward()
        opt.step()
    return net


def weights(net):
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def assert_same_way(ours, theirs, steps=7):
    """Both, from the same weights, with the same rates."""
    one, other = small(), small()
    follow(one, ours(one), steps)
    follow(other, theirs(other), steps)
    torch.testing.assert_close(weights(one), weights(other), rtol=1e-5, atol=1e-7)
    assert (weights(one) - weights(small())).abs().max() > 1e-3


@pytest.mark.parametrize("name", METHODS)
def test_a_method_survives_json(name):
    assert decode(json.loads(json.dumps(encode(METHODS[name])))) == METHODS[name]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("stop", [4, 6])
def test_going_on_from_a_saved_state_gives_the_same_bits(name, stop):
    whole = small()
    follow(whole, METHODS[name](whole), 10)
    net = small()
    opt = METHODS[name](net)
    follow(net, opt, stop)
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "opt": opt.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again = small(1)
    again.load_state_dict(saved["net"])
    opt = METHODS[name](again)
    opt.load_state_dict(saved["opt"])
    assert torch.equal(weights(follow(again, opt, 10, stop)), weights(whole))


@pytest.mark.parametrize("name", METHODS)
def test_each_method_makes_the_loss_smaller_and_moves_every_weight(name):
    net, x = small(), torch.randn(32, 3, 8, 8)
    y, opt, losses = x.mean((1, 2, 3)).gt(0).long(), METHODS[name](net), []
    for _ in range(24):
        for group in opt.param_groups:
            group["lr"] = 0.01 * group.get("scale", 1.0)
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert all((a != b).any() for a, b in zip(net.parameters(), small().parameters(), strict=True))


@pytest.mark.parametrize("nesterov", [False, True])
def test_plain_descent_is_torchs_to_the_bit(nesterov):
    one, other = small(), small()
    follow(one, SGD(0.9, 5e-4, nesterov)(one), 5)
    follow(other, torch.optim.SGD(other.parameters(), lr=0.0, momentum=0.9, weight_decay=5e-4, nesterov=nesterov), 5)
    assert torch.equal(weights(one), weights(other))


def test_biases_learn_faster_and_decay_no_faster():
    net = small()
    groups = SGD(decay=1e-3, bias_rate=4.0)(net).param_groups
    found = {
        p: (group["scale"], group["weight_decay"], group["scale"] * group["weight_decay"]) for group in groups for p in group["params"]
    }
    assert all(found[layer.bias] == (4.0, 2.5e-4, 1e-3) for layer in (net[0], net[1], net[3]))
    assert all(found[layer.weight] == (1.0, 1e-3, 1e-3) for layer in (net[0], net[1], net[3]))


def test_biases_and_norms_do_not_decay_if_kept_apart():
    net = small()
    found = {p: group["weight_decay"] for group in SGD(decay=1e-3, apart=True)(net).param_groups for p in group["params"]}
    assert [found[p] for p in net.parameters()] == [1e-3, 0, 0, 0, 1e-3, 0]


def test_rmsprop_is_timms_of_tensorflows():
    assert_same_way(
        RMSprop(momentum=0.9, decay=1e-3, alpha=0.8, eps=1e-2),
        lambda net: timm.optim.RMSpropTF(net.parameters(), alpha=0.8, eps=1e-2, momentum=0.9, weight_decay=1e-3),
    )


@pytest.mark.parametrize("clip", [1.0, 1e6])
def test_lamb_is_timms(clip):
    def theirs(net):
        groups = [{"params": [p for p in net.parameters() if p.dim() > 1]}]
        groups += [{"params": [p for p in net.parameters() if p.dim() == 1], "weight_decay": 0.0}]
        return timm.optim.Lamb(groups, weight_decay=0.02, max_grad_norm=clip)

    assert_same_way(LAMB(clip=clip), theirs)


def test_muon_is_torchs_where_filters_are_one_pixel_wide():
    torch.manual_seed(0)
    conv, linear = torch.nn.Conv2d(12, 8, 1, bias=False), torch.nn.Linear(12, 8, bias=False)
    linear.weight.data.copy_(conv.weight.detach().flatten(1))
    ours, theirs = Muon(normalised=False)(conv), torch.optim.Muon(linear.parameters(), weight_decay=0.0, momentum=0.6, ns_steps=3)
    for n in range(5):
        for opt in (ours, theirs):
            opt.param_groups[0]["lr"] = 0.1
        grad = torch.randn(8, 12, generator=torch.Generator().manual_seed(n))
        conv.weight.grad, linear.weight.grad = grad.view(8, 12, 1, 1).clone(), grad.clone()
        ours.step()
        theirs.step()
    torch.testing.assert_close(conv.weight.flatten(1), linear.weight, rtol=1e-2, atol=1e-2)  # bfloat16


def test_muon_brings_each_layers_filters_to_one_length_a_filter_and_leaves_the_rest_to_descent():
    net, twin = small(), small()
    opt, rest = Muon(rest=SGD(0.85, nesterov=True, decay=1e-2, bias_rate=3.0), rest_rate=2.0)(net), SGD(0.85, nesterov=True, decay=5e-3)
    follow(net, opt, 1, rate=0.0)
    torch.testing.assert_close(net[0].weight.norm(), torch.tensor(8.0).sqrt())
    assert torch.equal(net[3].weight, twin[3].weight)
    scales = {p: (group.get("scale", 1.0), group["weight_decay"]) for group in opt.param_groups for p in group["params"]}
    assert [scales[p] for p in (net[0].weight, net[3].weight)] == [(1.0, 0.0), (2.0, 5e-3)]
    assert scales[net[3].bias] == (6.0, pytest.approx(1e-2 / 6))
    net, twin = small(), small()
    opt, rest = Muon(rest=replace(rest, decay=1e-2), rest_rate=2.0)(net), rest(twin)
    follow(net, opt, 1)
    follow(twin, rest, 1, rate=0.02)
    assert torch.equal(net[3].weight, twin[3].weight)


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_an_orthogonal_matrix_keeps_its_directions_and_loses_its_lengths(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ orthogonal(matrix, 5).float() @ v.T
    assert (inner - inner.diagonal().diag()).abs().max() < 0.06
    assert inner.diagonal().min() > 0.6
    assert inner.diagonal().max() < 1.25


def test_lookahead_falls_back_from_where_it_went():
    net, twin = small(), small()
    opt = Lookahead(SGD(0.9), every=3, share=0.25)(net)
    plain = SGD(0.9)(twin)
    begin = weights(small())
    assert torch.equal(weights(follow(net, opt, 2)), weights(follow(twin, plain, 2)))
    follow(net, opt, 3, start=2)
    follow(twin, plain, 3, start=2)
    torch.testing.assert_close(weights(net), begin + 0.25 * (weights(twin) - begin))


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
