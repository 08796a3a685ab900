"""What a run costs on 1 to 1,000 accelerators: the arithmetic, the published figures it rests on, and what can be measured here.

python bench/scaling.py            measures, writes results/bench/scaling.json, then the tables
python bench/scaling.py --tables   writes the tables of docs/scaling.md, from the formulas and that file
"""

import json
import re
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log2
from pathlib import Path
from socket import socket
from statistics import median

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from convatlas.analysis import analyse
from convatlas.data.batches import Batches
from convatlas.data.pictures import Pictures
from convatlas.distribute import here, joined, sync_norms
from convatlas.machine import environment
from convatlas.models import build
from convatlas.recipes import RECIPES
from convatlas.train import fit

HERE = Path(__file__).parent.parent
OUT, DOCS = HERE / "results" / "bench" / "scaling.json", HERE / "docs" / "scaling.md"


@dataclass(frozen=True)
class Machine:
    """`together` accelerators that see each other at `inside` bytes/s each way, and other machines at `outside` each; `hop` in seconds."""

    together: int
    inside: float
    outside: float
    hop: float

    def all_reduce(self, ranks: int, size: float) -> float:
        """Seconds to add up `size` bytes: scattered within a machine, rings between machines of an equal share each, gathered within."""
        local = min(ranks, self.together)
        machines = -(-ranks // local)
        within = 2 * ((local - 1) / local * size / self.inside + (local - 1) * self.hop)
        between = ring(machines, size / local, self.outside, self.hop)
        return within + between


def ring(ranks: int, size: float, bandwidth: float, hop: float) -> float:
    """Patarasuk & Yuan 2009: each sends 2 (p - 1) parts of size / p, in as many hops."""
    return 2 * (ranks - 1) / ranks * size / bandwidth + 2 * (ranks - 1) * hop


# Published. A100 80 GB, eight in a DGX A100, each with a port of 200 Gbit/s (NVIDIA's data sheets); a hop is assumed, as are four fifths.
A100 = Machine(together=8, inside=0.8 * 300e9, outside=0.8 * 25e9, hop=10e-6)
SLOW = replace(A100, outside=0.8 * 1.25e9 / 8)  # the same machines, joined by one cable of 10 Gbit/s
# ResNet-50 v1.5, mixed precision: 2,470 pictures/s on one A100, 16,621 on eight (NVIDIA/DeepLearningExamples, resnet50v1.5/README.md).
ONE, EIGHT = 2470.0, 16621.0
# timm, results/benchmark-train-amp-nhwc-pt112-cu113-rtx3090.csv: pictures/s on an RTX 3090. Others' rates are taken in these proportions.
RTX3090 = {"resnet50_v1_5": 1218.01, "efficientnet_b0": 1751.72, "vgg16": 546.06}
# 90 passes of ResNet-50 on P100s: 29 hours on 8 and 1 on 256 (Goyal et al. 2017), 15 minutes on 1,024 (Akiba et al. 2017).
P100 = {8: 29 * 3600, 256: 3600, 1024: 900}
PASSES = {"ImageNet": (1_281_167, 90), "JFT-300M": (300_000_000, 4)}  # pictures; JFT's four passes are those of Sun et al. 2017
LARGEST = {"ImageNet": 32_768, "JFT-300M": 256_000}  # batches: the largest that Akiba et al. trained well; as large as they come
WORKERS = (1, 8, 64, 256, 1000)
BATCH, BUCKET = 256, 25 * 2**20  # pictures of each accelerator; bytes that DistributedDataParallel sends at a time
PICTURE = 110_000  # bytes of a JPEG of ImageNet, in the mean


def rate(model: str) -> float:
    return ONE * RTX3090[model] / RTX3090["resnet50_v1_5"]


def exposed(model: str, ranks: int, machine: Machine, batch: int = BATCH) -> float:
    """Seconds of a step in which gradients travel and nothing else is done.

    The way back takes two thirds of a step, and gradients travel meanwhile, but for the last bucket, which is ready at its end.
    """
    size = 4 * analyse(build_meta(model)).parameters
    travel = machine.all_reduce(ranks, size)
    if ranks == 1:
        return 0.0
    last = machine.all_reduce(ranks, min(size, BUCKET))
    return max(last, travel - 2 / 3 * batch / rate(model))


def build_meta(model: str):
    with torch.device("meta"):
        return build(model)


def efficiency(model: str, ranks: int, machine: Machine, batch: int = BATCH) -> float:
    step = batch / rate(model)
    return step / (step + exposed(model, ranks, machine, batch))


def as_published(ranks: int) -> float:
    """What of the rate of one is left to each of several, in published runs: eight in a machine by NVIDIA, more by Goyal and Akiba."""
    inside = 1 - (1 - EIGHT / (8 * ONE)) * min(1.0, log2(ranks) / 3)
    if ranks <= 8:
        return inside
    known = sorted((n, P100[8] / seconds * 8 / n) for n, seconds in P100.items())
    return inside * float(np.interp(log2(ranks), [log2(n) for n, _ in known], [share for _, share in known]))


def waiting(ranks: int, spread: float, steps: int = 4000) -> float:
    """The share of time that is left when all wait for the slowest, whose steps are spread (standard deviation over mean) as given."""
    draw = np.random.default_rng(0)
    slowest = [draw.normal(1, spread, ranks).max() for _ in range(steps)]
    return float(1 / np.mean(slowest))


def simulated(ranks: int, size: float, bandwidth: float, hop: float) -> float:
    """A ring, message by message: each part leaves when it has come and the sender's line is free."""
    free = np.zeros(ranks)  # when each may send its next
    for _ in range(2 * (ranks - 1)):
        arrives = free + size / ranks / bandwidth + hop
        free = np.maximum(free + size / ranks / bandwidth, np.roll(arrives, 1))
    return float(free.max())


# --- what can be measured here


def timed(work, rounds: int) -> float:
    work()
    took = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        took.append(time.perf_counter() - begun)
    return median(took)


def steps(model: str, batch: int, share: bool, synced: bool = False, count: int = 12) -> float:
    """Seconds of a training step of this process: of its share of a batch with its team, or of `batch` pictures alone."""
    team = here() if share else replace(here(), rank=0, ranks=1)
    recipe = replace(RECIPES["resnet20-cifar10"], batch=batch, steps=count, precision="float32", layout="plain", augment=())
    x = torch.randint(0, 256, (256, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    data = Batches(Pictures(x, torch.arange(256) % 10, tuple("0123456789")), batch, 0, recipe.preprocess, rank=team.rank, ranks=team.ranks)
    net = build(model)
    if synced:
        sync_norms(net)
    ends = [time.perf_counter() for _ in fit(net, recipe, data, through=team.wrapped(net))]
    return median(after - before for before, after in pairwise(ends[1:]))


def as_rank(rank: int, port: int, told) -> None:
    import os

    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    with joined() as team:
        sums = {}
        for size in (4, 4096, 2**16, 2**20, 2**22, 2**24, 102_228_128):
            x = torch.zeros(size // 4)
            sums[size] = timed(lambda x=x: dist.all_reduce(x), 30 if size < 2**22 else 9)
        found = {"all_reduce": sums, "agree": timed(lambda: team.most(0, 0, 0), 200)}
        for name, arguments in {"alone": (64, False), "shared": (128, True), "synced": (128, True, True)}.items():
            dist.barrier()
            found[name] = steps("resnet20", *arguments)
        if rank == 0:
            told.update(found)


def measure() -> dict:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mp.Manager() as manager:
        told = manager.dict()
        mp.spawn(as_rank, (port, told), nprocs=2)
        found = dict(told)
    torch.set_num_threads(1)
    found["one process"] = steps("resnet20", 64, share=False)
    sizes = np.array(list(found["all_reduce"]))
    seconds = np.array(list(found["all_reduce"].values()))
    found["all_reduce"] = [{"bytes": int(n), "seconds": float(t)} for n, t in zip(sizes, seconds, strict=True)]
    large = sizes >= 2**20
    found["bytes_per_s"] = float(1 / np.polyfit(sizes[large], seconds[large], 1)[0])
    found["latency_s"] = float(seconds[0])
    return {"what": "two processes of one thread each, gloo, by the machine's own loopback", **found,
            "command": "python bench/scaling.py", "environment": environment()}  # fmt: skip


# --- tables


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def needs() -> str:
    decode = json.loads((HERE / "results" / "bench" / "data.json").read_text())["rows"][0]["images_per_s"]
    rows = []
    for model in RTX3090:
        found, r = analyse(build_meta(model)), rate(model)
        weights = found.parameters
        flop = 6 * found.macs
        rows.append([model, f"{weights / 1e6:.1f} M", f"{4 * weights / 1e6:.0f} MB", f"{flop / 1e9:.1f} GFLOP", f"{r:,.0f}/s",
                     f"{flop * r / 312e12:.0%}", f"{r * PICTURE / 1e6:.0f} MB/s", f"{r / decode:.1f}"])  # fmt: skip
    return table(
        ["network", "weights", "gradient", "a picture, forth and back", "pictures", "of 312 TFLOP/s", "read", "cores that decode"], rows
    )


def costs() -> str:
    rows = []
    for data, (pictures, passes) in PASSES.items():
        for model in RTX3090:
            for n in WORKERS:
                each = min(BATCH, LARGEST[data] // n)
                fast, slow, known = efficiency(model, n, A100, each), efficiency(model, n, SLOW, each), as_published(n)
                hours = pictures * passes / (rate(model) * n * min(fast, known)) / 3600
                rows.append([data, model, f"{n:,}", f"{each * n:,}", f"{fast:.1%}", f"{slow:.1%}", f"{known:.0%}", duration(hours),
                             f"{hours * n:,.0f}", f"{hours * n * 0.4:,.0f}"])  # fmt: skip
    head = [
        "data",
        "network",
        "accelerators",
        "batch",
        "left by the wires",
        "by 10 Gbit/s",
        "left in published runs",
        "time",
        "accelerator hours",
        "kWh",
    ]
    return table(head, rows)


def duration(hours: float) -> str:
    return f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:.1f} h" if hours >= 2 else f"{60 * hours:.0f} min"


def proofs(found: dict) -> str:
    ms = 1e3
    line = [["ring of 8, 64, 1,000, message by message, against the formula",
             ", ".join(f"{simulated(n, 1e8, 20e9, 1e-5) / ring(n, 1e8, 20e9, 1e-5) - 1:+.2%}" for n in (8, 64, 1000))]]  # fmt: skip
    for sigma in (0.01, 0.03, 0.05):
        left = ", ".join(f"{waiting(n, sigma):.1%}" for n in (8, 256, 1000))
        line.append([f"left when 8, 256, 1,000 wait for the slowest, steps spread by {sigma:.0%} (simulated)", left])
    for n, seconds in P100.items():
        line.append([f"published: 90 passes of ResNet-50 on {n:,} P100", f"{1_281_167 * 90 / seconds / n:.0f} pictures/s each"])
    if found:
        line.append(["measured: gloo's bandwidth between two processes here", f"{found['bytes_per_s'] / 1e9:.2f} GB/s"])
        line.append(["measured: gloo, 4 bytes", f"{found['latency_s'] * 1e6:.0f} us"])
        large = found["all_reduce"][-1]["seconds"]
        line.append(["measured: the gradient of ResNet-50 (102 MB)", f"{large * ms:.0f} ms"])
        line.append(["measured: asking whether to stop", f"{found['agree'] * 1e6:.0f} us, a few times a second"])
        line.append(
            ["measured: a step of ResNet-20, 64 pictures, one process while the other core rests", f"{found['one process'] * ms:.1f} ms"]
        )
        line.append(["measured: the same in two processes at once that do not speak", f"{found['alone'] * ms:.1f} ms"])
        line.append(["measured: the same in two that train one network (128 pictures)", f"{found['shared'] * ms:.1f} ms"])
        line.append(["measured: and with norms over all 128", f"{found['synced'] * ms:.1f} ms"])
    return table(["assumption", "what came out"], line)


def write(found: dict) -> None:
    text = DOCS.read_text()
    for name, made in (("needs", needs()), ("costs", costs()), ("proofs", proofs(found))):
        text = re.sub(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, made=made: m[1] + made + "\n" + m[2], text, flags=re.DOTALL)
    DOCS.write_text(text)


if __name__ == "__main__":
    if "--tables" not in sys.argv:
        OUT.write_text(json.dumps(measure(), indent=1) + "\n")
    write(json.loads(OUT.read_text()) if OUT.exists() else {})
