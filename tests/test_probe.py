from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from convatlas.data.batches import Preprocess
from convatlas.models import build
from convatlas.probe import digest, embeddings, solve, train_linear

HERE = Preprocess(size=32, mean=(0.5,), std=(0.5,))


def some(n: int = 90, width: int = 5, classes: int = 3):
    y = torch.arange(n) % classes
    centres = 2 * torch.randn(classes, width)
    return centres[y] + torch.randn(n, width), y


def test_the_solution_is_the_minimum():
    """Newton's method, from the definition, on the same convex function."""
    x, y = (t.double() if t.is_floating_point() else t for t in some())
    found = solve(x, y, 3, 0.1)

    def loss(theta: torch.Tensor) -> torch.Tensor:
        return cross_entropy(x @ theta[:-1] + theta[-1], y) + 0.05 * theta[:-1].square().sum()

    theta = torch.zeros(6, 3, dtype=torch.double)
    for _ in range(20):
        gradient = torch.autograd.functional.jacobian(loss, theta).flatten()
        hessian = torch.autograd.functional.hessian(loss, theta).reshape(18, 18)
        theta -= (torch.linalg.pinv(hessian, hermitian=True) @ gradient).view(6, 3)  # the biases have a common shift free
    assert float(torch.autograd.functional.jacobian(loss, theta).norm()) < 1e-9
    assert float(loss(found)) == pytest.approx(float(loss(theta)), abs=1e-8)
    assert torch.allclose(found[:-1], theta[:-1], atol=1e-3)


def test_a_classifier_takes_features_as_they_are_and_tells_what_it_tried():
    x, y = some()
    x = x * torch.tensor([1.0, 100.0, 0.01, 1.0, 1.0]) + 50  # of different sizes, far from 0
    x[:, 4] = 7.0  # and one that says nothing
    linear = train_linear(x, y, 3)
    assert float((linear(x).argmax(1) == y).float().mean()) > 0.9
    assert linear.penalty in linear.tried
    assert len(linear.tried) == len(linear.errors) >= 3
    assert linear.weight[:, 4].abs().max() < 1e-3


def test_the_penalty_is_chosen_by_pictures_that_were_not_learned_from():
    """Labels that are noise: only the strongest penalty does no harm. With labels that follow from the features, a weak one is better."""
    torch.manual_seed(1)
    x = torch.randn(120, 40)
    assert train_linear(x, torch.randint(3, (120,)), 3).penalty >= 1.0
    assert train_linear(x, (x[:, 0] > 0).long(), 2).penalty <= 0.1


def test_rare_classes_count_as_much_with_weights():
    torch.manual_seed(0)
    y = torch.cat([torch.zeros(190), torch.ones(10)]).long()
    x = torch.randn(200, 2) + 1.2 * y[:, None]
    plain, fair = (train_linear(x, y, 2, weights) for weights in (None, torch.tensor([200 / 380, 10.0])))
    found = [float((linear(x).argmax(1) == y)[y == 1].float().mean()) for linear in (plain, fair)]
    assert found[1] > found[0] + 0.2


def test_features_are_kept_and_found_again_and_only_for_the_same(tmp_path):
    net, x = build("lenet5_modern"), torch.randint(256, (5, 1, 28, 28), dtype=torch.uint8)
    first = embeddings(net, x, HERE, tmp_path)
    (file,) = tmp_path.iterdir()
    told = []
    assert torch.equal(first, embeddings(net, x, HERE, tmp_path, tell=lambda *now: told.append(now)))
    assert not told  # nothing went through the network
    assert torch.equal(first, embeddings(net, x, HERE))
    name = file.stem
    other = x.clone()
    other[3, 0, 5, 5] ^= 1
    assert digest(net, other, HERE) != name
    assert digest(net, x, replace(HERE, mean=(0.4,))) != name
    net.replace_head(7)
    assert digest(net, x, HERE) == name  # the classifier has no part in the features
    with torch.no_grad():
        next(net.parameters()).add_(1e-3)
    assert digest(net, x, HERE) != name
