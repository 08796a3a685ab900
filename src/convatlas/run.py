"""A run's folder: begin, go on after whatever happened, finish.

    recipe.json           what is trained: the recipe's name, its every value, the seed
    log.jsonl             a line for each thing worth plotting, and for each begin with its environment
    state.pt              step, errors, optimiser and generator; names the weights file that belongs to it
    weights*.safetensors  that file: weights-<step> while the run goes, weights.safetensors at its end
    average-*.safetensors while it goes, the mean of the weights so far, where the recipe tests that
    start.safetensors     the weights that it began with, if they are not the seed's
    kept-*.safetensors    the weights after the steps that the recipe names
    best-*.safetensors    while it goes, the weights of the least loss on the pictures that are held back
    scores.safetensors    the network's scores of the test pictures, at its end
    result.json           errors on the test pictures, time, environment; with report.html, of a finished run

The one moment that counts is the renaming of state.pt: before it the old checkpoint stands whole, after it the new one.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from io import BytesIO
from math import inf
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .data.batches import generator
from .data.pictures import Pictures
from .disk import named, whole
from .distribute import Agreement, here, sync_norms
from .evaluate import Evaluation, evaluate, scores
from .machine import environment
from .metrics import metrics
from .mistake import Mistake
from .models import build
from .models.net import Net
from .precision import careful
from .recipes import Recipe
from .recipes.text import decode, encode
from .sets import batches, load_sets
from .train import Averaged, Step, fit, in_layout, machine, recalibrate

LOG_LINES = 400  # of the loss, in a whole run


@dataclass(frozen=True)
class Progress:
    """Where a run stands: `loss` is the mean since the last line of the log, `error` the last test error in percent."""

    step: int
    steps: int
    loss: float
    rate: float
    error: float | None
    images_per_s: float
    seconds: float

    @property
    def left(self) -> float:
        """Seconds until the end, if it goes on at this speed."""
        return self.seconds / max(1, self.step) * (self.steps - self.step)


@dataclass
class Run:
    """A recipe being followed, or one that was, in a folder of its own."""

    folder: Path
    name: str
    recipe: Recipe
    seed: int
    changed: dict[str, Any] = field(default_factory=dict)  # how the recipe was varied by whoever began the run, as text
    sync_norms: bool = False  # of several processes: batch norms take the statistics of the whole batch, not of each one's share
    stopped: bool = field(default=False, init=False)

    def net(self) -> Net:
        """The network with the weights that it began with: the seed's, or those of start.safetensors."""
        torch.manual_seed(self.seed)
        net, start = build(self.recipe.model, **dict(self.recipe.config)), self.folder / "start.safetensors"
        if self.recipe.tuning is None:
            return net
        net.load_state_dict(load_file(start))
        return net.freeze(self.recipe.tuning.freeze or None)

    def trained(self) -> Net:
        """The network with the weights of the last checkpoint, in evaluation mode."""
        net = self.net()
        net.load_state_dict(load_file(self.folder / read_state(self.folder)["weights"]))
        return in_layout(net, self.recipe).eval()

    @property
    def finished(self) -> bool:
        return (self.folder / "result.json").exists()

    def log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl, but for a last one that was cut off while it was written."""
        path = self.folder / "log.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def scores(self) -> Tensor:
        """The scores (N, classes) of the test pictures that a finished run wrote."""
        return load_file(self.folder / "scores.safetensors")["scores"]

    def stop(self) -> None:
        """Makes `go` end after the step it is at, with a checkpoint."""
        self.stopped = True

    def go(self, save_every: float = 20.0) -> Iterator[Progress]:
        """Trains from where the folder stands to the recipe's end, and tests; yields a few times a second.

        A checkpoint is written every `save_every` seconds, at the end and at `stop()`. Whatever kills it in between,
        going on gives the same weights to the bit as if nothing had happened, on the same versions and number of threads.
        Several processes that are one team (distribute.py) all call this, and the folder is the same for all.
        Raises Mistake for a folder in use by another process or a loss that is no longer a number, OSError for a full disk.
        """
        with self.alone() if here().leads else nullcontext(), machine(self.recipe):
            yield from Session(self, save_every).go()

    def result(self) -> dict[str, Any]:
        """result.json. Raises Mistake if the run is not finished."""
        if not self.finished:
            raise Mistake(f"{self.folder} is not finished; go on with: convatlas train --resume {self.folder}")
        return json.loads((self.folder / "result.json").read_text())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps a second process out of the folder; the system lets go of the lock when this process ends in any way."""
        with (self.folder / ".lock").open("w") as file:
            if os.name == "posix":
                import fcntl

                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise Mistake(f"{self.folder} is being trained by another process; wait for it, or choose another folder.") from None
            yield


class Session:
    """One stretch of a run, from a checkpoint to its end or its interruption."""

    def __init__(self, run: Run, save_every: float):
        self.run, self.recipe, self.save_every, self.team = run, run.recipe, save_every, here()
        self.sets, recipe = load_sets(self.recipe), self.recipe
        self.team.fair(recipe.batch)
        self.batches = batches(recipe, self.sets, run.seed, self.team)
        self.net = careful(in_layout(run.net(), recipe)).to(self.team.device)
        if run.sync_norms:
            sync_norms(self.net)
        self.opt = self.recipe.optimiser(self.net)
        self.average = Averaged(self.net, recipe.average, recipe.steps) if recipe.average else None
        self.step, self.errors, self.losses, self.seconds, self.best = 0, [], [], 0.0, ""
        self.loss, self.summed, self.told = torch.zeros((), device=self.team.device), 0, 0.0  # since the log's last line; the mean in that
        if self.team.rank:
            torch.set_rng_state(generator(run.seed, self.team.rank).get_state())
        if (run.folder / "state.pt").exists():
            self.restore()
        if self.team.leads:
            self.tidy()

    def restore(self) -> None:
        state = read_state(self.run.folder)
        self.net.load_state_dict(load_file(self.run.folder / state["weights"]))
        if self.average:
            self.average.net.load_state_dict(load_file(self.run.folder / f"average-{state['step']}.safetensors"))
            self.average.count = state["averaged"]
        self.opt.load_state_dict(state["optimiser"])
        self.batches.order.restore(state.get("order", {}))
        generators = state["generator"]
        if len(generators) == self.team.ranks:
            torch.set_rng_state(generators[self.team.rank].clone())  # torch reads from the beginning of the memory
        else:
            torch.set_rng_state(generator(self.run.seed, self.team.rank, state["step"]).get_state())
        self.step, self.errors, self.seconds, self.best = state["step"], state["errors"], state["seconds"], state.get("best", "")
        self.loss, self.summed, self.losses = state["loss"].to(self.team.device), state["summed"], state.get("losses", [])

    def tidy(self) -> None:
        """Takes away what was written after the checkpoint, by a process that ended before the next one."""
        for stray in self.run.folder.glob(".*.draft"):
            stray.unlink()
        kept = [line for line in self.run.log() if line.get("step", 0) <= self.step]
        with whole(self.run.folder / "log.jsonl") as draft:
            draft.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def save(self, weights: str) -> None:
        """A checkpoint, its weights in a file called `weights`."""
        self.check()
        generators = torch.cat(self.team.gather(torch.get_rng_state()[None], self.team.ranks))
        if self.team.leads:
            self.write(weights, generators)

    def write(self, weights: str, generators: Tensor) -> None:
        folder, average = self.run.folder, f"average-{self.step}.safetensors"
        write_weights(folder / weights, self.net, self.recipe.model)
        if self.average:
            write_weights(folder / average, self.average.net, self.recipe.model)
        state = {
            "weights": weights,
            "averaged": self.average.count if self.average else 0,
            "optimiser": self.opt.state_dict(),
            "generator": generators,
            "order": self.batches.order.state(),
            **{key: getattr(self, key) for key in ("step", "errors", "seconds", "loss", "summed", "losses", "best")},
        }
        packed = BytesIO()
        torch.save(state, packed)
        with whole(folder / "state.pt") as draft:
            draft.write_bytes(packed.getbuffer())
        for old in (*folder.glob("weights*.safetensors"), *folder.glob("average-*.safetensors"), *folder.glob("best-*.safetensors")):
            if old.name not in (weights, average, self.best):
                old.unlink()

    def go(self) -> Iterator[Progress]:
        self.note(event="begin", environment=environment() | {"workers": self.team.ranks, "sync_norms": self.run.sync_norms})
        if self.recipe.tuning and self.sets.watch and not self.errors:
            self.measure()  # of the start, so that training never ends with worse
        log_every = max(1, self.recipe.steps // LOG_LINES)
        begun = saved = shown = time.perf_counter()
        before, first, agree = self.seconds, self.step, Agreement(self.team)
        for step in self.steps():
            self.step, now = step.n, time.perf_counter()
            self.loss += step.loss
            self.summed += 1
            tell = now - shown > 0.25
            if step.n % log_every == 0 or tell or step.n == self.recipe.steps:
                self.seconds, shown = before + now - begun, now
                progress = self.progress(step.rate, (step.n - first) * self.recipe.batch / (now - begun))
                if step.n % log_every == 0:
                    self.log_loss(progress)
                yield progress
            if self.sets.watch and (step.n % self.recipe.test == 0 or step.n == self.recipe.steps):
                paused = time.perf_counter()
                self.measure()
                begun += time.perf_counter() - paused  # seconds are those of training
            if step.n in self.recipe.kept and self.team.leads:  # before the checkpoint, from which on this step is not taken again
                write_weights(self.run.folder / f"kept-{step.n}.safetensors", self.net, self.recipe.model)
            stop, save = agree(step.n, self.run.stopped, now - saved > self.save_every, (step.n - first) / (now - begun))
            if stop or save:
                self.save(f"weights-{self.step}.safetensors")
                saved = time.perf_counter()
            if stop:
                self.run.stop()
                return
            if self.over():
                break
        self.finish()
        yield self.progress(0.0, self.step * self.recipe.batch / max(self.seconds, 1e-9))

    def steps(self) -> Iterator[Step]:
        rest = self.step, self.errors, self.average, self.team.wrapped(self.net)
        return iter(()) if self.over() else fit(self.net, self.recipe, self.batches, self.opt, *rest)

    def progress(self, rate: float, speed: float) -> Progress:
        loss = float(self.loss) / self.summed if self.summed else self.told
        error = self.errors[-1] if self.errors else None
        return Progress(self.step, self.recipe.steps, loss, rate, error, speed, self.seconds)

    def check(self) -> None:
        """Keeps a network that has come apart out of the checkpoints. Raises Mistake, in all processes."""
        self.loss = self.team.mean(self.loss)
        if not torch.isfinite(self.loss):
            raise Mistake(f"the loss is {float(self.loss)} at step {self.step}: lower the rate. The last checkpoint before it is kept.")

    def log_loss(self, now: Progress) -> None:
        self.check()
        now = replace(now, loss=float(self.loss) / self.summed)
        self.note(step=now.step, loss=now.loss, rate=now.rate, seconds=round(now.seconds, 3), images_per_s=round(now.images_per_s, 1))
        self.loss, self.summed, self.told = torch.zeros_like(self.loss), 0, now.loss

    def measure(self) -> None:
        """The error on the pictures that are watched: a run's test pictures, or those that were held back for it."""
        pictures = self.sets.watch or self.sets.test
        found, answers = self.errors_on(pictures)
        error, loss = found.top1_error, float(self.recipe.loss(answers, pictures.y)) if self.recipe.tuning else inf
        if self.recipe.tuning and loss < min(self.losses, default=inf):
            self.best = f"best-{self.step}.safetensors"
            if self.team.leads:
                write_weights(self.run.folder / self.best, self.tested, self.recipe.model)
        self.errors.append(error)
        self.losses.append(loss)
        kind = "held_error" if self.recipe.tuning else "test_error"
        self.note(step=self.step, **{kind: error}, seconds=round(self.seconds, 3))

    def errors_on(self, pictures: Pictures) -> tuple[Evaluation, Tensor]:
        """Each process asks the leader's network about its share of the pictures; all learn what it says of all."""
        self.team.level(self.tested)
        mine = pictures.x[self.team.share(len(pictures))]
        said = scores(self.tested, mine, self.recipe.preprocess, protocol=self.recipe.protocol)
        found = torch.cat(self.team.gather(said, len(pictures)))
        return evaluate(found, pictures.y, self.recipe.protocol), found

    @property
    def tested(self) -> Net:
        """The network whose errors count: the mean of the weights, where the recipe wants that."""
        return self.average.net if self.average and self.average.count else self.net

    def over(self) -> bool:
        """Whether the loss on the pictures held back has not fallen for as long as the recipe waits."""
        if self.recipe.tuning is None or not self.losses:
            return False
        return len(self.losses) - 1 - self.losses.index(min(self.losses)) >= self.recipe.tuning.patience

    def finish(self) -> None:
        if self.best:
            if self.team.leads:
                self.net.load_state_dict(load_file(self.run.folder / self.best))
            self.team.level(self.net)
            self.best = ""
        elif self.tested is not self.net:
            self.net.load_state_dict(self.tested.state_dict())
        self.average = None
        if self.recipe.recalibrate:
            recalibrate(self.net, self.recipe, self.batches)
        self.save("weights.safetensors")
        found, answers = self.errors_on(self.sets.test)
        if self.team.leads:
            self.write_result(found, answers)
        self.team.most(0)  # nobody leaves before it is there

    def write_result(self, found: Evaluation, answers: Tensor) -> None:
        folder, test = self.run.folder, self.sets.test
        with whole(folder / "scores.safetensors") as draft:
            draft.write_bytes(safetensors.torch.save({"scores": answers.contiguous(), "y": test.y}))
        result = {
            "recipe": self.run.name,
            "seed": self.run.seed,
            **asdict(found),
            "judged": self.sets.judged,
            "published": self.recipe.published,
            "steps": self.step,
            "seconds": round(self.seconds, 2),
            "images_per_s": round(self.step * self.recipe.batch / max(self.seconds, 1e-9), 1),
            "metrics": asdict(metrics(answers, test.y, test.classes)),
            "workers": self.team.ranks,
            "environment": environment(),
        }
        with whole(folder / "result.json") as draft:
            draft.write_text(json.dumps(result, indent=1) + "\n")

    def note(self, **line: object) -> None:
        if not self.team.leads:
            return
        path = self.run.folder / "log.jsonl"
        with named(path), path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def write_weights(path: Path, net: nn.Module, model: str) -> None:
    about = {"model": model}  # one entry: of several the order is left to chance
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    with whole(path) as draft:
        draft.write_bytes(safetensors.torch.save(tensors, about))


def free(folder: Path) -> None:
    """Raises Mistake if there is anything in the folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        held = "holds a run already" if (folder / "recipe.json").exists() else "is there already and is not empty"
        raise Mistake(f"{folder} {held}. Go on with it by --resume {folder}, or choose another place by --out DIR.")


def begin(
    folder: Path,
    name: str,
    recipe: Recipe,
    seed: int = 0,
    changed: dict[str, Any] | None = None,
    start: nn.Module | None = None,
    told: dict[str, Any] | None = None,
    sync_norms: bool = False,
) -> Run:
    """A new run in `folder`, which is made. Raises Mistake if there is anything in it already or it cannot be written.

    A recipe for weights from elsewhere needs the network with these, `start`. `told` is the first line of the log.
    """
    free(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if start is not None:
            write_weights(folder / "start.safetensors", start, recipe.model)
        if told is not None:
            (folder / "log.jsonl").write_text(json.dumps(told) + "\n")
        with whole(folder / "recipe.json") as draft:
            about = {"name": name, "seed": seed, "changed": changed or {}, "sync_norms": sync_norms, "convatlas": version("convatlas")}
            draft.write_text(json.dumps(about | {"recipe": encode(recipe)}, indent=1) + "\n")
    except OSError as error:
        raise Mistake(f"{folder} cannot be written: {error.strerror}. Choose another place by --out DIR.") from error
    return Run(folder, name, recipe, seed, changed or {}, sync_norms)


def open_run(folder: Path) -> Run:
    """The run in `folder`, as it began. Raises Mistake if there is none."""
    try:
        is_ = json.loads((folder / "recipe.json").read_text())
        return Run(folder, is_["name"], decode(is_["recipe"]), is_["seed"], is_["changed"], is_.get("sync_norms", False))
    except OSError as error:
        raise Mistake(f"{folder} holds no run: {folder / 'recipe.json'} cannot be read ({error.strerror}).") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise Mistake(f"{folder / 'recipe.json'} is damaged ({error}).") from error


def read_state(folder: Path) -> dict[str, Any]:
    path = folder / "state.pt"
    try:
        return torch.load(path, weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError) as error:
        raise Mistake(f"{path} is damaged, or no checkpoint ({type(error).__name__}); begin anew with --out DIR.") from None
    except FileNotFoundError:
        raise Mistake(f"{folder} has no checkpoint yet; begin again with: convatlas train --resume {folder}") from None
