"""How a twin may run, which way is the fastest here, and what was found the last time."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from statistics import median

import torch
from torch import Tensor

from ..disk import cache_folder, whole
from ..machine import processor

CHUNKS = (1, 2, 4, 8)
SLOW = 1.25  # times the fastest: not tried any more
ROUNDS = 3
TURN, CALM = 0.2, 0.05  # seconds that a way's turn takes at least, and of these the ones that do not count

ENGINES = {"plain": ("fp32", "bf16"), "openvino": ("fp32", "bf16", "int8"), "onnxruntime": ("fp32",),
           "graph": ("fp32", "bf16")}  # fmt: skip
# and the precisions they have; "graph" is CUDA's

Way = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """By which engine (of `ENGINES`), in which precision, in chunks of how many pictures and on how many streams.

    `spared` are the layers that int8 leaves in bfloat16: none, "depthwise" convolutions, or those that are found to be "sensitive".
    """

    engine: str
    precision: str
    chunk: int
    streams: int = 1
    spared: str = ""


def first_plans(precisions: Iterable[str], batch: int, device: str = "cpu", depthwise: bool = False) -> list[Plan]:
    """Each engine that is installed for this kind of device in each precision that it has, the batch as a whole.

    Of a network with `depthwise` convolutions also the int8 that spares them: they have little to compute, and much to convert.
    """
    on = {"cuda": ("plain", "graph")}.get(device, ("plain", "openvino", "onnxruntime"))
    engines = [engine for engine in on if engine in ("plain", "graph") or installed(engine)]
    plans = [Plan(engine, precision, batch) for precision in precisions for engine in engines if precision in ENGINES[engine]]
    return plans + [replace(plan, spared="depthwise") for plan in plans if depthwise and plan.precision == "int8"]


def likely(plans: Iterable[Plan], bf16: bool) -> list[Plan]:
    """Those first that are fastest for most networks; `bf16`: the processor has instructions for it."""
    order = ("int8", "bf16", "fp32") if bf16 else ("int8", "fp32", "bf16")
    engines = ("graph", "openvino", "onnxruntime", "plain")
    return sorted(plans, key=lambda plan: (order.index(plan.precision), engines.index(plan.engine)))


def finer(plan: Plan, batch: int, threads: int) -> list[Plan]:
    """The same with the batch in chunks, each of which all threads work at together, or each one alone."""
    if plan.engine in ("plain", "graph"):
        return []
    return [replace(plan, chunk=n, streams=streams) for n in CHUNKS if n < batch for streams in {1, min(threads, -(-batch // n))}]


def race(ways: dict[Plan, Way], x: Tensor) -> dict[Plan, float]:
    """Seconds that each way takes with `x`, the median of turns that alternate; of a way that falls behind, fewer."""
    took: dict[Plan, list[float]] = {plan: [] for plan in ways}
    left = list(ways)
    for _ in range(ROUNDS):
        for plan in left:
            took[plan].append(turn(ways[plan], x))
        best = min(min(took[plan]) for plan in left)
        left = [plan for plan in left if min(took[plan]) <= SLOW * best]
    return {plan: median(times) for plan, times in took.items()}


def turn(way: Way, x: Tensor) -> float:
    """Seconds that a way takes, the median of as many runs as its turn has time for.

    The first ones do not count: the threads of the engine before still spin, in wait for work, and take the cores from this one's.
    """
    times, begun = [], time.perf_counter()
    while not times or time.perf_counter() - begun < TURN:
        start = time.perf_counter()
        done(way(x))
        if start - begun > CALM:
            times.append(time.perf_counter() - start)
    return median(times)


def done(said: Tensor) -> None:
    """Waits until a card has answered; a processor has."""
    if said.is_cuda:
        torch.cuda.synchronize(said.device)


def key(*words: object) -> str:
    """Of what a choice depends on: these, the processor, the threads and the engines' versions."""
    engines = {name: version(name) for name in ("torch", *ENGINES) if installed(name)}
    text = json.dumps([*map(str, words), processor(), torch.get_num_threads(), engines])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def recall(key: str) -> Plan | None:
    """What was chosen last time; None where nothing was, or where it cannot be read."""
    try:
        return Plan(**json.loads((cache_folder("fast") / f"{key}.json").read_text())["plan"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(key: str, plan: Plan, seconds: dict[Plan, float]) -> None:
    folder = cache_folder("fast")
    folder.mkdir(parents=True, exist_ok=True)
    tried = [{**asdict(other), "seconds": took} for other, took in sorted(seconds.items(), key=lambda item: item[1])]
    with whole(folder / f"{key}.json") as draft:
        draft.write_text(json.dumps({"plan": asdict(plan), "tried": tried}, indent=1) + "\n")
