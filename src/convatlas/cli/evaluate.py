"""The verb that tests: eval."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ..mistake import Mistake
from .output import Json, complain, print_json
from .use import Flag, opened, watched

if TYPE_CHECKING:
    from ..ensemble import Answers
    from ..trained import Trained


def eval_(
    *runs: str,
    model: str | None = None,
    weights: str | None = None,
    data: Path | None = None,
    split: str | None = None,
    protocol: str | None = None,
    average: Literal["scores", "weights"] = "scores",
    compare: Annotated[bool, Flag] = False,
    offline: Annotated[bool, Flag] = False,
    json: Json = False,
) -> None:
    """The test error of a run's last weights, measured anew; of any trained network on labelled pictures; of several as one.

    `convatlas eval RUN RUN RUN` is an ensemble: its members' errors, and that of their mean. `convatlas eval RUN RUN --compare` tests
    whether one is better than the other.

    Parameters
    ----------
    runs
        Folders of runs, finished or not. With --data also files of weights and names from `convatlas weights`.
    model
        Instead of a run, a network from `convatlas weights`, with its pretrained weights; or the network that a file is for.
    weights
        Other weights for it, as `predict` takes them: a name from `convatlas weights`, a file, a folder, or a place on the hub.
    data
        Labelled pictures: a folder for each class, a CSV of file and label, and what else `train` takes. By default the runs' own test.
    split
        With --data: only its train, val or test pictures; by default all.
    protocol
        How pictures are shown: "ten-crop", "144-crop", "dense", "multi-scale", "flip" and others. By default as the recipe says, or
        as the pretrained weights were published.
    average
        What of several is averaged: the probabilities, or the weights of runs of one network.
    compare
        Of two: on which pictures only one is wrong, and the chance of that by luck. Finished runs are asked for what they wrote at
        their end, unless --protocol or --data is there.
    offline
        Do not ask the network for weights that are not here. CONVATLAS_OFFLINE=1 does the same.
    """
    understood(runs, model or weights, data, split, protocol, average, compare)
    if data is None:
        answers = list(of_runs(runs, protocol, average, stored=compare))
    else:
        answers = list(of_networks(runs, model, weights, data, split, protocol, average, offline))
    found, text = compared(*answers) if compare else alone(answers[0]) if len(answers) == 1 else ensemble(answers, average)
    if json:
        print_json(found)
    else:
        print(text)
    for problem in answers[0].problems.values():
        complain(problem)
    if answers[0].problems:
        sys.exit(2)


def understood(
    runs: tuple[str, ...], otherwise: str | None, data: Path | None, split: str | None, protocol: str | None, average: str, compare: bool
) -> None:
    """Raises Mistake for words that do not go together, before anything takes its time."""
    from ..protocols import named

    if not (runs or otherwise):
        raise Mistake("name a run, or a network by --model NAME.")
    if data is None and (otherwise or any(Path(word).is_file() for word in runs)):
        raise Mistake("name labelled pictures by --data PLACE. A run has its own, and its own network; leave out --model and --weights.")
    if split is not None and data is None:
        raise Mistake("--split is for pictures of --data PLACE; a run is judged by its own test.")
    if compare and len(runs) != 2:
        raise Mistake(f"--compare takes two runs, not {len(runs)}.")
    if average == "weights" and (compare or len(runs) < 2):
        raise Mistake("--average weights takes two runs or more, and no --compare.")
    if protocol is not None:
        named(protocol)


def of_runs(words: tuple[str, ...], protocol: str | None, average: str, stored: bool) -> Iterator["Answers"]:
    """What each run says of its own test, and behind them what their mean weights say, if they are wanted."""
    from ..ensemble import at_its_end, on_its_test, soup
    from ..run import open_run

    runs = [open_run(Path(word)) for word in words]
    for run in runs:
        yield at_its_end(run) if stored and run.finished and protocol is None else on_its_test(run, protocol)
    if average == "weights":
        yield on_its_test(runs[0], protocol, soup(runs))


def of_networks(
    words: tuple[str, ...],
    model: str | None,
    weights: str | None,
    place: Path,
    split: str | None,
    protocol: str | None,
    average: str,
    offline: bool,
) -> Iterator["Answers"]:
    """The same of labelled pictures."""
    from ..data.listed import opened as splits
    from ..ensemble import on_pictures, soup
    from ..run import open_run

    found = splits(place)
    parts = list(found.values()) if split is None else [found[split]]
    trained = list(members(words, model, weights, offline))
    if average == "weights":
        trained.append(replace(trained[0], net=soup([open_run(Path(word)) for word in words])))
    for one in trained:
        if one.classes != trained[0].classes:
            raise Mistake(f"{one.name} and {trained[0].name} do not have the same classes in the same order.")
        answers = on_pictures(replace(one, protocol=protocol or one.protocol), parts, watched)
        if not len(answers.y):
            text = next(iter(answers.problems.values()), "")
            raise Mistake(f"{place} holds no labelled picture that can be read. {text}".rstrip())
        yield answers


def members(words: tuple[str, ...], model: str | None, weights: str | None, offline: bool) -> Iterator["Trained"]:
    for word in words or (None,):
        if word is not None and (Path(word) / "recipe.json").exists():
            yield replace(opened(Path(word), model, weights, offline), name=word)
        elif word is not None and weights is not None:
            raise Mistake(f"{word} and --weights {weights} are both weights; leave one out.")
        else:
            yield opened(None, model, word or weights, offline)


def alone(one: "Answers") -> tuple[dict[str, Any], str]:
    found = one.evaluation()
    return asdict(found), f"{error(one)}, {found.top5_error:.2f} % top-5 error, {found.n:,} pictures, {found.protocol}"


def error(one: "Answers") -> str:
    found = one.evaluation()
    low, high = found.interval
    return f"{found.top1_error:.2f} % top-1 error (95 % interval {low:.2f} to {high:.2f})"


def ensemble(answers: list["Answers"], average: str) -> tuple[dict[str, Any], str]:
    """Members beside what they are together: the last of the answers if weights are averaged, else the mean of what they say."""
    from ..ensemble import gain, together

    parts, whole = (answers[:-1], answers[-1]) if average == "weights" else (answers, together(answers))
    better, (low, high) = gain(parts, whole)
    found, told = alone(whole)
    rows = [{"name": part.name, **asdict(part.evaluation())} for part in parts]
    of_all = sum(row["top1_error"] for row in rows) / len(rows)
    lines = [f"{part.name}: {error(part)}" for part in parts]
    lines.append(f"mean {average}: {told}")
    lines.append(
        f"The members' mean is {of_all:.2f} %, {better:.2f} points more (95 % interval over the pictures {low:.2f} to {high:.2f})."
    )
    return found | {"average": average, "members": rows, "gain": better, "gain_interval": (low, high)}, "\n".join(lines)


def compared(first: "Answers", second: "Answers") -> tuple[dict[str, Any], str]:
    from ..ensemble import compare

    found = compare(first, second)
    low, high = found.interval
    lines = [f"{one.name}: {error(one)}" for one in (first, second)]
    lines.append(
        f"Of {found.first.n:,} pictures {found.only_first_wrong:,} only the first gets wrong, {found.only_second_wrong:,} only the second."
    )
    lines.append(
        f"The first's error is {found.difference:+.2f} points from the second's (95 % interval {low:+.2f} to {high:+.2f}); "
        f"p = {found.p:.2g} by McNemar's exact test."
    )
    return asdict(found) | {"names": (first.name, second.name)}, "\n".join(lines)
