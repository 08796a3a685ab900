"""He et al. 2015, section 4.1 and Table 3: projections (B, C) are slightly better than identities (A), but not needed."""

from ..models import build
from . import Claim
from .finding import FAILS, HOLDS, Budget, Finding
from .trial import contest, plan, rivals


def test(budget: Budget) -> Finding:
    seeds, own = budget.of((0, 1), (0, 1, 2)), plan(budget, 8, 4)
    makes = {option: lambda channels, option=option: build("resnet20", in_channels=channels, shortcut=option) for option in "ABC"}
    found = contest(rivals("shortcuts", makes, own, seeds, budget), "A", "B", seeds)
    _, low, high = found.figures["margin"]
    if not budget.full:
        return found
    close = max(abs(low), abs(high)) < 1.5
    return Finding(HOLDS if close else FAILS if low > 0 else found.verdict, found.says, found.figures, found.picture, seeds, found.seconds)


CLAIM = Claim("Identity shortcuts do about as well as projections.", "He et al. 2015, section 4.1, Table 3", test)
