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
from .turns import Ask, worker

TURN, LEAST = 0.5, 3  # seconds that a turn takes, and answers that it has, at least
NEAR = 1.12  # times the best peer of its precision: a peer that takes no longer is asked in every round
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
    runs. A side that fails says why in `error`. "best": for each accuracy demand the best peer and how many times faster ours is, the
    median of the rounds' ratios; bfloat16 may be met by float32, and int8 by both. In the first round a side is asked as soon as it is
    set up; in the others, which go to and fro, ours, eager and the peers that came near the best peer of their precision. The rest is
    ended. Who came near is seen against one side that is asked anew beside each: a machine's clock may change while sides are set up.
    """
    with ExitStack() as stack:
        rows: dict[str, dict[str, Any]] = {}
        asked: dict[str, Ask] = {}
        ends: dict[str, ExitStack] = {}
        turns: dict[str, int] = {}
        took: dict[str, list[list[float]]] = {}
        pace: dict[str, float] = {}  # times as long as the first side took at that moment
        left: list[str] = []
        for side in sides:
            yield f"{model}, batch {batch}: {side} is set up"
            ends[side], begun = stack.enter_context(ExitStack()), time.perf_counter()
            try:
                command = ("-W", "ignore", "-m", "convatlas.speed.peers", side, model, str(batch), str(threads))
                asked[side] = ends[side].enter_context(worker(*command))
                rows[side] = {**asked[side](None), "start_s": round(time.perf_counter() - begun, 2)}
                turns[side] = max(LEAST, round(TURN / asked[side](1)[0]))
                first = next(iter(took), side)
                beside = median(asked[first](turns[first]))
                took[side] = [asked[side](turns[side])]
                pace[side] = median(took[side][0]) / beside
            except RuntimeError as error:
                rows[side] = {"error": str(error)}
            left = contenders(pace)
            for other in took.keys() - {*left, *list(took)[:1]}:
                ends[other].close()  # so that its memory is there for the next
        for n in range(1, rounds):
            yield f"{model}, batch {batch}: round {n + 1} of {rounds}"
            left = left[::-1]
            for side in list(left):
                try:
                    took[side].append(asked[side](turns[side]))
                except RuntimeError as error:
                    rows[side]["error"] = str(error)
                    left.remove(side)
    is_, middles = cost(model, batch), {side: [median(turn) for turn in times] for side, times in took.items()}
    for side, times in took.items():
        all_, middle = sorted(t for turn in times for t in turn), median(middles[side])
        rows[side] |= {
            "ms": round(1e3 * middle, 3),
            "p95": round(1e3 * float(np.quantile(all_, 0.95)), 3),
            "p99": round(1e3 * float(np.quantile(all_, 0.99)), 3),
            "images_per_s": round(batch / middle, 1),
            "gflops": round(is_["operations"] / middle / 1e9, 1),
            "answers": len(all_),
            "ms_of_rounds": [round(1e3 * t, 3) for t in middles[side]],
        }
    yield {"model": model, "batch": batch, **is_, "sides": rows, "best": compared(middles)}


def contenders(pace: dict[str, float]) -> list[str]:
    """Ours, eager, and the peers that came near the best peer of their precision; side by side with those of the same."""
    peers = [side for side in pace if side not in OURS]
    best = {precision: min((pace[side] for side in peers if SIDES[side][0] == precision), default=0.0) for precision in ALLOWED}
    kept = [side for side, t in pace.items() if side in (*OURS, "eager") or t <= NEAR * best[SIDES[side][0]]]
    return sorted(kept, key=lambda side: list(ALLOWED).index(SIDES[side][0]))


def compared(middles: dict[str, list[float]]) -> dict[str, Any]:
    """For each accuracy demand: our way, the best peer, how many times faster ours is, and than eager; of seconds in each round.

    Only sides that were asked in every round are compared.
    """
    every = max(map(len, middles.values()), default=0)
    done, found = {side: median(times) for side, times in middles.items() if len(times) == every}, {}
    for demand, allowed in ALLOWED.items():
        ours = [side for side in done if side.startswith("fast") and SIDES[side][0] in allowed]
        peers = [side for side in done if side not in OURS and SIDES[side][0] in allowed]
        if not ours or not any(SIDES[side][0] == demand for side in ours):
            continue
        best = min(ours, key=done.__getitem__)
        found[demand] = {"ours": best}
        if peers:
            peer = min(peers, key=done.__getitem__)
            found[demand] |= {"peer": peer, "ratio": round(ratio(middles[peer], middles[best]), 3)}
        if "eager" in done:
            found[demand]["over_eager"] = round(ratio(middles["eager"], middles[best]), 2)
    return found


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """How many times longer `a` took than `b`: the median of the rounds' ratios."""
    return median(x / y for x, y in zip(a, b, strict=True))


def again(row: dict[str, Any], times: int, rounds: int, threads: int) -> None:
    """Measures ours and the best peers of a row in fresh processes, so many times more; "ratio" becomes the median of all "ratios".

    Two processes that do the same differ by some percent, each for as long as it lives: rounds cannot tell that from a gain.
    """
    beside = [best for best in row["best"].values() if "peer" in best]
    sides = sorted({best[who] for best in beside for who in ("ours", "peer")})
    for best in beside:
        best["ratios"] = [best["ratio"]]
    for _ in range(times):
        other: Any = list(measure(row["model"], row["batch"], sides, rounds, threads))[-1]
        took = {side: found["ms_of_rounds"] for side, found in other["sides"].items() if "error" not in found}
        for best in beside:
            if took.keys() >= {best["peer"], best["ours"]}:
                best["ratios"].append(round(ratio(took[best["peer"]], took[best["ours"]]), 3))
    for best in beside:
        best["ratio"] = median(best["ratios"])
