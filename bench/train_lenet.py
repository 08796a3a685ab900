"""How fast `lenet5_modern` trains here, and by the plain way: a DataLoader over torchvision's MNIST with its transforms.

The same network, batch, loss, optimiser and kinds of distortion. The two take turns in one process, a stretch each; what
counts is the median over stretches and of their ratio. The plain way is measured without and with worker processes, and
the faster of the two is what is compared. Writes results/bench/train_lenet.json. Run it on an idle machine.
"""

import gzip
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from convatlas.data import mnist
from convatlas.data.batches import Batches
from convatlas.machine import environment
from convatlas.models import build
from convatlas.recipes import RECIPES
from convatlas.train import fit

RECIPE = RECIPES["lenet5_modern-mnist"]
ROUNDS, STEPS = 7, 150


def ours() -> Iterator[object]:
    torch.manual_seed(0)
    batches = Batches(mnist.load("train"), RECIPE.batch, 0, RECIPE.preprocess, RECIPE.augment)
    return fit(build(RECIPE.model), RECIPE, batches)


def plain(folder: Path, workers: int) -> Iterator[object]:
    """The loop of every tutorial."""
    torch.manual_seed(0)
    distort = transforms.Compose([
        transforms.Pad(2),
        transforms.RandomAffine(degrees=0, translate=(0.05, 0.05), scale=(0.9, 1.1), shear=11),
        transforms.ToTensor(),
        transforms.Normalize(RECIPE.preprocess.mean, RECIPE.preprocess.std),
    ])  # fmt: skip
    digits = datasets.MNIST(str(folder), transform=distort)
    loader = DataLoader(digits, RECIPE.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    net, loss_of = build(RECIPE.model), nn.CrossEntropyLoss()
    opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True)
    while True:
        for x, y in loader:
            loss = loss_of(net(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            yield loss


def speed(steps: Iterator[object]) -> float:
    begun = time.perf_counter()
    for _ in range(STEPS):
        next(steps)
    return STEPS * RECIPE.batch / (time.perf_counter() - begun)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "MNIST" / "raw"
        raw.mkdir(parents=True)
        for path in mnist.FOLDER.glob("*.gz"):
            (raw / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        ways: dict[str, Callable[[], Iterator[object]]] = {
            "convatlas": ours,
            "plain, no workers": lambda: plain(Path(folder), 0),
            "plain, 2 workers": lambda: plain(Path(folder), 2),
        }
        going = {name: way() for name, way in ways.items()}
        for steps in going.values():
            speed(steps)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, steps in going.items():
                found[name].append(speed(steps))
    best = max(list(ways)[1:], key=lambda name: median(found[name]))
    ratios = [a / b for a, b in zip(found["convatlas"], found[best], strict=True)]
    result = {
        "what": "images per second of training lenet5_modern, batch 100",
        "rows": [{"path": name, "images_per_s": round(median(v), 1), "all": [round(x, 1) for x in v]} for name, v in found.items()],
        "against": best,
        "ratio": {"median": round(median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)},
        "rounds": ROUNDS,
        "command": "python bench/train_lenet.py",
        "environment": environment(),
    }
    path = Path(__file__).parent.parent / "results" / "bench" / "train_lenet.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    for name, speeds in found.items():
        print(f"{name:18} {median(speeds):10,.0f} images/s")
    print(f"ratio to {best}: {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), {ROUNDS} rounds")


if __name__ == "__main__":
    main()
