"""The thousand classes of ImageNet's challenge of 2012, in the order in which networks answer."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ...mistake import Mistake


@cache
def classes() -> tuple[str, ...]:
    """Their short names."""
    return tuple(name for _, name in table())


@cache
def table() -> tuple[tuple[str, str], ...]:
    """WordNet number ("n01440764") and short name ("tench") of each class."""
    lines = (Path(__file__).parent / "classes.txt").read_text(encoding="utf-8").splitlines()
    return tuple((line[:9], line[10:]) for line in lines)


def indices(labels: Sequence[str]) -> list[int]:
    """The class that each label means: its number, its WordNet number or its short name. Raises Mistake for one that means none.

    Capitals count where they must: Cardigan is a dog, cardigan a garment.
    """
    names = {name: i for i, name in enumerate(classes())}
    lowered = Counter(map(str.lower, names))
    plain = {name.lower(): i for name, i in names.items() if lowered[name.lower()] == 1}
    known = names | {str(i): i for i in range(1000)} | {wnid: i for i, (wnid, _) in enumerate(table())}
    spaced = [label.replace("_", " ") for label in labels]
    found = [known.get(label, plain.get(label.lower(), -1)) for label in spaced]
    if -1 in found:
        unknown = labels[found.index(-1)]
        raise Mistake(f"{unknown!r} is no class of ImageNet: neither 0 to 999, nor a WordNet number, nor one of its short names.")
    return found
