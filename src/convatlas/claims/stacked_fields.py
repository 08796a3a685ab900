"""Simonyan & Zisserman 2014, section 2.3: two 3x3 convolutions see 5x5 and three see 7x7, with 18/25 and 27/49 of the weights."""

from torch import nn

from ..analysis import analyse
from . import Claim
from .finding import Budget, Finding, counted

MAPS = 64


def test(_: Budget) -> Finding:
    figures = {}
    for k in (3, 5, 7):
        stack = nn.Sequential(*(nn.Conv2d(MAPS, MAPS, 3, padding=1, bias=False) for _ in range(k // 2)))
        one = nn.Sequential(nn.Conv2d(MAPS, MAPS, k, padding=k // 2, bias=False))
        stacked, large = (analyse(net, 32) for net in (stack, one))
        figures[f"{k // 2} of 3x3 for {k}x{k}"] = {
            "fields": [stacked.layers[-1].field, large.layers[-1].field],
            "weights": [stacked.parameters, large.parameters],
            "share": round(stacked.parameters / large.parameters, 4),
        }
    right = all(
        row["fields"] == [k, k] and row["share"] == round(9 * (k // 2) / k**2, 4)
        for k, row in zip((3, 5, 7), figures.values(), strict=True)
    )
    says = "the fields are equal, and the weights " + ", ".join(f"{100 * row['share']:.0f} %" for row in figures.values())
    return counted(right, says, figures, {name: row["share"] for name, row in figures.items()}, "share of the weights")


CLAIM = Claim("A stack of 3x3 convolutions sees as far as one large one, with fewer weights: 81 % more in a 7x7 than in three 3x3.",
              "Simonyan & Zisserman 2014, section 2.3", test, trained=False)  # fmt: skip
