"""The networks that made computer vision, as published: look at them, train them, test them."""

import os
import sys
from collections.abc import Sequence

from cyclopts import App

from ..mistake import Mistake
from . import atlas, claims, compare, evaluate, explain, finetune, hub, page, runs, ship, sweep, use
from .data import data
from .output import complain

app = App(name="convatlas", help=__doc__, version_flags=("--version",))

for verb in (
    *(atlas.models, atlas.show, atlas.diagram, atlas.check, atlas.adopt, data),
    *(
        runs.recipes,
        runs.train,
        sweep.sweep,
        compare.runs,
        finetune.finetune,
        use.weights,
        use.predict,
        evaluate.eval_,
        explain.explain,
        claims.claims,
    ),
    *(hub.pack, hub.push, ship.export, ship.bench, page.page, page.serve),
):
    app.command(verb, name=verb.__name__.rstrip("_"))


def main(words: Sequence[str] | None = None) -> None:
    """The command `convatlas`. Exit codes: 0 done, 1 a check failed, 2 a mistake in what was asked for, 130 interrupted."""
    try:
        app(words)
    except Mistake as error:
        sys.exit(complain(str(error)))
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(complain(f"{place}{error.strerror or error}. What was complete before is still there."))
    except KeyboardInterrupt:
        sys.exit(130)
