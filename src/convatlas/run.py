"""A run's folder: begin, go on after whatever happened, finish.

    recipe.json           what is trained: the recipe's name, its every value, the seed
    log.jsonl             a line for each thing worth plotting, and for each begin with its environment
    state.pt              step, errors, optimiser and generator; names the weights file that belongs to it
    weights*.safetensors  that file: weights-<step> while the run goes, weights.safetensors at its end
    result.json           errors on the test pictures, time, environment; with report.html, of a finished run

The one moment that counts is the renaming of state.pt: before it the old checkpoint stands whole, after it the new one.
"""

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy
import safetensors.torch
import torch
from safetensors.torch import load_file
from torch import nn

from .data import source as source_of
from .data.batches import Batches
from .disk import named, whole
from .evaluate import Evaluation, evaluate, scores
from .mistake import Mistake
from .models import build
from .recipes import Recipe
from .recipes.text import decode, differences, encode
from .train import fit, machine

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
    stopped: bool = field(default=False, init=False)

    def net(self) -> nn.Module:
        """The network with the weights that it began with: the seed's."""
        torch.manual_seed(self.seed)
        return build(self.recipe.model, **dict(self.recipe.config))

    def trained(self) -> nn.Module:
        """The network with the weights of the last checkpoint, in evaluation mode."""
        net = self.net()
        net.load_state_dict(load_file(self.folder / read_state(self.folder)["weights"]))
        return net.eval()

    @property
    def finished(self) -> bool:
        return (self.folder / "result.json").exists()

    def log(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl, but for a last one that was cut off while it was written."""
        path = self.folder / "log.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def stop(self) -> None:
        """Makes `go` end after the step it is at, with a checkpoint."""
        self.stopped = True

    def go(self, save_every: float = 20.0) -> Iterator[Progress]:
        """Trains from where the folder stands to the recipe's end, and tests; yields a few times a second.

        A checkpoint is written every `save_every` seconds, at the end and at `stop()`. Whatever kills it in between,
        going on gives the same weights to the bit as if nothing had happened, on the same versions and number of threads.
        Raises Mistake for a folder in use by another process or a loss that is no longer a number, OSError for a full disk.
        """
        with self.alone(), machine(self.recipe):
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
        self.run, self.recipe, self.save_every = run, run.recipe, save_every
        source = source_of(self.recipe.data, self.recipe.preprocess.size)
        self.test = source.load("test")
        self.batches = Batches(source.load("train"), self.recipe.batch, run.seed, self.recipe.preprocess, self.recipe.augment)
        self.net = run.net()
        self.opt = self.recipe.optimiser(self.net)
        self.step, self.errors, self.seconds = 0, [], 0.0
        self.loss, self.summed = torch.zeros(()), 0  # of the steps since the last line of the log
        self.told = 0.0  # the mean loss in that line
        if (run.folder / "state.pt").exists():
            self.restore()
        self.tidy()

    def restore(self) -> None:
        state = read_state(self.run.folder)
        self.net.load_state_dict(load_file(self.run.folder / state["weights"]))
        self.opt.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["generator"])
        self.step, self.errors, self.seconds = state["step"], state["errors"], state["seconds"]
        self.loss, self.summed = state["loss"], state["summed"]

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
        folder = self.run.folder
        about = {"model": self.recipe.model}  # one entry: of several the order is left to chance, and equal weights are equal files
        with whole(folder / weights) as draft:
            draft.write_bytes(safetensors.torch.save(self.net.state_dict(), about))
        state = {
            "weights": weights,
            "optimiser": self.opt.state_dict(),
            "generator": torch.get_rng_state(),
            **{key: getattr(self, key) for key in ("step", "errors", "seconds", "loss", "summed")},
        }
        packed = BytesIO()
        torch.save(state, packed)
        with whole(folder / "state.pt") as draft:
            draft.write_bytes(packed.getbuffer())
        for old in folder.glob("weights*.safetensors"):
            if old.name != weights:
                old.unlink()

    def go(self) -> Iterator[Progress]:
        self.note(event="begin", environment=environment())
        log_every = max(1, self.recipe.steps // LOG_LINES)
        begun = saved = shown = time.perf_counter()
        before, first = self.seconds, self.step
        for step in fit(self.net, self.recipe, self.batches, self.opt, self.step, self.errors):
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
            if step.n % self.recipe.test == 0 or step.n == self.recipe.steps:
                paused = time.perf_counter()
                self.measure()
                begun += time.perf_counter() - paused  # seconds are those of training
            if self.run.stopped or now - saved > self.save_every:
                self.save(f"weights-{self.step}.safetensors")
                saved = time.perf_counter()
            if self.run.stopped:
                return
        self.finish()
        yield self.progress(0.0, self.recipe.steps * self.recipe.batch / max(self.seconds, 1e-9))

    def progress(self, rate: float, speed: float) -> Progress:
        loss = float(self.loss) / self.summed if self.summed else self.told
        error = self.errors[-1] if self.errors else None
        return Progress(self.step, self.recipe.steps, loss, rate, error, speed, self.seconds)

    def check(self) -> None:
        """Keeps a network that has come apart out of the checkpoints. Raises Mistake."""
        if not torch.isfinite(self.loss):
            raise Mistake(f"the loss is {float(self.loss)} at step {self.step}: lower the rate. The last checkpoint before it is kept.")

    def log_loss(self, now: Progress) -> None:
        self.check()
        self.note(step=now.step, loss=now.loss, rate=now.rate, seconds=round(now.seconds, 3), images_per_s=round(now.images_per_s, 1))
        self.loss, self.summed, self.told = torch.zeros(()), 0, now.loss

    def measure(self) -> Evaluation:
        found = evaluate(scores(self.net, self.test.x, self.recipe.preprocess), self.test.y)
        self.errors.append(found.top1_error)
        self.note(step=self.step, test_error=found.top1_error, seconds=round(self.seconds, 3))
        return found

    def finish(self) -> None:
        self.save("weights.safetensors")
        found = evaluate(scores(self.net, self.test.x, self.recipe.preprocess), self.test.y)
        result = {
            "recipe": self.run.name,
            "seed": self.run.seed,
            **asdict(found),
            "published": self.recipe.published,
            "seconds": round(self.seconds, 2),
            "images_per_s": round(self.recipe.steps * self.recipe.batch / max(self.seconds, 1e-9), 1),
            "environment": environment(),
        }
        with whole(self.run.folder / "result.json") as draft:
            draft.write_text(json.dumps(result, indent=1) + "\n")

    def note(self, **line: object) -> None:
        path = self.run.folder / "log.jsonl"
        with named(path), path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def begin(folder: Path, name: str, recipe: Recipe, seed: int = 0, changed: dict[str, Any] | None = None) -> Run:
    """A new run in `folder`, which is made. Raises Mistake if there is anything in it already or it cannot be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        held = "holds another run" if (folder / "recipe.json").exists() else "is there already and is not empty"
        raise Mistake(f"{folder} {held}. Go on with it by --resume {folder}, or choose another place by --out DIR.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / "recipe.json") as draft:
            written = {"name": name, "seed": seed, "changed": changed or {}, "convatlas": version("convatlas"), "recipe": encode(recipe)}
            draft.write_text(json.dumps(written, indent=1) + "\n")
    except OSError as error:
        raise Mistake(f"{folder} cannot be written: {error.strerror}. Choose another place by --out DIR.") from error
    return Run(folder, name, recipe, seed, changed or {})


def open_run(folder: Path) -> Run:
    """The run in `folder`, as it began. Raises Mistake if there is none."""
    try:
        written = json.loads((folder / "recipe.json").read_text())
        return Run(folder, written["name"], decode(written["recipe"]), written["seed"], written["changed"])
    except OSError as error:
        raise Mistake(f"{folder} holds no run: {folder / 'recipe.json'} cannot be read ({error.strerror}).") from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise Mistake(f"{folder / 'recipe.json'} is damaged ({error}).") from error


def load(folder: str | Path) -> nn.Module:
    """The network of the run in `folder`, with the weights of its last checkpoint, in evaluation mode."""
    return open_run(Path(folder)).trained()


def changed_since(run: Run, recipe: Recipe) -> list[str]:
    """Where `recipe` is another than the one that the run began with, a line for each field."""
    return differences(encode(run.recipe), encode(recipe))


def read_state(folder: Path) -> dict[str, Any]:
    path = folder / "state.pt"
    try:
        return torch.load(path, weights_only=True)
    except FileNotFoundError:
        raise Mistake(f"{folder} has no checkpoint yet; begin again with: convatlas train --resume {folder}") from None


def environment() -> dict[str, Any]:
    """What a measurement depends on besides the recipe: versions, processor, threads, and the commit of this package if there is one."""
    return {
        "convatlas": version("convatlas"),
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }


def commit() -> str | None:
    """The git commit of this package's code, with a + where files differ from it; None for an installed package."""
    here = Path(__file__).parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def processor() -> str:
    try:
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    except OSError:
        names = []
    return names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()
