"""He et al. 2015, section 4.1 and Table 3: projections (B, C) are slightly better than identities (A), but not needed."""

from ..models import build
from . import Claim
from .finding import FAILS, HOLDS, OPEN, Budget, Finding, all_of, signed
from .trial import contest, plan, rivals

CLOSE = 1.5  # points; the paper's differ by .9 of top-1


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2)), plan(budget, 8, 4, decay=1e-4)
    makes = {option: lambda channels, option=option: build("resnet20", in_channels=channels, shortcut=option) for option in "ABC"}
    courses = rivals("shortcuts", makes, own, seeds, budget)
    found, other = (contest(courses, "A", better, seeds) for better in "BC")
    margins = {f"A minus {better}": own.figures["margin"] for better, own in (("B", found), ("C", other))}
    verdict = all_of(*(close(low, high) for _, low, high in margins.values()))
    says = f"{found.says}; of A and C, {signed(*other.figures['margin'])}"
    return Finding(verdict, says, {**found.figures, **margins}, found.picture, seeds, found.seconds)


def close(low: float, high: float) -> str:
    """Whether identities err less than CLOSE points more, by the interval of how much more they err."""
    return HOLDS if high < CLOSE else FAILS if low > CLOSE else OPEN


CLAIM = Claim(
    "Identity shortcuts do about as well as projections: here, err less than 1.5 points more.", "He et al. 2015, section 4.1, Table 3", test
)
