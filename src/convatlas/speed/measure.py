"""A measurement: all sides of a network and a batch take turns, each in a process of its own."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any

import numpy as np
import torch

from ..analysis import analyse
from ..models import build
from .peers import OURS, SIDES
from .turns import worker

TURN = 0.7  # seconds that a turn takes at least
ALLOWED = {"fp32": ("fp32",), "bf16": ("fp32", "bf16"), "int8": ("fp32", "bf16", "int8")}  # what each accuracy demand may use


def cost(model: str, batch: int) -> dict[str, float]:
    """Operations of a batch, two to a multiply-accumulate, and the bytes in float32 that must move at least: weights, and maps twice."""
    with torch.device("meta"):
        net = build(model)
    found = analyse(net)
    return {"operations": 2.0 * batch * found.macs, "bytes": 4.0 * (found.parameters + 2 * batch * found.total("activations"))}


def measure(model: str, batch: int, sides: Sequence[str], rounds: int, threads: int) -> Iterator[str | dict[str, Any]]:
    """Says which side it is about to set up or ask, and at last the row.

    Of each side: `ms` of a batch, the median of the rounds' medians, with `p95` and `p99` of all answers, `images_per_s`, `gflops`,
    the seconds that its process took to its first answer (`start_s`: set up anew, nothing remembered), its memory (`mb`) and how `fast`
    runs. A side that fails says why in `error`. "best": for each accuracy demand the best peer and how many times faster ours is;
    bfloat16 may be met by float32, and int8 by both.
    """
    with ExitStack() as stack:
        asked, rows = {}, {}
        for side in sides:
            yield f"{model}, batch {batch}: {side} is set up"
            begun = time.perf_counter()
            try:
                ask = stack.enter_context(worker("-W", "ignore", "-m", "convatlas.speed.peers", side, model, str(batch), str(threads)))
                rows[side] = {**ask(None), "start_s": round(time.perf_counter() - begun, 2)}  # only then the next begins
                asked[side] = ask
            except RuntimeError as error:
                rows[side] = {"error": str(error)}
        turns = {side: max(1, round(TURN / ask(1)[0])) for side, ask in asked.items()}
        took: dict[str, list[list[float]]] = {side: [] for side in asked}
        for n in range(rounds):
            yield f"{model}, batch {batch}: round {n + 1} of {rounds}"
            for side, ask in asked.items():
                took[side].append(ask(turns[side]))
    is_ = cost(model, batch)
    for side, times in took.items():
        all_, middle = sorted(t for turn in times for t in turn), median(median(turn) for turn in times)
        rows[side] |= {
            "ms": round(1e3 * middle, 3),
            "p95": round(1e3 * float(np.quantile(all_, 0.95)), 3),
            "p99": round(1e3 * float(np.quantile(all_, 0.99)), 3),
            "images_per_s": round(batch / middle, 1),
            "gflops": round(is_["operations"] / middle / 1e9, 1),
            "answers": len(all_),
            "ms_of_rounds": [round(1e3 * median(turn), 3) for turn in times],
        }
    yield {"model": model, "batch": batch, **is_, "sides": rows, "best": compared(rows)}


def compared(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """For each accuracy demand: our way, the best peer, how many times faster ours is, and than eager."""
    done, found = {side: row for side, row in rows.items() if "ms" in row}, {}
    for demand, allowed in ALLOWED.items():
        ours = [side for side in done if side.startswith("fast") and SIDES[side][0] in allowed]
        peers = [side for side in done if side not in OURS and SIDES[side][0] in allowed]
        if not ours or not any(SIDES[side][0] == demand for side in ours):
            continue
        best = min(ours, key=lambda side: done[side]["ms"])
        found[demand] = {"ours": best}
        if peers:
            peer = min(peers, key=lambda side: done[side]["ms"])
            found[demand] |= {"peer": peer, "ratio": round(done[peer]["ms"] / done[best]["ms"], 3)}
        if "eager" in done:
            found[demand]["over_eager"] = round(done["eager"]["ms"] / done[best]["ms"], 2)
    return found
