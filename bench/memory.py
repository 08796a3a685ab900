"""Memory and time of a training step of DenseNet-121 beside torchvision's. Writes results/bench/memory.json.

Each is measured in processes of its own, in turns: the peak of the resident memory beyond what the process held at rest, with
network, optimiser and pictures in place, and the median time of a step. Linux only. Run it on an idle machine: python bench/memory.py
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import torch
from torch import nn

from convatlas.machine import environment
from convatlas.models import build

OUT = Path(__file__).parent.parent / "results" / "bench" / "memory.json"


def torchvisions(**settings: bool) -> nn.Module:
    from torchvision.models import densenet121

    return densenet121(**settings)


NETWORKS = {
    "torchvision": torchvisions,
    "torchvision, memory_efficient": lambda: torchvisions(memory_efficient=True),
    "convatlas": lambda: build("densenet121"),
    "convatlas, checkpointing": lambda: build("densenet121").checkpointing(),
    "convatlas, thrifty": lambda: build("densenet121", thrifty=True),
}


def status(key: str) -> int:
    """Kilobytes from /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key + ":"))


def peak() -> int:
    """The most kilobytes that this process has held, since the last `forget` where the kernel allows that."""
    try:
        return status("VmHWM")
    except StopIteration:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def forget() -> None:
    """Lets the peak begin anew; where that is not allowed, the resting process has not been larger than it is, so nothing is lost."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def measure(name: str, batch: int, size: int, steps: int) -> dict[str, object]:
    torch.manual_seed(0)
    net = NETWORKS[name]().train()
    opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    x, y, times = torch.randn(batch, 3, size, size), torch.randint(1000, (batch,)), []
    forget()
    rest = status("VmRSS")
    for _ in range(steps + 1):
        start = time.perf_counter()
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        opt.step()
        times.append(time.perf_counter() - start)
    assert loss.isfinite()
    return {"bytes": 1024 * (peak() - rest), "rest": 1024 * rest, "times": times[1:]}  # the first step sets things up


def summary(found: dict[str, list[dict]]) -> dict[str, dict]:
    rows = {
        name: {
            "bytes": median(round_["bytes"] for round_ in rounds),
            "step_s": round(median(t for round_ in rounds for t in round_["times"]), 4),
            "rounds": rounds,
        }
        for name, rounds in found.items()
    }
    for row in rows.values():
        row["memory_share"] = round(row["bytes"] / rows["torchvision"]["bytes"], 4)
        row["time_share"] = round(row["step_s"] / rows["torchvision"]["step_s"], 4)
    return rows


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--batch", type=int, default=32)
    words.add_argument("--size", type=int, default=224)
    words.add_argument("--steps", type=int, default=5)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--only", nargs="*", default=list(NETWORKS))
    words.add_argument("--one", choices=NETWORKS, help="measure one, here, and print it")
    words.add_argument("--out", type=Path, default=OUT)
    given = words.parse_args()
    if given.one:
        print(json.dumps(measure(given.one, given.batch, given.size, given.steps)))
        return
    found: dict[str, list[dict]] = {name: [] for name in given.only}
    for _ in range(given.rounds):
        for name in given.only:
            shape = ["--batch", str(given.batch), "--size", str(given.size), "--steps", str(given.steps)]
            done = subprocess.run([sys.executable, __file__, "--one", name, *shape], check=True, capture_output=True, text=True)
            found[name].append(json.loads(done.stdout))
            last = found[name][-1]
            print(f"{name:30} {last['bytes'] / 2**20:8.0f} MiB {median(last['times']):8.3f} s", flush=True)
    rows = summary(found)
    text = {"what": "a training step of DenseNet-121", "batch": given.batch, "size": given.size, "threads": torch.get_num_threads()}
    given.out.write_text(json.dumps({**text, "environment": environment(), "rows": rows}, indent=1) + "\n")
    for name, row in rows.items():
        print(f"{name:30} {row['memory_share']:8.1%} of the memory {row['time_share']:8.2f} of the time")


if __name__ == "__main__":
    main()
