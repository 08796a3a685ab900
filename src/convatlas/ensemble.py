"""Several networks judged by the same pictures: one beside another, or all together as one.

Networks that were trained apart answer together by the mean of their probabilities, as AlexNet's and GoogLeNet's ensembles did. The mean
of their weights is a network only where all came from the same weights and did not go far (Wortsman et al. 2022, arXiv:2203.05482).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .data import SOURCES
from .data.listed import Listed, opened
from .evaluate import Evaluation, evaluate, scores
from .intervals import Interval, mcnemar, over_pictures
from .mistake import Mistake
from .models.net import Net
from .predict import examine
from .protocols import join, named
from .recipes import Recipe
from .run import Run
from .sets import batches, labelled, load_sets
from .train import recalibrate
from .trained import Trained, of_run

ENOUGH = 10_000  # pictures, for the statistics of batch norms; or all that there are to learn from

Follow = Callable[[Iterable[Any], int], Iterable[Any]]


@dataclass(frozen=True)
class Answers:
    """What a network says of pictures: `scores` (N, classes), and their classes `y` (N,). `problems` are the files that cannot be read."""

    name: str
    protocol: str
    scores: Tensor
    y: Tensor
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def wrong(self) -> Tensor:
        """(N,) bool."""
        return self.scores.argmax(1) != self.y

    def evaluation(self) -> Evaluation:
        return evaluate(self.scores, self.y, self.protocol)


def on_its_test(run: Run, protocol: str | None = None, net: nn.Module | None = None) -> Answers:
    """Of a run's network, or another in its place, and the pictures that judge the run; by its own protocol or another.

    By its own, the pictures are as the run saw them; by another that wants whole pictures, they are read anew from where they lie.
    """
    recipe, net = run.recipe, net or run.trained()
    how = protocol or recipe.protocol
    if how != recipe.protocol and named(how).whole(recipe.preprocess.size) and recipe.data not in SOURCES:
        return replace(on_pictures(replace(of_run(run.folder), net=net, protocol=how), [whole(recipe)]), name=str(run.folder))
    test = load_sets(recipe).test
    return Answers(str(run.folder), how, scores(net, test.x, recipe.preprocess, protocol=how), test.y)


def whole(recipe: Recipe) -> Listed:
    """The pictures that judge a recipe's runs, where they lie. Raises Mistake for a fold."""
    tuning = recipe.tuning
    if tuning and tuning.folds:
        raise Mistake("a fold's pictures are kept in the network's size only; leave out --protocol, or name whole pictures by --data.")
    splits = opened(recipe.data, tuning.drawn if tuning else 0)
    return next(part for name in ("test", "val") if name in splits and len(part := labelled(splits[name])))


def at_its_end(run: Run) -> Answers:
    """What a finished run said of the pictures that judged it, as it wrote it down."""
    held = load_file(run.folder / "scores.safetensors")
    return Answers(str(run.folder), run.result()["protocol"], held["scores"], held["y"])


def on_pictures(trained: Trained, parts: Sequence[Listed], follow: Follow | None = None) -> Answers:
    """Of labelled pictures. What `follow` makes of the rows as they come, and of how many there will be, is what is read."""
    said, y, problems = [], [], {name: text for part in parts for name, text in part.problems.items()}
    rows = (row for part in parts for row in examine(trained, part))
    for name, found, label in follow(rows, sum(map(len, parts))) if follow else rows:
        if isinstance(found, Mistake):
            problems[name] = str(found)
        else:
            said.append(found)
            y.append(label)
    scored = torch.stack(said).log() if said else torch.empty(0, len(trained.classes))
    return Answers(trained.name, trained.protocol, scored, torch.tensor(y), problems)


def together(members: Sequence[Answers]) -> Answers:
    """What they say as one: the mean of their probabilities. Raises Mistake if they were asked of different pictures."""
    first = members[0]
    for other in members[1:]:
        alike(first, other)
    return Answers("together", first.protocol, join(torch.stack([one.scores for one in members])), first.y, first.problems)


def alike(first: Answers, other: Answers) -> None:
    if first.scores.shape != other.scores.shape or not torch.equal(first.y, other.y):
        raise Mistake(f"{first.name} and {other.name} are not judged by the same pictures; name some for both by --data.")
    if first.protocol != other.protocol:
        raise Mistake(f"{first.name} is tested by {first.protocol!r}, {other.name} by {other.protocol!r}; name one by --protocol.")


def gain(members: Sequence[Answers], one: Answers) -> tuple[float, Interval]:
    """By how many points the members' mean error is above that of `one`, and the interval of that over the pictures."""
    differences = torch.stack([member.wrong for member in members]).double().mean(0) - one.wrong.double()
    centre, (low, high) = over_pictures(float(differences.sum()), float(differences.square().sum()), len(one.y))
    return 100 * centre, (100 * low, 100 * high)


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same pictures. `difference` is the first's error less the second's, in points, with its interval over the
    pictures; `p` is McNemar's.
    """

    first: Evaluation
    second: Evaluation
    only_first_wrong: int
    only_second_wrong: int
    difference: float
    interval: Interval
    p: float


def compare(first: Answers, second: Answers) -> Comparison:
    """Raises Mistake if they were asked of different pictures or in different ways."""
    alike(first, second)
    b, c = int((first.wrong & ~second.wrong).sum()), int((second.wrong & ~first.wrong).sum())
    difference, interval = gain([first], second)
    return Comparison(first.evaluation(), second.evaluation(), b, c, difference, interval, mcnemar(b, c))


def soup(runs: Sequence[Run]) -> Net:
    """The network whose weights are the mean of the runs'. Its batch norms see training pictures anew, for what they knew is no longer so.

    Those that the recipe leaves as they came keep what they know. Raises Mistake if the runs have different networks.
    """
    net, recipe = runs[0].trained(), runs[0].recipe
    for run in runs[1:]:
        if (run.recipe.model, dict(run.recipe.config)) != (recipe.model, dict(recipe.config)):
            raise Mistake(f"the weights of {runs[0].folder} and {run.folder} have no mean: they are of different networks.")
    states = [net.state_dict(), *(run.trained().state_dict() for run in runs[1:])]
    mean = {name: mean_of([state[name] for state in states]) for name in states[0]}
    net.load_state_dict(mean)
    kept = recipe.tuning is not None and recipe.tuning.kept_norms
    if not kept and any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()):
        sets = load_sets(recipe)
        count = -(-min(ENOUGH, len(sets.disk or sets.train)) // recipe.batch)
        recalibrate(net, replace(recipe, recalibrate=count), batches(recipe, sets, runs[0].seed))
        frozen = tuple(f"features.{name}." for name in net.frozen)
        net.load_state_dict({name: tensor for name, tensor in mean.items() if name.startswith(frozen)}, strict=False)
    return net.eval()


def mean_of(tensors: list[Tensor]) -> Tensor:
    """Of numbers that count something, the first."""
    return torch.stack(tensors).mean(0) if tensors[0].is_floating_point() else tensors[0]
