"""How fast networks answer here: `fast`, beside every way that its peers offer, each as users run it and tuned.

Each way has a process of its own; they take turns, and what counts is the median of the rounds. Ways of one accuracy are compared: those
in float32, and those that compute products in bfloat16 (`auto` may choose either). Pictures are noise, normalised, and in memory. Where
torchvision has no such network, the peers' engines run ours, as it stands.
Writes results/bench/inference.json. Run it on an idle machine: python bench/inference.py [MODEL...] [--batch 1,32]
Needs openvino, onnxruntime and onnxscript.

The ways of peers: `eager` and `openvino` and `onnxruntime` are a network handed over as their pages' first example has it; the others
are tuned: `channels last` with an allocator that keeps its memory, `compile` with frozen weights, `openvino streams` a picture at a time
on as many streams as there are cores.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn
from turns import work, worker

from convatlas.machine import environment, keep_memory
from convatlas.models import build

OUT = Path(__file__).parent.parent / "results" / "bench" / "inference.json"
TURN = 0.7  # seconds that a turn takes at least

THEIRS = {  # torchvision's names; of the others it has none
    "resnet18": "resnet18", "resnet50_v1_5": "resnet50", "resnet152": None, "vgg16": "vgg16", "alexnet": None, "googlenet": None,
    "densenet121": "densenet121", "mobilenet_v1": None, "mobilenet_v2": "mobilenet_v2", "efficientnet_b0": "efficientnet_b0",
    "efficientnet_lite0": None, "squeezenet1_1": "squeezenet1_1",
}  # fmt: skip


SIDES = {  # and their precision
    "eager": "fp32", "channels last": "fp32", "compile": "fp32", "onnxruntime": "fp32", "openvino": "fp32", "openvino streams": "fp32",
    "ours": "fp32", "channels last bf16": "bf16", "compile bf16": "bf16", "openvino bf16": "bf16", "openvino streams bf16": "bf16",
    "ours bf16": "bf16",
}  # fmt: skip

Way = Callable[[], object]


def network(model: str) -> nn.Module:
    """torchvision's, or ours."""
    if THEIRS.get(model) is None:
        return build(model).eval()
    import torchvision

    return getattr(torchvision.models, THEIRS[model])(weights=None).eval()


def way(side: str, model: str, batch: int) -> Way:
    """What answers one batch, set up."""
    precision, size = SIDES[side], build(model).size
    x = torch.randn(batch, 3, size, size)
    if side.startswith("ours"):
        import convatlas

        return partial(convatlas.fast(build(model).eval(), precision, batch), x)
    net = network(model)
    if side == "eager":
        return lambda: net(x)
    if side.startswith("openvino"):
        return by_openvino(net, x, precision, "streams" in side)
    if side == "onnxruntime":
        return by_onnxruntime(net, x)
    keep_memory()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    net, x = net.to(dtype=dtype, memory_format=torch.channels_last), x.to(dtype, memory_format=torch.channels_last)
    if side.startswith("compile"):
        import torch._inductor.config as inductor

        inductor.freezing = True
        net = torch.compile(net)
    return lambda: net(x)


def by_openvino(net: nn.Module, x: torch.Tensor, precision: str, streams: bool) -> Way:
    import openvino as ov

    pictures = x.numpy()
    settings = {
        "INFERENCE_PRECISION_HINT": "f32" if precision == "fp32" else "bf16",
        "PERFORMANCE_HINT": "THROUGHPUT" if streams else "LATENCY",
    }
    shown = x[:1] if streams else x
    compiled = ov.compile_model(ov.convert_model(net, example_input=shown, input=list(shown.shape)), "CPU", settings)
    if not streams:
        return lambda: compiled(pictures)
    queue, said = ov.AsyncInferQueue(compiled), [None] * len(pictures)

    def keep(request: Any, i: int) -> None:
        said[i] = request.get_output_tensor().data.copy()

    queue.set_callback(keep)

    def run() -> None:
        for i in range(len(pictures)):
            queue.start_async([pictures[i : i + 1]], i)
        queue.wait_all()

    return run


def by_onnxruntime(net: nn.Module, x: torch.Tensor) -> Way:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        torch.onnx.export(net, (x,), path, dynamo=True, external_data=False, verbose=False)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    pictures, name = np.ascontiguousarray(x.numpy()), session.get_inputs()[0].name
    return lambda: session.run(None, {name: pictures})


def answers(side: str, model: str, batch: int) -> Iterator[object]:
    with torch.inference_mode():
        ask = way(side, model, batch)
        yield asdict(ask.func.plan) if isinstance(ask, partial) else {}
        while True:
            yield ask()


def measure(model: str, batch: int, sides: list[str], rounds: int, threads: int) -> dict[str, Any]:
    with ExitStack() as stack:
        asked, plans = {}, {}
        for side in sides:
            asked[side] = stack.enter_context(worker(__file__, model, "--batch", str(batch), "--side", side, "--threads", str(threads)))
            plans[side] = asked[side](None)  # only then the next begins, for some find out what is fastest
        turns = {side: max(1, round(TURN / ask(1))) for side, ask in asked.items()}
        took = {side: [] for side in sides}
        for _ in range(rounds):
            for side, ask in asked.items():
                took[side].append(ask(turns[side]))
    rows = {
        side: {**plans[side], "ms": round(1e3 * median(times), 3), "ms_each": [round(1e3 * t, 3) for t in times]}
        for side, times in took.items()
    }
    found = {"model": model, "batch": batch, "sides": rows}
    for ours, precision in (("ours", "fp32"), ("ours bf16", "bf16")):
        peers = [side for side in sides if not side.startswith("ours") and SIDES[side] == precision]
        if ours in sides and peers:
            best = min(peers, key=lambda side: rows[side]["ms"])
            found[precision] = {"best_peer": best, "ratio": round(rows[best]["ms"] / rows[ours]["ms"], 3)}
            if "eager" in sides:
                found[precision]["over_eager"] = round(rows["eager"]["ms"] / rows[ours]["ms"], 2)
    return found


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("models", nargs="*", metavar="MODEL", default=list(THEIRS))
    words.add_argument("--batch", default="1,32")
    words.add_argument("--sides", default=",".join(SIDES), help="of: " + ", ".join(SIDES))
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--threads", type=int, default=torch.get_num_threads())
    words.add_argument("--out", type=Path, default=OUT)
    words.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = words.parse_args()
    torch.set_num_threads(given.threads)
    if given.side:
        torch.manual_seed(0)
        work(answers(given.side, given.models[0], int(given.batch)))
        return
    rows = []
    for model in given.models:
        for batch in map(int, given.batch.split(",")):
            rows.append(measure(model, batch, given.sides.split(","), given.rounds, given.threads))
            said = {p: rows[-1][p] for p in ("fp32", "bf16") if p in rows[-1]}
            print(
                f"{model:18} {batch:3}",
                *(f"{p}: {v['ratio']:.2f} of {v['best_peer']}, {v.get('over_eager')} of eager" for p, v in said.items()),
                flush=True,
            )
    text = {
        "what": "milliseconds for a batch by `fast` and by its peers' ways, the median of rounds in which all take turns",
        "rows": rows,
        "rounds": given.rounds,
        "command": " ".join(["python bench/inference.py", *sys.argv[1:]]),
        "versions": {name: version(name) for name in ("torchvision", "openvino", "onnxruntime")},
        "environment": environment(),
    }
    given.out.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
