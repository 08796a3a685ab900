from itertools import product
from math import comb

import pytest
import torch

from convatlas.intervals import between, margin, mcnemar, over_pictures, over_seeds, student, wilson


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


@pytest.mark.parametrize(
    ("p", "degrees", "t"),
    [
        (0.975, 1, 12.70620), (0.975, 2, 4.30265), (0.975, 3, 3.18245), (0.975, 4, 2.77645), (0.975, 9, 2.26216), (0.975, 10, 2.22814),
        (0.975, 30, 2.04227), (0.975, 120, 1.97993), (0.995, 10, 3.16927), (0.95, 5, 2.01505), (0.975, 100_000, 1.95999),
    ],
)  # fmt: skip
def test_students_points_are_those_of_printed_tables(p, degrees, t):
    assert student(p, degrees) == pytest.approx(t, abs=2e-5)


def test_students_interval_by_hand():
    centre, (low, high) = over_seeds([0.9, 1.0, 1.1])
    assert (centre, low, high) == pytest.approx((1.0, 1.0 - 4.302653 * 0.1 / 3**0.5, 1.0 + 4.302653 * 0.1 / 3**0.5))


def test_a_margin_is_that_of_pairs():
    """Seeds that are hard for both: the difference is far surer than either mean."""
    centre, (low, high) = margin([5.0, 7.0, 9.0], [4.0, 6.1, 7.9])
    assert (centre, low, high) == pytest.approx((1.0, *over_seeds([1.0, 0.9, 1.1])[1]))
    with pytest.raises(ValueError, match="shorter"):
        margin([1.0, 2.0], [1.0])


def test_what_lies_between_two_groups_by_hand():
    """Squares 2 and 6 around the means 4 and 2; three degrees of freedom, whose 97.5 % point is 3.182446."""
    half = 3.182446 * (8 / 3 * (1 / 2 + 1 / 3)) ** 0.5
    assert between([3.0, 5.0], [1.0, 1.0, 4.0]) == (2.0, pytest.approx((2 - half, 2 + half), abs=1e-5))


def test_mcnemars_test_by_hand():
    assert mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 1024)  # the coin shows at most one head among ten, or at most one tail
    assert mcnemar(9, 1) == mcnemar(1, 9)
    assert mcnemar(5, 5) == mcnemar(0, 0) == 1.0
    assert mcnemar(0, 6) == 2 / 64
    uneven = [heads for heads in map(sum, product((0, 1), repeat=13)) if min(heads, 13 - heads) <= 3]
    assert mcnemar(3, 10) == pytest.approx(len(uneven) / 2**13)
    assert mcnemar(1000, 1100) == pytest.approx(2 * sum(comb(2100, i) for i in range(1001)) / 2**2100)


def test_the_interval_of_a_difference_over_pictures():
    """b = 30, c = 10 of 200, by the formula for paired counts with half a picture more in each of the four cells."""
    b, c, n = 30, 10, 200
    centre, (low, high) = over_pictures(b - c, b + c, n)
    assert centre == 0.1
    half = 1.959964 / (n + 2) * (b + c + 1 - (b - c) ** 2 / (n + 2)) ** 0.5
    assert (low, high) == pytest.approx(((b - c) / (n + 2) - half, (b - c) / (n + 2) + half))
    _, (low, high) = over_pictures(0, 0, 10)
    assert low < 0 < high
