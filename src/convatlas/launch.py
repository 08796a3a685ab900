"""A run trained by several processes: torchrun's agent, or Ray, starts them, replaces all of them when one dies, and they go on from
the last checkpoint in the run's folder, which every one of them must be able to read.
"""

import os
from pathlib import Path
from uuid import uuid4

from .distribute import joined
from .mistake import Mistake
from .run import open_run
from .watch import follow

RESTARTS = 3  # of all workers, before the run is given up


def work(folder: Path, save_every: float, quiet: bool, track: bool) -> str | None:
    """What each worker does: its share of the run in `folder`. "" at its end, None if it was told to stop.

    What is wrong, and would be wrong again in a worker that took its place, comes back in words.
    """
    run = open_run(folder)
    try:
        with joined() as team:
            follow(run, save_every, quiet or not team.leads, track and team.leads)
    except Mistake as error:
        return str(error)
    return None if run.stopped else ""


def worker(folder: Path, save_every: float, quiet: bool, track: bool) -> str:
    """`work` in a process of torchrun's agent, which would wait for the answer of one that was told to stop."""
    said = work(folder, save_every, quiet, track)
    if said is None:
        os._exit(130)
    return said


def torchrun(folder: Path, workers: int, save_every: float, quiet: bool, track: bool = False, alone: bool = True) -> bool:
    """Trains by `workers` processes of this machine; False if that was interrupted before its end, at a checkpoint.

    If not `alone`, torchrun's own variables say which machines belong together: PET_NNODES, PET_RDZV_ENDPOINT and so on, as for the
    command. Raises Mistake for what workers find wrong, and when they have died too often.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args, get_args_parser

    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # else new workers may find the addresses of dead ones there, and wait for them
    words = [f"--nproc-per-node={workers}", f"--max-restarts={RESTARTS}", __file__]  # the program that it wants is not run
    own = ["--nnodes=1", "--rdzv-backend=c10d", "--rdzv-endpoint=localhost:0", f"--rdzv-id={uuid4()}"] if alone else []
    config, _, _ = config_from_args(get_args_parser().parse_args([*own, *words]))
    try:
        said = elastic_launch(config, worker)(folder, save_every, quiet, track)
    except SignalException:
        return open_run(folder).finished
    except ChildFailedError as error:
        raise Mistake(
            f"{folder}: workers died {RESTARTS + 1} times, why stands above. Go on with: convatlas train --resume {folder}"
        ) from error
    if wrong := next((text for text in said.values() if text), ""):
        raise Mistake(wrong)
    return open_run(folder).finished
