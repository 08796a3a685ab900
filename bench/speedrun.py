"""CIFAR-10 to 94 %: the published airbench94_muon, built anew from its description, and a recipe of ours, on the same cores in one go.

Each run has a process of its own, one at a time, in turns. The published run is here in plain PyTorch, with all that these cores have
to offer it: bfloat16 products, channels_last, an allocator that keeps its memory, pictures in memory. Both are
tested as the published one is: mirrored, and moved by a pixel. Seconds are those of training; those of the test stand beside them.
Writes results/bench/speedrun.json. Run it on an idle machine: python bench/speedrun.py RECIPE [--seeds 5] [--published 1]

The description: Jordan, github.com/KellerJordan/cifar10-airbench, README; arXiv:2404.00498, section 3; "Muon", 2024.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convatlas.data import source
from convatlas.intervals import over_seeds
from convatlas.machine import environment, keep_memory
from convatlas.recipes import RECIPES
from convatlas.recipes.cifar import CIFAR
from convatlas.run import begin

OUT = Path(__file__).parent.parent / "results" / "bench" / "speedrun.json"
PASSES, BATCH, WHITENED = 8, 2000, 3  # the whitening layer's bias learns for the first three passes
FILTERS, BIASES, HEAD = 0.24, 0.053, 0.67  # rates
DECAY = 2e-6 * BATCH


class Block(nn.Sequential):
    def __init__(self, cin: int, cout: int):
        super().__init__(conv(cin, cout), nn.MaxPool2d(2), norm(cout), nn.GELU(), conv(cout, cout), norm(cout), nn.GELU())


class Published(nn.Module):
    def __init__(self, pictures: Tensor):
        super().__init__()
        self.whiten, self.bias = nn.Conv2d(3, 24, 2, bias=False), nn.Parameter(torch.zeros(24))
        self.blocks = nn.Sequential(Block(24, 64), Block(64, 256), Block(256, 256))
        self.head = nn.Linear(256, 10, bias=False)
        self.head.weight.data /= self.head.weight.data.std()
        patches = pictures.unfold(2, 2, 1).unfold(3, 2, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
        variance, direction = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = direction.T.reshape(12, 3, 2, 2) / (variance + 5e-4).sqrt().view(-1, 1, 1, 1)
        self.whiten.weight.data = torch.cat([filters, -filters])
        self.whiten.weight.requires_grad = False

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(F.gelu(F.conv2d(x, self.whiten.weight, self.bias)))
        return self.head(F.max_pool2d(x, 3).flatten(1)) / 256


def conv(cin: int, cout: int) -> nn.Conv2d:
    layer = nn.Conv2d(cin, cout, 3, padding="same", bias=False)
    nn.init.dirac_(layer.weight.data[:cin])
    return layer


def norm(c: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(c, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def orthogonal(matrix: Tensor) -> Tensor:
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = len(x) > x.shape[1]
    x = x.T if tall else x
    for _ in range(3):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    def __init__(self, filters: list[nn.Parameter]):
        super().__init__(filters, {"lr": FILTERS})
        self.momenta = [torch.zeros_like(p) for p in filters]

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: asks for no closure
        (group,) = self.param_groups
        for p, momentum in zip(group["params"], self.momenta, strict=True):
            momentum.mul_(0.6).add_(p.grad)
            ahead = p.grad.add(momentum, alpha=0.6)
            p.mul_(len(p) ** 0.5 / p.norm())
            p.add_(orthogonal(ahead.flatten(1)).view(p.shape), alpha=-group["lr"])


def batches(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Pass after pass: moved by up to two pixels, mirrored in every other pass."""
    padded, even, columns = F.pad(x, (2, 2, 2, 2), "reflect").permute(0, 2, 3, 1), torch.rand(len(x)) < 0.5, torch.arange(32)
    for n in range(PASSES):
        for rows in torch.randperm(len(x)).split(BATCH):
            down, right = (torch.randint(5, (len(rows), 1)) + columns for _ in range(2))
            cut = padded[rows[:, None, None], down[:, :, None], right[:, None, :]].permute(0, 3, 1, 2)
            yield torch.where((even[rows] ^ (n % 2 == 1)).view(-1, 1, 1, 1), cut.flip(3), cut), y[rows]


def looked_at(net: nn.Module, x: Tensor) -> Tensor:
    """The picture and its mirror image count a half; moved by a pixel up and left, and down and right, a quarter each."""

    def both(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            first, second = (net(v.contiguous(memory_format=torch.channels_last)).float() for v in (x, x.flip(3)))
        return (first + second) / 2

    padded = F.pad(x, (1, 1, 1, 1), "reflect")
    return both(x) / 2 + both(padded[:, :, :32, :32]) / 4 + both(padded[:, :, 2:, 2:]) / 4


def published(seed: int) -> dict[str, object]:
    torch.manual_seed(seed)
    keep_memory()
    train, test = source("cifar10").load("train"), source("cifar10").load("test")
    x, begun = CIFAR(train.x), time.perf_counter()
    net = Published(x[:5000]).to(memory_format=torch.channels_last)
    filters = [p for p in net.blocks.parameters() if p.dim() == 4]
    biases = [p for p in net.blocks.parameters() if p.dim() == 1 and p.requires_grad]
    groups = [
        {"params": params, "lr": rate, "weight_decay": DECAY / rate}
        for params, rate in (([net.bias], BIASES), (biases, BIASES), ([net.head.weight], HEAD))
    ]
    opts = [torch.optim.SGD(groups, momentum=0.85, nesterov=True, fused=True), Muon(filters)]
    rates, steps, whitened = [[g["lr"] for g in opt.param_groups] for opt in opts], PASSES * len(x) // BATCH, WHITENED * len(x) // BATCH
    for n, (pictures, y) in enumerate(batches(x, train.y)):
        if n == whitened:
            net.bias.requires_grad = False
            net.bias.grad = None
        for opt, own in zip(opts, rates, strict=True):
            for group, rate in zip(opt.param_groups, own, strict=True):
                group["lr"] = rate * (1 - n / steps)
        opts[0].param_groups[0]["lr"] = BIASES * max(0.0, 1 - n / whitened)
        with torch.autocast("cpu", torch.bfloat16):
            scores = net(pictures.contiguous(memory_format=torch.channels_last))
        F.cross_entropy(scores.float(), y, label_smoothing=0.2, reduction="sum").backward()
        for opt in opts:
            opt.step()
            opt.zero_grad()
    seconds, begun = time.perf_counter() - begun, time.perf_counter()
    net.eval()
    with torch.inference_mode():
        right = sum(int((looked_at(net, CIFAR(a)).argmax(1) == b).sum()) for a, b in zip(test.x.split(500), test.y.split(500), strict=True))
    return {"seed": seed, "error": 100 - 100 * right / len(test.y), "seconds": seconds, "test_seconds": time.perf_counter() - begun}


def ours(name: str, seed: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        run, begun = begin(Path(folder) / "run", name, RECIPES[name], seed), time.perf_counter()
        for _ in run.go():
            pass
        result, seconds = run.result(), time.perf_counter() - begun
    test = seconds - result["seconds"]  # with reading the pictures and writing the run's folder
    return {"seed": seed, "error": result["top1_error"], "seconds": result["seconds"], "test_seconds": test}


def alone(name: str, side: str, seed: int) -> dict[str, float]:
    """A run in a process of its own."""
    words = [sys.executable, __file__, name, "--side", side, "--seed", str(seed)]
    found = json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout)
    print(f"{side:10} seed {seed}: {found['error']:.2f} % error, {found['seconds']:.1f} s of training", flush=True)
    return {key: round(value, 3) for key, value in found.items()}


def summary(rows: list[dict[str, float]]) -> dict[str, object]:
    errors, seconds = [row["error"] for row in rows], [row["seconds"] for row in rows]
    centre, interval = over_seeds(errors) if len(rows) > 1 else (errors[0], None)
    return {
        "error": round(centre, 4), "interval": interval and [round(v, 4) for v in interval],
        "seconds": round(mean(seconds), 1), "seconds_sd": round(stdev(seconds), 2) if len(rows) > 1 else None, "runs": rows,
    }  # fmt: skip


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("recipe", choices=[name for name, recipe in RECIPES.items() if recipe.data == "cifar10"], metavar="RECIPE")
    words.add_argument("--seeds", type=int, default=5)
    words.add_argument("--published", type=int, default=1, help="runs of the published recipe")
    words.add_argument("--side", choices=("published", "ours"), help=argparse.SUPPRESS)
    words.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.side:
        print(json.dumps(published(given.seed) if given.side == "published" else ours(given.recipe, given.seed)))
        return
    found: dict[str, list[dict[str, float]]] = {"ours": [], "published": []}
    for seed in range(max(given.seeds, given.published)):
        for side, count in (("ours", given.seeds), ("published", given.published)):
            if seed < count:
                found[side].append(alone(given.recipe, side, seed))
    sides = {side: summary(rows) for side, rows in found.items()}
    text = {
        "what": "CIFAR-10 to 94 %: the published airbench94_muon, built anew, and a recipe of ours; error in percent by flip+shift",
        "recipe": given.recipe,
        **sides,
        "ratio": round(mean(r["seconds"] for r in found["published"]) / mean(r["seconds"] for r in found["ours"]), 3),
        "threads": torch.get_num_threads(),
        "command": " ".join(["python bench/speedrun.py", *sys.argv[1:]]),
        "environment": environment(),
    }
    OUT.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
