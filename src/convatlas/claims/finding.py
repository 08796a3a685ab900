"""What an experiment may cost, and what it finds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..intervals import Interval, between

T = TypeVar("T")
Margin = Callable[[Sequence[float], Sequence[float]], tuple[float, Interval]]
HOLDS, FAILS, OPEN = "holds", "does not hold here", "cannot be decided at this budget"


@dataclass(frozen=True)
class Budget:
    """A minute or two, or hours if `full`. What is trained is kept in `folder`, where an experiment that was interrupted goes on."""

    full: bool = False
    folder: Path | None = None
    follow: Callable[[str], object] = str

    def of(self, quick: T, full: T) -> T:
        return full if self.full else quick


@dataclass(frozen=True)
class Finding:
    """`says` is a sentence with the numbers; `seconds` of training, if any.

    `picture` is plain data: {"kind": "lines", "x", "y", "series": {name: [[x, y], ...]}}, or {"kind": "bars", "y", "bars": {name:
    [value, low, high]}}, or {"panels": [of these]}; lines may have a "scale" for y, "log".
    """

    verdict: str
    says: str
    figures: Mapping[str, Any]
    picture: Mapping[str, Any] | None = None
    seeds: Sequence[int] = field(default=())
    seconds: float = 0.0


def counted(right: bool, says: str, figures: Mapping[str, Any], bars: Mapping[str, float], y: str) -> Finding:
    """Of a claim that is arithmetic."""
    picture = {"kind": "bars", "y": y, "bars": {name: [value, value, value] for name, value in bars.items()}}
    return Finding(HOLDS if right else FAILS, says, figures, picture)


def all_of(*verdicts: str) -> str:
    """Of a claim that says several things at once."""
    return FAILS if FAILS in verdicts else OPEN if OPEN in verdicts else HOLDS


def signed(middle: float, low: float, high: float) -> str:
    """A margin and its interval, as a sentence has them."""
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"


def more(first: Sequence[float], second: Sequence[float], by: Margin = between) -> tuple[str, float, Interval]:
    """The verdict on "the first are larger", the mean margin and its interval.

    Two networks of the same seed see pictures in the same order and have nothing else in common; what is paired needs `by=margin`.
    """
    middle, (low, high) = by(first, second)
    return HOLDS if low > 0 else FAILS if high < 0 else OPEN, middle, (low, high)
