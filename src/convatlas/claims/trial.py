"""Networks trained for an experiment: on small pictures, by one plain plan, with what they do on the way."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import nn

from ..data import source
from ..data.augment import Shift
from ..data.batches import Batches, Preprocess
from ..data.pictures import Pictures
from ..disk import whole
from ..evaluate import scores
from ..intervals import over_seeds
from ..mistake import Mistake
from ..precision import careful
from ..recipes import Cosine, CrossEntropy, Loss, Recipe, Steps
from ..recipes.cifar import CIFAR, SHIFTED
from ..recipes.optimisers import SGD
from ..train import fit, machine
from .finding import Budget, Finding, more, signed

Make = Callable[[int], nn.Module]  # for pictures of so many channels
PREPROCESS = {
    "cifar10": CIFAR,
    "mnist": Preprocess(size=32, mean=(0.1307,), std=(0.3081,)),
    "fashion-mnist": Preprocess(size=32, mean=(0.2860,), std=(0.3530,)),
}
SAVED = 60.0  # seconds
NOTHING = 85.0  # % training error, of ten classes


@dataclass(frozen=True, kw_only=True)
class Plan:
    """SGD with Nesterov's momentum; the rate falls along half a cosine after a short rise, or stays.

    `points` times in a run the errors are measured, on `watched` pictures to learn from, as they are, and on as many others; at the end on
    `tested` others. It ends before its time when the training error is `enough`.
    """

    data: str = "cifar10"
    steps: int
    batch: int = 128
    rate: float = 0.1
    falls: bool = True
    decay: float = 5e-4
    augment: bool = True
    pictures: int = 50_000
    tested: int = 10_000
    watched: int = 2_000
    points: int = 10
    enough: float = -1.0
    precision: str = "bfloat16"

    @property
    def recipe(self) -> Recipe:
        return Recipe(
            source="an experiment of convatlas.claims",
            model="resnet20",
            data=self.data,
            steps=self.steps,
            batch=self.batch,
            rate=Cosine(self.rate, warm=0.05) if self.falls else Steps(self.rate, ()),
            optimiser=SGD(momentum=0.9, decay=self.decay, nesterov=True),
            preprocess=PREPROCESS[self.data],
            augment=((Shift(2),) if self.data == "mnist" else SHIFTED) if self.augment else (),
            test=self.steps,
            precision=self.precision,
            layout="channels_last" if self.precision == "bfloat16" else "plain",
        )


def plan(budget: Budget, passes: float, quick_steps: int = 30, **changes: Any) -> Plan:
    """So many passes over CIFAR-10, or a few steps on digits."""
    if budget.full:
        batch = changes.get("batch", 128)
        return Plan(**{"steps": round(passes * 50_000 / batch), **changes})
    few = {"data": "mnist", "steps": quick_steps, "batch": 32, "pictures": 2_000, "tested": 300, "watched": 300, "points": 2}
    return Plan(**{**changes, **few, "precision": "float32"})


@dataclass(frozen=True)
class Course:
    """How a training went: errors in percent at its end, and `curve` rows of (step, training error, test error) on the way."""

    train_error: float
    test_error: float
    curve: list[tuple[int, float, float]]
    seconds: float
    parameters: int
    told: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)

    @property
    def passes(self) -> float:
        return round(self.plan["steps"] * self.plan["batch"] / self.plan["pictures"], 1)

    def reached(self, error: float) -> float | None:
        """The step at which the training error first was this low, between two measurements by a straight line; None if it never was."""
        before = (0, 90.0)
        for step, train, _ in self.curve:
            if train <= error:
                share = (before[1] - error) / max(before[1] - train, 1e-9)
                return before[0] + share * (step - before[0])
            before = step, train
        return None


@cache
def part(data: str, split: str, count: int) -> Pictures:
    found = source(data, PREPROCESS[data].size).load(split)
    return Pictures(found.x[:count], found.y[:count], found.classes)


def errors(net: nn.Module, pictures: Pictures, how: Preprocess) -> float:
    training = net.training
    found = 100 * float((scores(net, pictures.x, how).argmax(1) != pictures.y).double().mean())
    net.train(training)
    return found


def learn(
    name: str,
    make: Make,
    plan: Plan,
    seed: int,
    budget: Budget,
    loss: Loss | None = None,
    tell: Callable[[nn.Module], Any] | None = None,
    must: bool = True,
) -> Course:
    """Trains a network. What the budget's folder has is read from there, whoever trained it: the same network by the same plan from the
    same start is the same. One that was interrupted goes on. `name` is what it is called here.

    `tell` says more of the trained network, as plain values. Raises Mistake if it learned nothing of a full budget and `must` have.
    """
    recipe = replace(plan.recipe, loss=loss or CrossEntropy())
    torch.manual_seed(seed)
    net = careful(make(len(recipe.preprocess.mean)))
    start = sum(float(p.detach().double().sum()) for p in net.parameters())
    about = {"seed": seed, "plan": asdict(plan), "net": repr(net), "start": start, "recipe": repr(recipe)}
    state = {"about": about, "step": 0, "curve": [], "seconds": 0.0, "done": False}
    kept = budget.folder / f"{sha256(repr(about).encode()).hexdigest()[:16]}.pt" if budget.folder else None
    if recipe.layout == "channels_last":
        net = net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if kept and kept.exists():
        state = torch.load(kept, weights_only=True)
        net.load_state_dict(state["net"])
    if not state["done"]:
        go_on(f"{name}, seed {seed}", net, plan, recipe, state, budget, kept)
    _, train_error, test_error = state["curve"][-1]
    if must and budget.full and train_error > NOTHING:
        raise Mistake(f"{name}, seed {seed}, learned nothing: its training error is {train_error:.1f} %.")
    told = tell(net.eval()) if tell else {}
    parameters = sum(p.numel() for p in net.parameters())
    return Course(train_error, test_error, state["curve"], round(state["seconds"], 1), parameters, told, asdict(plan))


def go_on(name: str, net: nn.Module, plan: Plan, recipe: Recipe, state: dict[str, Any], budget: Budget, kept: Path | None) -> None:
    """From the state's step to the end, which is written into the state and, now and then and at the end, with the weights to a file."""
    train, test = part(plan.data, "train", plan.pictures), part(plan.data, "test", plan.tested)
    watched, few = (Pictures(p.x[: plan.watched], p.y[: plan.watched], p.classes) for p in (train, test))
    opt, batches = recipe.optimiser(net), Batches(train, plan.batch, state["about"]["seed"], recipe.preprocess, recipe.augment)
    if state["step"]:
        opt.load_state_dict(state["opt"])
        torch.set_rng_state(state["random"])

    def save(**more: Any) -> None:
        if kept:
            with whole(kept) as draft:
                torch.save(state | {"net": net.state_dict()} | more, draft)

    every, begun, saved = max(1, plan.steps // plan.points), time.perf_counter(), time.perf_counter()
    with machine(recipe):
        for step in fit(net, recipe, batches, opt, state["step"]):
            if step.n % every and step.n != plan.steps:
                continue
            state["seconds"] += time.perf_counter() - begun
            known = errors(net, watched, recipe.preprocess)
            last = known <= plan.enough or step.n == plan.steps
            new = errors(net, test if last else few, recipe.preprocess)
            state["curve"].append((step.n, known, new))
            state["step"] = step.n
            if last:
                break
            budget.follow(f"{name}: step {step.n:,} of {plan.steps:,}, test error {new:.1f} %")
            if time.perf_counter() - saved > SAVED:
                save(opt=opt.state_dict(), random=torch.get_rng_state())
                saved = time.perf_counter()
            begun = time.perf_counter()
    state["done"] = True
    state.pop("opt", None)
    state.pop("random", None)
    save()


def rivals(
    name: str,
    makes: Mapping[str, Make | tuple[Make, Plan]],
    plan: Plan,
    seeds: Sequence[int],
    budget: Budget,
    must: bool = True,
) -> dict[str, list[Course]]:
    """Each network, or network and plan of its own, for each seed."""
    found: dict[str, list[Course]] = {key: [] for key in makes}
    for seed in seeds:
        for key, what in makes.items():
            make, own = what if isinstance(what, tuple) else (what, plan)
            found[key].append(learn(f"{name}-{key.replace(' ', '_')}", make, own, seed, budget, must=must))
    return found


def contest(found: Mapping[str, list[Course]], worse: str, better: str, seeds: Sequence[int]) -> Finding:
    """Whether one of the rivals has the larger error: the verdict by the margin's interval over the seeds, and bars of all."""
    values = {key: [course.test_error for course in courses] for key, courses in found.items()}
    verdict, middle, (low, high) = more(values[worse], values[better])
    picture, figures = bars(values), {}
    for key, own in values.items():
        figures[key] = {"test_error": picture["bars"][key], "each": [round(v, 3) for v in own],
                        "train_error": [round(c.train_error, 3) for c in found[key]], "seconds": [c.seconds for c in found[key]],
                        "parameters": found[key][0].parameters, "plan": found[key][0].plan}  # fmt: skip
    figures["margin"] = [round(v, 3) for v in (middle, low, high)]
    both = f"{mean(values[worse]):.2f} % ({worse}) and {mean(values[better]):.2f} % ({better})"
    says = f"after {found[worse][0].passes:g} passes the test error is {both}, a difference of {signed(middle, low, high)}"
    return Finding(verdict, says, figures, picture, seeds, seconds(found))


def bars(errors: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """A picture of test errors, one a seed."""
    found = {}
    for name, values in errors.items():
        centre, (low, high) = over_seeds(values)
        found[name] = [round(v, 3) for v in (centre, low, high)]
    return {"kind": "bars", "y": "test error, % (mean and 95 % over seeds)", "bars": found}


def seconds(found: Mapping[str, list[Course]]) -> float:
    return round(sum(course.seconds for courses in found.values() for course in courses), 1)


def curves(found: Mapping[str, list[Course]]) -> dict[str, Any]:
    """Of each rival's first seed, training (dashed in the picture) and test error along the passes."""
    series = {}
    for key, (course, *_) in found.items():
        series[f"{key}, training"] = [[course.passes * n / course.plan["steps"], a] for n, a, _ in course.curve]
        series[f"{key}, test"] = [[course.passes * n / course.plan["steps"], b] for n, _, b in course.curve]
    return {"kind": "lines", "x": "passes", "y": "error, %", "series": series}
