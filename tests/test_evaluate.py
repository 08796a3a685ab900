import pytest
import torch

from convatlas.evaluate import evaluate, over_seeds, wilson


def test_errors_are_counted_by_the_first_and_by_the_first_five():
    scores = torch.eye(10).repeat(2, 1) - 0.01 * torch.arange(10.0)
    y = torch.arange(10).repeat(2)
    y[0], y[1] = 1, 9  # wrong but among the first five; wrong altogether
    found = evaluate(scores, y)
    assert (found.top1_error, found.top5_error, found.n) == (10.0, 5.0, 20)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(95, 10_000, 0.7778, 1.1598), (0, 10, 0.0, 27.7533), (10, 10, 72.2467, 100.0), (1, 2, 9.4531, 90.5469)]
)
def test_wilsons_interval(k, n, low, high):
    """Computed independently from the quadratic (p - q)^2 = z^2 q (1 - q) / n, by its roots."""
    assert wilson(k, n) == pytest.approx((low, high), abs=1e-3)
    z = 1.959964
    a, b, c = 1 + z * z / n, -(2 * k / n + z * z / n), (k / n) ** 2
    roots = torch.tensor([(-b - (b * b - 4 * a * c) ** 0.5) / (2 * a), (-b + (b * b - 4 * a * c) ** 0.5) / (2 * a)])
    assert [v / 100 for v in wilson(k, n)] == pytest.approx(roots.clamp(0, 1).tolist(), abs=1e-5)


def test_students_interval_by_hand():
    centre, (low, high) = over_seeds([0.9, 1.0, 1.1])
    assert (centre, low, high) == pytest.approx((1.0, 1.0 - 4.303 * 0.1 / 3**0.5, 1.0 + 4.303 * 0.1 / 3**0.5))
