"""The verb for the papers' claims: claims."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, print_json, table

Flag = Parameter(negative=())


def claims(
    *names: str,
    quick: Annotated[bool, Flag] = False,
    full: Annotated[bool, Flag] = False,
    out: Path | None = None,
    json: Json = False,
) -> None:
    """The papers' claims as experiments: `convatlas claims relu_sooner --quick`. Without a budget, what the claims are.

    What was trained is kept in the cache, so an experiment that was interrupted goes on.

    Parameters
    ----------
    names
        Which; by default all.
    quick
        A minute or two for each, on digits: whether the experiment runs, rarely a verdict.
    full
        Minutes to hours for each, on CIFAR-10.
    out
        A folder for NAME.json and NAME.svg of each.
    """
    from ..claims import NAMES, claim

    chosen = names or NAMES
    listed = {name: claim(name) for name in chosen}
    if quick and full:
        raise Mistake("--quick or --full, not both.")
    if not quick and not full:
        if json:
            print_json([{"claim": name, "sentence": c.sentence, "place": c.place, "trained": c.trained} for name, c in listed.items()])
        else:
            table(["claim", "sentence", "place"], [[name, c.sentence, c.place] for name, c in listed.items()])
        return
    rows = [run(name, full, out, json) for name in chosen]
    if json:
        print_json(rows)


def run(name: str, full: bool, out: Path | None, json: bool) -> dict[str, Any]:
    import json as json_

    from ..claims import examine
    from ..claims.draw import draw
    from ..claims.finding import Budget
    from ..disk import cache_folder, whole
    from .ship import busy

    folder = cache_folder("claims") / ("full" if full else "quick")
    folder.mkdir(parents=True, exist_ok=True)
    with busy(name) as say:
        found = examine(name, Budget(full, folder, say))
    if not json:
        print(f"{name}: {found['verdict']}. {found['says']}")
    if out:
        out.mkdir(parents=True, exist_ok=True)
        with whole(out / f"{name}.json") as draft:
            draft.write_text(json_.dumps(found, indent=1) + "\n")
        if found["picture"]:
            draw(found, out / f"{name}.svg")
    return found
