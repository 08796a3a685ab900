"""Szegedy et al. 2014, section 4: without 1x1 reductions an Inception module would be too expensive; lectures say 854 million against 358.

The lecture's module (CS231n 2017) reads 28 x 28 x 256 maps: 1x1 of 128, 3x3 of 192, 5x5 of 96, and a pool. Erratum: with 64 maps
in each reduction and behind the pool it prints 358 million, but the six products that it lists add up to 271,351,808; with the
3x3's a second time to 358,055,936.
"""

from . import Claim
from .finding import Budget, Finding, counted

SIDE, GIVEN, ONE, THREE, FIVE, REDUCED = 28, 256, 128, 192, 96, 64


def test(_: Budget) -> Finding:
    places = SIDE**2
    naive = places * GIVEN * (ONE + 9 * THREE + 25 * FIVE)
    reduced = places * (GIVEN * (ONE + 3 * REDUCED) + REDUCED * (9 * THREE + 25 * FIVE))
    twice = reduced + places * REDUCED * 9 * THREE
    figures = {
        "naive": naive,
        "reduced": reduced,
        "ratio": round(naive / reduced, 3),
        "the 3x3 counted twice": twice,
        "lecture": [854e6, 358e6],
    }
    right = round(naive / 1e6) == 854 and naive > 2 * reduced and round(twice / 1e6) == 358
    says = (f"{naive:,} multiply-accumulates, {reduced:,} with reductions, {naive / reduced:.2f} times fewer; "
            f"the 358 million that the lecture prints have the 3x3's twice ({twice:,})")  # fmt: skip
    return counted(right, says, figures, {"naive": naive / 1e6, "reduced": reduced / 1e6}, "million multiply-accumulates")


CLAIM = Claim("1x1 convolutions in front of the large windows make an Inception module less than half as expensive.",
              "Szegedy et al. 2014, section 4; CS231n 2017, lecture 9", test, trained=False)  # fmt: skip
