"""Held to counting by hand and by brute force."""

import pytest
import torch

from convatlas.metrics import average_precision, calibration, confusion, metrics

Y = torch.tensor([0, 0, 0, 1, 1, 2])
SAID = torch.tensor([0, 0, 1, 1, 2, 2])
SCORES = torch.eye(4)[SAID] * 3  # of four classes, one of which has no pictures and is never said


def test_each_class_by_hand():
    found = metrics(SCORES, Y, ("a", "b", "c", "d"))
    a, b, c, d = found.per_class
    assert (a.n, a.precision, a.recall, a.f1) == (3, 1.0, pytest.approx(2 / 3), pytest.approx(0.8))
    assert (b.n, b.precision, b.recall, b.f1) == (2, 0.5, 0.5, 0.5)
    assert (c.n, c.precision, c.recall, c.f1) == (1, 0.5, 1.0, pytest.approx(2 / 3))
    assert (d.n, d.precision, d.recall, d.f1, d.ap) == (0, None, None, None, None)
    assert found.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert found.balanced_accuracy == pytest.approx((2 / 3 + 0.5 + 1) / 3)
    assert confusion(SCORES, Y).tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]


def test_average_precision_by_hand():
    """Ranked: yes, no, yes, no: (1/1 + 2/3) / 2. With a tie of one yes and one no at the top: both reach 1/2 of precision."""
    assert average_precision(torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([True, False, True, False])) == pytest.approx(5 / 6)
    assert average_precision(torch.tensor([0.9, 0.9, 0.1]), torch.tensor([True, False, False])) == 0.5
    assert average_precision(torch.tensor([0.1, 0.1]), torch.tensor([True, True])) == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_by_brute_force(seed):
    """The step-wise integral of precision over recall, one threshold after another, with many ties."""
    generator = torch.Generator().manual_seed(seed)
    score, is_it = torch.randint(8, (60,), generator=generator) / 8, torch.rand(60, generator=generator) < 0.3
    area, before = 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        taken = score >= threshold
        hits = int((taken & is_it).sum())
        recall = hits / int(is_it.sum())
        area += (recall - before) * hits / int(taken.sum())
        before = recall
    assert average_precision(score.double(), is_it) == pytest.approx(area)


def test_calibration_by_hand():
    """Two answers at .8, one right; one at .6, right; none elsewhere: gaps 2 * (.8 - .5) and 1 * (1 - .6), over three pictures."""
    probability = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.4, 0.6]], dtype=torch.double)
    bins, ece = calibration(probability, torch.tensor([0, 1, 1]), count=15)
    assert ece == pytest.approx((2 * 0.3 + 0.4) / 3)
    assert [(b.n, round(b.accuracy, 6), round(b.confidence, 6)) for b in bins if b.n] == [(1, 1.0, 0.6), (2, 0.5, 0.8)]
    assert [b for b in bins if b.n][1].low < 0.8 <= [b for b in bins if b.n][1].high


def test_calibration_by_brute_force_and_nobody_is_left_out():
    generator = torch.Generator().manual_seed(0)
    probability, y = (3 * torch.randn(500, 7, generator=generator)).double().softmax(1), torch.randint(7, (500,), generator=generator)
    probability = torch.cat([probability, torch.eye(7).double()])
    y = torch.cat([y, torch.arange(7)])
    bins, ece = calibration(probability, y)
    gap = 0.0
    for low, high in zip(torch.arange(15) / 15, torch.arange(1, 16) / 15, strict=True):
        inside = [i for i, p in enumerate(probability) if low < p.max() <= high]
        gap += abs(sum(float(probability[i].max()) - float(probability[i].argmax() == y[i]) for i in inside))
    assert ece == pytest.approx(gap / len(y))
    assert sum(b.n for b in bins) == len(y)


def test_a_perfect_network_has_nothing_to_answer_for():
    found = metrics(torch.eye(3) * 100, torch.arange(3), ("a", "b", "c"))
    assert (found.macro_f1, found.macro_ap, found.balanced_accuracy) == (1.0, 1.0, 1.0)
    assert found.ece == pytest.approx(0.0, abs=1e-9)
