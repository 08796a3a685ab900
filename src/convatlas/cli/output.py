"""How the command takes its words and says what it found: one JSON document, an aligned table, or a complaint of one line."""

import json as json_
import sys
from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Annotated, Any

from cyclopts import Parameter

from ..mistake import Mistake

Json = Annotated[bool, Parameter(negative=(), help="Print one JSON document and nothing else.")]


def least(name: str, value: float, bound: float) -> None:
    """Raises Mistake for the value of an option below its bound, or none."""
    if not value >= bound:
        raise Mistake(f"--{name} is {value}; it must be at least {bound:g}.")


def complain(text: str) -> int:
    print(f"convatlas: {text}", file=sys.stderr)
    return 2


def fitting(pattern: str, names: Iterable[str]) -> list[str]:
    """The one that is called `pattern`, else those that fit it or have it in their name. Raises Mistake if there is none."""
    names = list(names)
    found = [pattern] if pattern in names else [name for name in names if fnmatch(name, pattern) or pattern in name]
    if not found:
        raise Mistake(f"nothing is called like {pattern!r}; there are: {', '.join(names)}.")
    return found


def print_json(value: Any) -> None:
    print(json_.dumps(value, indent=1))


def aligned(columns: list[str], rows: list[list[Any]]) -> list[str]:
    """A line for the columns' names and for each row, numbers to the right with thousands marked."""

    def cell(column: str, value: Any) -> str:
        if isinstance(value, tuple):
            return " x ".join(map(str, value))
        return f"{value:,}" if isinstance(value, int) and column != "year" else str(value)

    text = [columns, *([cell(c, v) for c, v in zip(columns, row, strict=True)] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    right = [any(isinstance(row[i], int) for row in rows) for i in range(len(columns))]
    sides = list(zip(widths, right, strict=True))
    return ["  ".join(t.rjust(w) if r else t.ljust(w) for t, (w, r) in zip(row, sides, strict=True)).rstrip() for row in text]


def table(columns: list[str], rows: list[list[Any]]) -> None:
    print("\n".join(aligned(columns, rows)))
