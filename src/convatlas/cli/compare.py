"""The verb that looks at many runs at once."""

import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from fnmatch import fnmatch
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, complain, print_json, table

if TYPE_CHECKING:
    from ..compare import Group, Standing


def runs(
    *words: str,
    sort: str = "name",
    plot: Path | None = None,
    tensorboard: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """The runs there are: how far each is, its error, what it took; and the mean over seeds. Of two runs, what differs as well.

    Parameters
    ----------
    words
        Folders to search at any depth, by default runs. Other words are parts of a run's name or folder, or patterns such as
        "lenet*", and narrow the list. `convatlas runs RUN RUN` compares two.
    sort
        What comes first, by: name, state, error, best, seconds, speed, when, folder.
    plot
        Draw the curves of all these runs into this file, .svg or .png.
    tensorboard
        Bring each run's folder tensorboard up to its log, for `tensorboard --logdir DIR`.
    """
    from ..compare import SORTS, over_all_seeds, write_plot

    if sort not in SORTS:
        raise Mistake(f"runs are sorted by one of: {', '.join(SORTS)}; not by {sort!r}.")
    chosen = sorted(listed(words), key=lambda run: (run.state == "damaged", SORTS[sort](run)))
    problems = [*(write_plot(plot, chosen) if plot else []), *(mirrored(chosen) if tensorboard else [])]
    groups, differences = over_all_seeds(chosen), differences_of(words, chosen)
    if json:
        print_json({"runs": [plain(run) for run in chosen], "groups": [plain(group) for group in groups], "differences": differences})
    else:
        print_runs(chosen, groups)
        print_differences(words, differences)
        if plot:
            print(f"\nLook at {plot}")
        if tensorboard and chosen:
            print(f"\nLook with: tensorboard --logdir {commonpath([run.folder.resolve() for run in chosen])}")
    if problems:
        sys.exit([complain(problem) for problem in dict.fromkeys(problems)][-1])


def listed(words: Sequence[str]) -> "list[Standing]":
    """The runs that the words mean. Raises Mistake where they mean none."""
    from ..compare import found, stand

    places = [Path(word) for word in words if Path(word).is_dir()]
    patterns = [word for word in words if not Path(word).is_dir()]
    if not places and not Path("runs").is_dir():
        raise Mistake(f"there is no folder {' or '.join([*patterns, 'runs'])} here; name one: convatlas runs DIR.")
    folders = dict.fromkeys(folder for place in places or [Path("runs")] for folder in found(place))
    all_ = [stand(folder) for folder in folders]
    fit = [run for run in all_ if not patterns or any(fits(run, pattern) for pattern in patterns)]
    if patterns and not fit:
        raise Mistake(f"none of {len(all_)} runs is called like {' or '.join(map(repr, patterns))}, and there is no such folder.")
    return fit


def fits(run: "Standing", pattern: str) -> bool:
    return any(pattern in name or fnmatch(name, pattern) for name in (run.name, run.folder.name, str(run.folder)))


def mirrored(chosen: "list[Standing]") -> list[str]:
    """Mirrors each run, and gives what is wrong with those that cannot be."""
    from ..track import mirror

    problems = []
    for run in chosen:
        try:
            mirror(run.folder)
        except Mistake as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{error.filename}: {error.strerror}")
    return problems


def plain(value: "Standing | Group") -> dict[str, Any]:
    """As JSON; the recipe itself stands in the run's folder."""
    inside = {f.name: getattr(value, f.name) for f in fields(value) if f.name != "recipe"}
    for key, item in inside.items():
        if isinstance(item, Path):
            inside[key] = str(item)
        elif key == "folders":
            inside[key] = [str(folder) for folder in item]
        elif key == "when":
            inside[key] = datetime.fromtimestamp(item).astimezone().isoformat(timespec="seconds") if item else None
    return inside


def print_runs(chosen: "list[Standing]", groups: "list[Group]") -> None:
    if not chosen:
        print("No runs here yet; convatlas train begins one.")
        return
    columns = ["name", "seed", "state", "error, %", "95 % interval", "best, %", "seconds", "images/s", "when", "folder"]
    table(columns, [cells(run) for run in chosen])
    if broken := [run.problem for run in chosen if run.problem]:
        print("\n" + "\n".join(broken))
    if groups:
        print()
        columns = ["over seeds", "seeds", "mean error, %", "95 % interval", "published, %", "mean seconds"]
        rows = [[g.label, len(g.seeds), f"{g.error:.2f}", span(g.interval), number(g.published, "g"), round(g.seconds)] for g in groups]
        table(columns, rows)


def cells(run: "Standing") -> list[Any]:
    going = run.state in ("running", "stopped")
    held = f" {run.watched}" if run.watched != "test" else ""
    return [
        run.label,
        "" if run.seed is None else run.seed,
        f"{run.state} at {run.step:,} of {run.steps:,}" if going else run.state,
        number(run.error, ".2f", held if going else ""),
        span(run.interval),
        number(run.best, ".2f", held),
        "" if run.seconds is None else round(run.seconds),
        "" if run.images_per_s is None else round(run.images_per_s),
        f"{datetime.fromtimestamp(run.when):%Y-%m-%d %H:%M}" if run.when else "",
        str(run.folder),
    ]


def number(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"


def span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{interval[0]:.2f} to {interval[1]:.2f}"


def differences_of(words: Sequence[str], chosen: "list[Standing]") -> dict[str, tuple[str, str]] | None:
    """What differs between two runs if the words name just these, else None."""
    from ..compare import differing

    by_folder = {run.folder: run for run in chosen if run.state != "damaged"}
    if len(words) != 2 or by_folder.keys() != {Path(word) for word in words}:
        return None
    return differing(*(by_folder[Path(word)] for word in words))


def print_differences(words: Sequence[str], differences: dict[str, tuple[str, str]] | None) -> None:
    if differences:
        print()
        table(["recipe", *words], [[name, *both] for name, both in differences.items()])
    elif differences is not None:
        print("\nBoth follow the same recipe.")
