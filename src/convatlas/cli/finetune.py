"""The verb that teaches a network with weights from elsewhere one's own pictures."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, least, print_json

if TYPE_CHECKING:
    from ..finetune import Tell, Wish
    from ..run import Run


def about(text: str) -> Parameter:
    return Parameter(help=text, negative=())


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class How:
    """The options of fine-tuning itself."""

    probe: Annotated[bool, about("Only the linear classifier: quick, and the features are kept for the next time.")] = False
    passes: Annotated[int, about("Over the training pictures, at most.")] = 8
    size: Annotated[int | None, about("Side of the pictures, in pixels; by default as the weights. In training an eighth is cut off.")] = (
        None
    )
    rate: Annotated[float, about("The highest learning rate of the last layer.")] = 5e-4
    freeze: Annotated[str, about("The last stage that does not learn; convatlas show MODEL names them.")] = ""
    balance: Annotated[
        Literal["none", "weights", "sampling"],
        about("Against classes of unequal size: weights in the loss, or rarer classes more often."),
    ] = "none"
    folds: Annotated[
        int, about("Deal train and val out into so many parts; train as many networks, each judged by the part it never saw.")
    ] = 0
    tta: Annotated[bool, about("Test each picture as it is and mirrored.")] = False
    seed: Annotated[int, about("Of the split, the order of the pictures and their changes.")] = 0

    def __post_init__(self) -> None:
        for name, value, bound in (("passes", self.passes, 1), ("size", self.size or 32, 32), ("seed", self.seed, 0)):
            least(name, value, bound)
        if not 0 < self.rate < inf:
            raise Mistake(f"--rate is {self.rate}; it must be more than 0, such as {How.rate}.")
        if self.folds < 0 or self.folds == 1:
            raise Mistake(f"--folds is {self.folds}; it must be 2 or more, or 0 for none.")

    def wish(self, size: int) -> "Wish":
        from ..finetune import Wish

        rest = {name: getattr(self, name) for name in ("rate", "freeze", "balance", "folds", "tta", "seed")}
        return Wish(size=self.size or size, passes=0 if self.probe else self.passes, **rest)


def finetune(
    model: str,
    data: Path,
    *,
    how: How = How(),
    weights: str | None = None,
    out: Path | None = None,
    strict: Annotated[bool, Parameter(negative=())] = False,
    offline: Annotated[bool, Parameter(negative=())] = False,
    json: Json = False,
) -> None:
    """Teach a pretrained network your own pictures, test it, and write a report.

    First a linear classifier on the network's features, then all layers from there, early ones slower. The val pictures are held back:
    training ends when it gets no better on them, and the best weights are kept. What is not split is split by the seed.
    Afterwards: `convatlas predict DIR PICTURES`. Ctrl-C ends with a checkpoint; `convatlas train --resume DIR` goes on.

    Parameters
    ----------
    model
        A name from `convatlas models`.
    data
        A folder with a folder of pictures for each class, a CSV of file and label, parquet, tar shards, idx files.
    weights
        A name from `convatlas weights`, a file, or the folder that holds the published file; by default the network's own.
    out
        The run's folder, new or empty; by default runs/MODEL-DATA-seedN.
    strict
        Stop at the first file that cannot be used; without, data_report.json in the run's folder names them.
    offline
        Do not ask the network for weights that are not here. CONVATLAS_OFFLINE=1 does the same.
    """
    from ..finetune import write_folds

    net, taken = first(model, weights, offline)
    if how.freeze and how.freeze not in (names := [stage.name for stage in net.stages()]):
        raise Mistake(f"{model} has no stage {how.freeze!r}; there are: {', '.join(names)}.")
    wish = how.wish(taken["size"])
    folder = out or Path("runs") / f"{model}-{data.resolve().name}{'-probe' if how.probe else ''}-seed{how.seed}"
    rest = {"strict": strict} | {key: taken[key] for key in ("weights", "mean", "std")}
    if how.folds:
        found = write_folds(folder, [train(folder / f"fold{i + 1}", model, net, data, wish, rest, i, json) for i in range(how.folds)])
        print_json(found | {"folder": str(folder)}) if json else say_folds(found, folder)
    else:
        finish(train(folder, model, net, data, wish, rest, None, json), json)


def finish(run: "Run", json: bool) -> None:
    from ..report import report

    page, result = report(run), run.result()
    print_json(result | {"folder": str(run.folder), "report": str(page)}) if json else say(run, result, page)


def first(model: str, weights: str | None, offline: bool) -> tuple[Any, dict[str, Any]]:
    """The network with the weights it begins with, and how these want their pictures; ImageNet's way where nothing is published."""
    from ..pretrained import of
    from ..trained import of_file
    from .use import opened

    if weights is not None and Path(weights).is_file() and not of(model):
        net = of_file(Path(weights), model)
        return net, {"weights": weights, "size": net.size, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    taken = opened(None, model, weights, offline)
    how = taken.preprocess
    return taken.net, {"weights": taken.name, "size": how.size, "mean": how.mean, "std": how.std}


def train(
    folder: Path, model: str, net: Any, data: Path, wish: "Wish", rest: dict[str, Any], fold: int | None, quiet: bool
) -> "Run":  # fmt: skip
    """The finished run in `folder`; one of several folds goes on where it was interrupted."""
    from copy import deepcopy

    from ..disk import cache_folder
    from ..finetune import finetune as begun
    from ..finetune import going
    from ..watch import follow

    run = None if fold is None else going(folder, wish, model, data, fold)
    if run is None:
        with telling(quiet) as tell:
            run = begun(folder, model, deepcopy(net), data, wish, cache=cache_folder("features"), fold=fold or 0, tell=tell, **rest)
    if not run.finished and not follow(run, 20.0, quiet=quiet):
        how = "the same words again" if fold is not None else f"convatlas train --resume {folder}"
        print(f"Stopped. Go on with: {how}", file=sys.stderr)
        sys.exit(130)
    return run


@contextmanager
def telling(quiet: bool) -> Iterator["Tell | None"]:
    """A bar for the pictures that go through the network before training begins; nothing off a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, quiet=quiet)
    if not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as shown:
        task = shown.add_task("features", total=None)
        yield lambda done, of: shown.update(task, completed=done, total=of)


def say(run: "Run", result: dict[str, Any], page: Path) -> None:
    low, high = result["interval"]
    print(
        f"{run.name}, seed {run.seed}: {result['top1_error']:.2f} % {result['judged']} error "
        f"(95 % interval {low:.2f} to {high:.2f}, n = {result['n']:,}), macro AP {100 * result['metrics']['macro_ap']:.1f} %"
    )
    print(f"{result['seconds']:.1f} s of training. Look at {page}; convatlas predict {run.folder} PICTURES")


def say_folds(found: dict[str, Any], folder: Path) -> None:
    low, high = found["interval_over_folds"]
    each = ", ".join(f"{error:.2f}" for error in found["errors"])
    print(f"{found['top1_error']:.2f} % error over {found['n']:,} pictures, each judged by a network that had not seen it")
    print(f"folds: {each}; mean {found['mean']:.2f} % (95 % interval {low:.2f} to {high:.2f}). In {folder}/fold*")
