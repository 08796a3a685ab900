"""Runs side by side: where each stands, what seeds of one recipe say together, their curves in one picture.

Only what is small and plain is read, recipe.json, result.json and log.jsonl, and torch is not needed for it. What cannot be read makes
its own run "damaged" and no other.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from math import ceil, inf
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from .disk import whole
from .intervals import Interval, over_seeds
from .mistake import Mistake

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 500  # of a curve, at most; more are not seen in a picture
READABLE = 8  # recipes in a legend


@dataclass(frozen=True, eq=False)
class Standing:
    """Where the run in `folder` stands: `state` is running, stopped, finished or damaged, and then `problem` says why.

    Errors are in percent. `error` is that of the finished run with Wilson's interval at 95 % over n pictures, else the last one that was
    measured; this one and `best`, the least of them, are of the pictures that were `watched`: test, or held back from learning.
    `step` of a stopped run is that of its checkpoint. `when` is the time of its last word, in seconds since 1970.
    """

    folder: Path
    name: str = ""
    seed: int | None = None
    state: str = "damaged"
    step: int = 0
    steps: int = 0
    error: float | None = None
    interval: Interval | None = None
    n: int | None = None
    best: float | None = None
    watched: str = "test"
    seconds: float | None = None
    images_per_s: float | None = None
    when: float = 0.0
    changed: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    @property
    def label(self) -> str:
        """The recipe's name and how it was varied: "lenet5-mnist rate.peak=0.2"."""
        return " ".join([self.name, *varied(self.changed)])


@dataclass(frozen=True)
class Group:
    """Finished runs of one recipe with different seeds: their mean error and Student's interval of it at 95 %, in percent.

    `published` is what the recipe's source reports, None where it reports nothing or the recipe was varied.
    """

    label: str
    seeds: list[int]
    error: float
    interval: Interval
    published: float | None
    seconds: float
    folders: list[Path]


# fmt: off
SORTS = {  # what comes first
    "name":    lambda run: (run.label, run.seed or 0),
    "state":   lambda run: (["running", "stopped", "finished", "damaged"].index(run.state), run.label, run.seed or 0),
    "error":   lambda run: least(run.error),
    "best":    lambda run: least(run.best),
    "seconds": lambda run: least(run.seconds),
    "speed":   lambda run: -(run.images_per_s or 0),
    "when":    lambda run: -run.when,
    "folder":  lambda run: run.folder,
}
# fmt: on


def least(value: float | None) -> float:
    return inf if value is None else value


def varied(changed: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in changed.items():
        if isinstance(value, dict):
            yield from varied(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}={value}"


def found(place: Path) -> Iterator[Path]:
    """The folders of runs in `place`, itself included, at any depth, through links too, each once."""
    seen = set()
    for folder, inner, files in os.walk(place, followlinks=True):
        here = Path(folder).stat()
        if (here.st_dev, here.st_ino) in seen:
            inner.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        if "recipe.json" in files:
            yield Path(folder)


def stand(folder: Path) -> Standing:
    """Where the run in `folder` stands; of a damaged one, as much as can be read."""
    run = Standing(folder)
    try:
        run = begun(folder)
        return replace(run, **come_to(run))
    except Mistake as error:
        return replace(run, problem=str(error))
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        return replace(run, problem=f"{folder} is damaged: it holds what no run writes ({error!r}).")


def begun(folder: Path) -> Standing:
    """What recipe.json says."""
    about, path = written(folder), folder / "recipe.json"
    watched = "held" if about["recipe"].get("tuning") else "test"
    named = {key: about[key] for key in ("name", "seed", "changed", "recipe")}
    return Standing(folder, **named, steps=int(about["recipe"]["steps"]), watched=watched, when=path.stat().st_mtime)


def come_to(run: Standing) -> dict[str, Any]:
    """What the log and the result say."""
    losses, errors = said(run.folder)
    measured = [point(line, run.folder) for line in errors]
    values = [value for _, value in measured]
    last = parsed(losses[-1], run.folder) if losses else {}
    result, log = run.folder / "result.json", run.folder / "log.jsonl"
    when = max((path.stat().st_mtime for path in (result, log) if path.exists()), default=run.when)
    told = {"best": min(values, default=None), "when": when}
    if result.exists():
        return told | judged(document(result))
    told |= {key: float(last[key]) for key in ("seconds", "images_per_s") if key in last}
    told |= {"error": values[-1] if values else None, "step": checkpoint(run.folder), "state": "stopped"}
    if trained_now(run.folder):
        told |= {"state": "running", "step": max([told["step"], last.get("step", 0), *(step for step, _ in measured)])}
    return told


def judged(result: dict[str, Any]) -> dict[str, Any]:
    """What the result of a finished run says."""
    low, high = map(float, result["interval"])
    counts = {"step": int(result["steps"]), "n": int(result["n"]), **{key: float(result[key]) for key in ("seconds", "images_per_s")}}
    return counts | {"state": "finished", "error": float(result["top1_error"]), "interval": (low, high)}


def written(folder: Path) -> dict[str, Any]:
    """recipe.json of a run, with at least its name, seed, changes and recipe. Raises Mistake if it is not what a run writes."""
    about = document(folder / "recipe.json")
    for key, kind in (("name", str), ("seed", int), ("changed", dict), ("recipe", dict)):
        if not isinstance(about.get(key), kind):
            raise Mistake(f"{folder / 'recipe.json'} is damaged (its {key!r} is {about.get(key)!r}).")
    return about


def document(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises Mistake if there is none."""
    try:
        inside = json.loads(path.read_bytes())
    except OSError as error:
        raise Mistake(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise Mistake(f"{path} is damaged ({error}).") from error
    if not isinstance(inside, dict):
        raise Mistake(f"{path} is damaged (it holds no JSON object).")
    return inside


def said(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """The lines of log.jsonl that tell a loss and those that tell an error; they are not parsed, for most are not needed."""
    path = folder / "log.jsonl"
    try:
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []  # the last is empty, or was cut off
    except OSError as error:
        raise Mistake(f"{path} cannot be read ({error.strerror}).") from error
    return [line for line in lines if b'"loss"' in line], [line for line in lines if b'_error"' in line]


def parsed(line: bytes, folder: Path) -> dict[str, Any]:
    try:
        inside = json.loads(line)
        return {"step": int(inside["step"])} | inside
    except (ValueError, LookupError, TypeError) as error:
        raise Mistake(f"{folder / 'log.jsonl'} is damaged at {line[:40]!r} ({error}).") from error


def point(line: bytes, folder: Path) -> tuple[int, float]:
    """Step and value of a line that tells a loss or an error."""
    inside = parsed(line, folder)
    return inside["step"], next(float(inside[key]) for key in ("loss", "test_error", "held_error") if key in inside)


def checkpoint(folder: Path) -> int:
    """The step of an unfinished run's last checkpoint, by the name of its weights; 0 if it has none yet."""
    steps = [path.stem.partition("-")[2] for path in folder.glob("weights-*.safetensors")]
    return max((int(step) for step in steps if step.isdigit()), default=0)


def trained_now(folder: Path) -> bool:
    """Whether a process holds the lock of a run (`Run.alone`). False where the system has no such locks."""
    if os.name != "posix":
        return False
    import fcntl

    try:
        with (folder / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask do not take each other for the one who trains
    except BlockingIOError:
        return True
    except OSError:  # no lock was ever made, or it is not for us to see
        return False
    return False


def alike(name: str, recipe: dict[str, Any]) -> str:
    """The same text for runs that differ in their seed alone; that of the split, which fine-tuning draws by the seed, is a part of it."""
    tuning = recipe.get("tuning")
    return json.dumps([name, recipe | ({"tuning": tuning | {"drawn": None}} if tuning else {})], sort_keys=True)


def grouped(runs: Iterable[Standing]) -> dict[str, list[Standing]]:
    """The runs that are not damaged, by recipe."""
    groups: dict[str, list[Standing]] = {}
    for run in runs:
        if run.state != "damaged":
            groups.setdefault(alike(run.name, run.recipe), []).append(run)
    return groups


def over_all_seeds(runs: Iterable[Standing]) -> list[Group]:
    """A group for each recipe that has finished with two seeds or more. Of several runs with one seed the last counts."""
    groups = []
    for members in grouped(run for run in runs if run.state == "finished").values():
        last = {run.seed or 0: run for run in sorted(members, key=lambda run: run.when)}
        kept = [last[seed] for seed in sorted(last)]
        if len(kept) > 1:
            error, interval = over_seeds([run.error or 0.0 for run in kept])
            seconds = mean(run.seconds or 0.0 for run in kept)
            published = None if kept[0].changed else kept[0].recipe.get("published")
            groups.append(Group(kept[0].label, sorted(last), error, interval, published, seconds, [run.folder for run in kept]))
    return groups


def differing(first: Standing, second: Standing) -> dict[str, tuple[str, str]]:
    """What two recipes have otherwise: by field its value in the one and in the other, empty where it has no such field."""
    from .recipes.text import lines

    one, other = dict(lines(first.recipe)), dict(lines(second.recipe))
    return {name: (one.get(name, ""), other.get(name, "")) for name in one | other if one.get(name) != other.get(name)}


Curve = list[tuple[int, float]]


def curves(folder: Path) -> tuple[Curve, Curve]:
    """(step, loss) and (step, error in percent) of a run, at most about POINTS of each. Raises Mistake for a damaged log."""
    loss, error = ([point(line, folder) for line in thinned(lines)] for lines in said(folder))
    return loss, error


def thinned(lines: list[bytes]) -> list[bytes]:
    every = max(1, ceil(len(lines) / POINTS))
    return lines[::-every][::-1]  # the last is among them


def write_plot(path: Path, runs: Iterable[Standing]) -> list[str]:
    """Draws the curves of all runs that have some; gives what is wrong with the logs of others. Raises Mistake for an unfit ending."""
    from matplotlib import rc_context

    if path.suffix not in (".svg", ".png"):
        raise Mistake(f"curves are drawn into a file called .svg or .png, not {path}.")
    traced, problems = {}, []
    for run in (run for run in runs if run.state != "damaged"):
        try:
            traced[run] = curves(run.folder)
        except Mistake as error:
            problems.append(str(error))
    if not any(loss or error for loss, error in traced.values()):
        raise Mistake("none of these runs has written a loss or an error yet.")
    picture, out = draw(traced), BytesIO()
    with rc_context({"svg.hashsalt": "convatlas"}):  # the same curves make the same file
        picture.savefig(out, format=path.suffix[1:], dpi=140, metadata={"Date": None} if path.suffix == ".svg" else None)
    with whole(path) as draft:
        draft.write_bytes(out.getvalue())
    return problems


def draw(traced: dict[Standing, tuple[Curve, Curve]]) -> "Figure":
    """Losses and errors by step: a colour for each recipe, a line for each seed, thin where there are several."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    groups = list(grouped(traced).values())
    few = len(groups) <= READABLE
    picture = Figure(figsize=(10, 4.2), layout="constrained")
    both, legend = picture.subplots(1, 2, sharex=True), {}
    for i, members in enumerate(groups):
        colour = colormaps["tab10"](i) if few else colormaps["viridis"](i / (len(groups) - 1))
        for run in members:
            for axes, curve in zip(both, traced[run], strict=True):
                if curve:
                    width, dot = 1.4 if len(members) == 1 else 0.7, "." if len(curve) == 1 else ""
                    (legend[run.label],) = axes.plot(*zip(*curve, strict=True), color=colour, linewidth=width, marker=dot)
    recipes = [members[0].recipe for members in groups]
    nats = all("CrossEntropy" in str(recipe.get("loss")) for recipe in recipes)
    dress(both[0], "training loss, nats" if nats else "training loss, each recipe's own")
    dress(both[1], " or ".join(sorted({run.watched for run in traced}, reverse=True)) + " error, %")
    if few:
        picture.legend(legend.values(), legend.keys(), loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return picture


def dress(axes: "Axes", label: str) -> None:
    axes.set(xlabel="step", ylabel=label)
    axes.grid(axis="y", color="#e6e9ef")
    axes.spines[["top", "right"]].set_visible(False)
    if axes.dataLim.minposy == axes.dataLim.ymin:  # all are above 0
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
