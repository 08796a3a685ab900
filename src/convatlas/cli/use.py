"""The verbs that use what was trained: weights, predict."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, complain, fitting, least, print_json, table

if TYPE_CHECKING:
    from ..trained import Trained

T = TypeVar("T")
Rows = Iterator[dict[str, Any]]
Flag = Parameter(negative=())


def weights(model: str = "*", *, json: Json = False) -> None:
    """The pretrained weights there are. Of several for one network, the first is meant by the network's name.

    Accuracies are in percent on ImageNet's validation pictures, as published.

    Parameters
    ----------
    model
        A network, part of its name, or a pattern such as "efficientnet*".
    """
    from dataclasses import asdict

    from .. import pretrained

    listed = pretrained.table().values()
    if model in {w.model for w in listed} or model in pretrained.table():
        rows = [w for w in listed if model in (w.model, w.name)]
    else:
        rows = [pretrained.table()[name] for name in fitting_or_kin(model, list(pretrained.table()))]
    if json:
        print_json([{**asdict(w), "here": str(place) if (place := pretrained.here(w)) else None} for w in rows])
        return
    cells = [
        [w.name, size_of(w.bytes), w.licence, w.photo.size, share(w.top1), share(w.top5), "here" if pretrained.here(w) else "", w.origin]
        for w in rows
    ]
    table(["name", "MB", "licence", "picture", "top-1", "top-5", "", "origin"], cells)


def fitting_or_kin(model: str, names: list[str]) -> list[str]:
    from ..models import MODELS
    from ..pretrained import choose

    if model in MODELS:
        choose(model)  # which has none, and says who has
    return fitting(model, names)


def size_of(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e6:.1f}"


def share(percent: float | None) -> str:
    return "?" if percent is None else f"{percent:.1f}"


def predict(
    *images: Annotated[str, Parameter(allow_leading_hyphen=True)],
    model: str | None = None,
    weights: str | None = None,
    run: Path | None = None,
    top: int = 3,
    csv: Path | None = None,
    probabilities: Annotated[bool, Flag] = False,
    fast: Annotated[bool, Flag] = False,
    offline: Annotated[bool, Flag] = False,
    engine: Literal["local", "ray"] = "local",
    workers: int = 1,
    json: Json = False,
) -> None:
    """What a trained network sees: `convatlas predict photo.jpg --model efficientnet_lite0`, or `convatlas predict RUN IMAGE...`.

    What cannot be read is reported, the rest is answered, and the exit code is 2.

    Parameters
    ----------
    images
        Picture files, folders of them, patterns such as "*.jpg", or - for a list of files, one a line. The first may be a run's folder.
    model
        A network from `convatlas weights`, with its pretrained weights.
    weights
        Other weights for it: a name from `convatlas weights`, a file, or the folder that holds the published file. Or, with a
        network of their own, hf://USER/NAME or hf://USER/NAME@REVISION on the Hugging Face hub, or a folder that `pack` wrote.
    run
        The folder of a run, finished or not.
    top
        How many classes to name.
    csv
        Write a table of file and label here.
    probabilities
        With --csv: of file and the probability of each class.
    fast
        By the engine that is likely fastest here, or was found to be by `convatlas bench`; and the next time at once (the extra `fast`).
    offline
        Do not ask the network for weights that are not here. CONVATLAS_OFFLINE=1 does the same.
    engine
        With --csv: "ray" for millions of pictures, also in tar shards (the extra `cluster`). The same words again do what is left.
    workers
        Of Ray.
    """
    from ..pixels import expanded

    run, words = asked(list(images), run, model or weights)
    understood(top, csv, probabilities, engine, workers)
    if csv and engine == "ray":
        problems = print_bulk(opened(run, model, weights, offline), words, csv, probabilities, workers, json)
    else:
        files = expanded(words, sys.stdin)
        if csv:
            trained = opened(run, model, weights, offline)
            problems = print_table(made_fast(trained, len(files)) if fast else trained, files, csv, probabilities, json)
        else:
            problems = print_rows((quickly if fast else slowly)(run, model, weights, offline, files, top), len(files), json)
    if problems:
        sys.exit(2)


def understood(top: int, csv: Path | None, probabilities: bool, engine: str, workers: int) -> None:
    """Raises Mistake for options that cannot be, or do not go together."""
    least("top", top, 1)
    least("workers", workers, 1)
    if workers > 1 and engine != "ray":
        raise Mistake("--workers are Ray's; add --engine ray.")
    if csv is None and (probabilities or engine == "ray"):
        raise Mistake(f"{'--probabilities' if probabilities else '--engine ray'} needs --csv FILE to write to.")


def asked(words: list[str], run: Path | None, otherwise: str | None) -> tuple[Path | None, list[str]]:
    """The run and the pictures that the words of predict mean, before anything takes its time. Raises Mistake."""
    if strange := [word for word in words if word.startswith("-") and word != "-"]:
        raise Mistake(f"{strange[0]} is no option of predict; see convatlas predict --help.")
    if run is None and otherwise is None:
        if not words or not (Path(words[0]) / "recipe.json").exists():
            raise Mistake("name a network or a run: convatlas predict IMAGE... --model NAME, or convatlas predict RUN IMAGE...")
        run, words = Path(words[0]), words[1:]
    if not words:
        raise Mistake("name at least one picture, folder or pattern, or - for a list of files on the input.")
    return run, words


def print_table(trained: "Trained", files: list[Path], csv: Path, shares: bool, json: bool) -> int:
    """Writes the table and says so; gives the number of files that could not be read."""
    from ..predict import probabilities, write_csv

    rows = watched(probabilities(trained, files), len(files))
    problems = len([complain(str(error)) for error in write_csv(csv, trained, rows, shares)])
    done = len(files) - problems
    if json:
        print_json({"csv": str(csv), "pictures": done, "problems": problems})
    else:
        print(f"{done:,} of {len(files):,} pictures, seen by {trained.name}. Look at {csv}")
    return problems


def print_bulk(trained: "Trained", words: list[str], csv: Path, shares: bool, workers: int, json: bool) -> int:
    """`print_table` by Ray, and of tar shards as well."""
    from ..bulk import Bulk, places
    from ..cluster import predict

    found, problems = places(words, sys.stdin)
    bulk = Bulk(csv, found, shares)
    for _ in watched(predict(bulk, trained, workers), bulk.count):
        pass
    problems |= bulk.finish(trained)
    for text in problems.values():
        complain(text)
    if json:
        print_json({"csv": str(csv), "pictures": len(found), "problems": len(problems)})
    else:
        print(f"{len(found):,} pictures, {len(problems):,} problems, seen by {trained.name}. Look at {csv}")
    return len(problems)


def quickly(run: Path | None, model: str | None, weights: str | None, offline: bool, files: list[Path], top: int) -> Rows:
    """What is seen in each file, by the way that was kept for these words; or one that is made now, and kept."""
    from ..inference import quick

    words = (model, weights if weights is None or not Path(weights).exists() else Path(weights).resolve(), len(files) >= quick.AT_ONCE)
    if run is None and (kept := quick.recall(*words)):
        yield from kept.predict(files, top)
        return
    from ..predict import predict

    trained = made_fast(opened(run, model, weights, offline), len(files))
    yield from predict(trained, files, top)
    quick.keep(trained, *words)


def slowly(run: Path | None, model: str | None, weights: str | None, offline: bool, files: list[Path], top: int) -> Rows:
    from ..predict import predict

    return predict(opened(run, model, weights, offline), files, top)


def made_fast(trained: "Trained", count: int) -> "Trained":
    """With a twin that is likely the fastest for so many pictures, or is known to be."""
    from ..inference import quick
    from ..inference.choose import fast

    batch = quick.AT_ONCE if count >= quick.AT_ONCE else 1
    return replace(trained, net=fast(trained.net, batch=batch, size=trained.preprocess.size, tried=False))


def print_rows(found: Rows, count: int, json: bool) -> int:
    """Prints what is seen, as it comes or as one document; gives the number of files that could not be read."""
    kept, problems = [], 0
    for row in watched(found, count) if json else found:
        problems += "error" in row
        kept.append(row)
        if "error" in row:
            complain(row["error"])
        elif not json:
            print(f"{row['file']}: " + ", ".join(f"{p['label']} {100 * p['probability']:.1f} %" for p in row["predictions"]))
    if json:
        print_json(kept)
    return problems


def watched(rows: Iterable[T], count: int) -> Iterator[T]:
    """The rows, with a bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(rows, "looking", total=count, console=console, transient=True, disable=not console.is_terminal)


def opened(run: Path | None, model: str | None, weights: str | None, offline: bool) -> "Trained":
    """The network that the words mean: a run's, or published weights. Raises Mistake."""
    from ..hub import find
    from ..pretrained import table
    from ..trained import known, model_in, of_packed, of_run, of_weights, published_as

    if run is not None:
        if model or weights:
            raise Mistake("a run has its own network and weights; leave out --model and --weights.")
        return of_run(run)
    if weights in table():
        if model not in (None, table()[weights].model):
            raise Mistake(f"{weights} is not for {model}, but for {table()[weights].model}.")
        return of_weights(weights, None, offline)
    if weights and (found := find(weights, offline)):
        return of_packed(*found, model)
    place = Path(weights) if weights else None
    if place and not place.exists():
        raise Mistake(f"{weights} is neither weights from `convatlas weights` nor a file or folder. On the hub: hf://USER/NAME.")
    if place and not model:
        model = known(published.model if (published := published_as(place)) else model_in(place), place)
    return of_weights(model or "", place, offline)
