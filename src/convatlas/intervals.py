"""How sure one can be of a figure: intervals over pictures and over seeds, and tests of two networks on the same pictures."""

from collections.abc import Sequence
from math import cos, pi, sin, sqrt, tan
from statistics import mean, stdev

NORMAL = 1.959964  # the 97.5 % point of the normal distribution

Interval = tuple[float, float]


def wilson(k: int, n: int, z: float = NORMAL) -> Interval:
    """The interval, in percent, that holds the true share with 95 % confidence when k of n were counted (Wilson 1927)."""
    share, spread = k / n, z * z / n
    centre, half = share + spread / 2, z * sqrt(share * (1 - share) / n + spread / (4 * n))
    return 100 * max(0.0, (centre - half) / (1 + spread)), 100 * min(1.0, (centre + half) / (1 + spread))


def over_seeds(values: Sequence[float]) -> tuple[float, Interval]:
    """The mean of measurements, one a seed, at least 2, and Student's interval of it at 95 %."""
    half = student(0.975, len(values) - 1) * stdev(values) / sqrt(len(values))
    return mean(values), (mean(values) - half, mean(values) + half)


def margin(first: Sequence[float], second: Sequence[float]) -> tuple[float, Interval]:
    """By how much the first measurements are larger, in the mean, and Student's interval of that at 95 %.

    They are paired: the i-th of both have the seed in common. Raises ValueError if there are not as many of both.
    """
    return over_seeds([a - b for a, b in zip(first, second, strict=True)])


def between(first: Sequence[float], second: Sequence[float]) -> tuple[float, Interval]:
    """By how much the first measurements are larger than others they have nothing in common with, and Student's interval at 95 %.

    Both are taken to spread alike, and there are at least three in all.
    """
    n, m = len(first), len(second)
    squares = sum((v - mean(values)) ** 2 for values in (first, second) for v in values)
    middle, half = mean(first) - mean(second), student(0.975, n + m - 2) * sqrt(squares / (n + m - 2) * (1 / n + 1 / m))
    return middle, (middle - half, middle + half)


def over_pictures(total: float, squares: float, n: int) -> tuple[float, Interval]:
    """The mean of n differences, each between -1 and 1 and of one picture, and its interval at 95 %; given their sum and sum of squares.

    The interval's middle is drawn towards 0 a little, as if each way of being right or wrong had occurred half a time more
    (Agresti & Min 2005): with no difference among few pictures it is still not of width 0.
    """
    centre = total / (n + 2)
    half = NORMAL * sqrt(((squares + 1) / (n + 2) - centre**2) / (n + 2))
    return total / n, (centre - half, centre + half)


def mcnemar(b: int, c: int) -> float:
    """The chance of a split as uneven as b to c, or more so, if either network were as likely to be the one that is right.

    b and c are the pictures that only the first, and only the second, gets wrong (McNemar 1947; exact, from the binomial distribution).
    """
    n, term, below = b + c, 1, 0
    for i in range(min(b, c) + 1):
        below += term
        term = term * (n - i) // (i + 1)
    return min(1.0, 2 * below / 2**n)


def student(p: float, degrees: int) -> float:
    """The point below which a share p > .5 of Student's distribution lies, found by halving."""
    low, high = 0.0, pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, degrees) < 2 * p - 1 else (low, middle)
    return sqrt(degrees) * tan(low)


def within(angle: float, degrees: int) -> float:
    """The share of Student's distribution between -t and t, where t is sqrt(degrees) * tan(angle).

    A finite sum for whole degrees of freedom: Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.
    """
    odd = degrees % 2
    term, total = cos(angle) ** odd, 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cos(angle) ** 2
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
