"""The verb that looks at data of one's own."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .output import Json, least, print_json, table

SHOWN = 20  # classes and problems, of each; the report has all


def data(
    place: Path,
    *,
    strict: Annotated[bool, Parameter(negative=())] = False,
    report: Path | None = None,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Reads every picture of a data set: what is in it, how it is split, and which files cannot be used and why.

    Parameters
    ----------
    place
        Folder of a folder for each class (of pictures or of sounds), CSV of file and label or folder with labels.csv, parquet,
        idx files, tar shards, or ILSVRC's folders.
    strict
        Stop at the first file that cannot be used.
    report
        A file to write all of it to, such as data_report.json.
    seed
        Of the split, where the place has none of its own.
    """
    from rich.console import Console
    from rich.progress import Progress

    from ..data.listed import opened
    from ..data.report import look, refuse, write

    least("seed", seed, 0)
    splits = opened(place, seed)
    if strict:
        refuse(splits)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading")
        found = look(splits, strict, lambda done, all_: bar.update(task, completed=done, total=all_))
    if report:
        write(report, found)
    if json:
        print_json(found)
        return
    rows = [[label, *counts.values()] for label, counts in found["classes"].items()]
    table(
        ["class", *found["counts"]],
        [*rows[:SHOWN], *[["..."] + [""] * len(splits)] * (len(rows) > SHOWN), ["all", *found["counts"].values()]],
    )
    print(f"\n{len(rows):,} classes. The split: {found['split']}")
    if len(rows) < 2:
        print(few(place, list(found["classes"])))
    for problem in found["problems"][:SHOWN]:
        print(f"{problem['file']}: {problem['reason']}")
    if found["problems"]:
        more = f", {SHOWN} of them above" if len(found["problems"]) > SHOWN else ""
        print(
            f"{len(found['problems']):,} files are left out{more}."
            + (f" All are in {report}" if report else " --report FILE writes all this down.")
        )


def few(place: Path, classes: list[str]) -> str:
    """What may be wrong where there is one class, or none."""
    from ..sets import alone

    if classes:
        return f"Nothing can be learned from it: {alone(place, classes[0])}"
    tables = sorted(place.glob("*.csv")) if place.is_dir() else []
    return f"No picture has a label. Perhaps {tables[0]} says them: convatlas data {tables[0]}" if tables else "No picture has a label."
