"""Ray as the engine: one run by many workers, many runs, and very many pictures. The extra `cluster`.

On the cluster that RAY_ADDRESS names, of which every machine must see the folders that are named; else on this machine, with Ray's
processes for as long as it takes. Ray starts, replaces and ends; what is done and written is what is done without it.
"""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from .bulk import Bulk, Place, look
from .distribute import BACKENDS, here
from .launch import RESTARTS, work
from .mistake import Mistake
from .run import open_run
from .trained import Trained


@contextmanager
def cluster() -> Iterator[str]:
    """Ray, and a folder for what it notes down; nothing is sent to its makers."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # a box of its own about every sweep
    try:
        import ray
    except ImportError:
        raise Mistake("this needs Ray: pip install 'convatlas[cluster]'.") from None
    with TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as place:
        new = {} if "RAY_ADDRESS" in os.environ else {"include_dashboard": False, "_temp_dir": place, "num_cpus": os.cpu_count()}
        with redirect_stdout(sys.stderr):  # Ray says there what this command answers
            ray.init(logging_level=logging.ERROR, log_to_driver=False, **new)
            try:
                yield place
            finally:
                ray.shutdown()


def part(workers: int) -> float:
    """The processors that each of so many workers can have: at most one, as Ray counts them."""
    import ray

    return min(1.0, ray.cluster_resources().get("CPU", 1.0) / workers)


def train(folder: Path, workers: int, save_every: float, track: bool = False) -> bool:
    """Trains the run in `folder`; False if that was interrupted. Raises Mistake for what workers find wrong or die of."""
    with cluster() as place:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        gpu = torch.cuda.is_available()
        trainer = TorchTrainer(
            worker,
            train_loop_config={"folder": str(folder.resolve()), "save_every": save_every, "track": track},
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=gpu, resources_per_worker={"CPU": part(workers), "GPU": int(gpu)}),
            run_config=RunConfig(name="train", storage_path=place, failure_config=FailureConfig(max_failures=RESTARTS)),
            torch_config=TorchConfig(backend=BACKENDS if gpu else "gloo"),
        )
        try:
            said = trainer.fit().return_value
        except KeyboardInterrupt:
            return False
        except Exception as error:  # Ray's kinds of it changed with its versions
            raise Mistake(f"{folder}: workers died {RESTARTS + 1} times ({type(error).__name__}), why stands above.") from error
    if said:
        raise Mistake(str(said))
    return open_run(folder).finished


def worker(how: dict[str, Any]) -> str | None:
    """What each of Ray's workers does: the same as torchrun's."""
    torch.set_num_threads(here().cores)
    return work(Path(how["folder"]), how["save_every"], quiet=True, track=how["track"])


def train_all(folders: Sequence[Path], at_once: int, save_every: float) -> None:
    """Trains the runs in `folders`, each by one worker that is replaced if it dies, `at_once` of them at a time.

    Raises Mistake if one of them could not be finished; the others are.
    """
    with cluster() as place:
        from ray import tune

        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": part(at_once), "gpu": int(torch.cuda.is_available())}),
            param_space={
                "folder": tune.grid_search([str(folder.resolve()) for folder in folders]),
                "save_every": save_every,
                "threads": max(1, (os.cpu_count() or 1) // at_once),
            },
            tune_config=tune.TuneConfig(max_concurrent_trials=at_once),
            run_config=tune.RunConfig(
                name="sweep", storage_path=place, verbose=0, failure_config=tune.FailureConfig(max_failures=RESTARTS)
            ),
        )
        found = tuner.fit()
        wrong = [str(one.error or (one.metrics or {}).get("said") or "") for one in found]
    if text := next(filter(None, wrong), ""):
        raise Mistake(text)


def trial(how: dict[str, Any]) -> None:
    from ray import tune

    torch.set_num_threads(how["threads"])
    tune.report({"said": work(Path(how["folder"]), how["save_every"], quiet=True, track=False)})


class Looker:
    """One of the processes that look at pictures."""

    def __init__(self, trained: Trained, folder: Path, shares: bool, threads: int):
        torch.set_num_threads(threads)
        self.trained, self.folder, self.shares = replace(trained, net=trained.net.to(here().device)), folder, shares

    def __call__(self, parts: dict[str, Any]) -> dict[str, Any]:
        asked = zip(parts["n"], parts["places"], strict=True)
        return {"done": [look(self.trained, self.folder, int(n), [Place(*one) for one in some], self.shares) for n, some in asked]}


def predict(bulk: Bulk, trained: Trained, workers: int) -> Iterator[int]:
    """Does what is left of `bulk`; yields how many pictures are done whenever some are."""
    left = bulk.begin(trained)
    if not left:
        return
    with cluster():
        import ray

        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        parts = ray.data.from_items([{"n": n, "places": [list(one) for one in bulk.part(n)]} for n in left], override_num_blocks=len(left))
        done = parts.map_batches(
            Looker,
            fn_constructor_args=(trained, bulk.folder.resolve(), bulk.shares, max(1, (os.cpu_count() or 1) // workers)),
            batch_size=1,
            concurrency=workers,
            num_cpus=part(workers),
            num_gpus=int(torch.cuda.is_available()),
        )
        for row in done.iter_rows():
            yield int(row["done"])
