"""What is wrong with a data set, and what is in it: data_report.json."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..disk import whole
from ..mistake import Mistake
from .listed import Splits, spread


def look(splits: Splits, strict: bool = False, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Reads every picture of a data set and reports on it, as `report`. Raises Mistake at the first problem if `strict`."""
    done, all_ = 0, sum(map(len, splits.values()))
    for listed in splits.values():
        for _ in spread(lambda i, listed=listed: listed.attempt(i) is None, range(len(listed))):
            done += 1
            if strict:
                refuse(splits)
            if progress:
                progress(done, all_)
    return report(splits)


def refuse(splits: Splits) -> None:
    """Raises Mistake where a data set has a problem, with the first of them."""
    for name, reason in problems(splits).items():
        raise Mistake(f"{splits.place}: {name} {reason}")


def problems(splits: Splits) -> dict[str, str]:
    return next(iter(splits.values())).problems  # all splits share them


def report(splits: Splits) -> dict[str, Any]:
    """{"place", "split", "classes": {label: {split: count}}, "counts": {split: count}, "problems": [{"file", "reason"}]}.

    Counts are of the pictures that can be used, as far as they were read.
    """
    bad = problems(splits)
    classes = next(iter(splits.values())).classes
    used = {split: [int(y) for name, y in zip(listed.names, listed.y, strict=True) if name not in bad] for split, listed in splits.items()}
    return {
        "place": str(splits.place),
        "split": next(iter(splits.values())).split,
        "counts": {split: len(y) for split, y in used.items()},
        "classes": {label: {split: y.count(i) for split, y in used.items()} for i, label in enumerate(classes)},
        "unlabelled": {split: y.count(-1) for split, y in used.items()},
        "problems": [{"file": name, "reason": reason} for name, reason in sorted(bad.items())],
    }


def write(path: Path, found: dict[str, Any]) -> None:
    with whole(path) as draft:
        draft.write_text(json.dumps(found, indent=1) + "\n")
