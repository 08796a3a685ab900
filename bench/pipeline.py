"""How fast CIFAR-10's training pictures come, changed as ResNet's paper says: ours as whole batches, torchvision's one by one.

Both shift by up to four pixels over zeros, mirror half of them, and give normalised float batches of 128. They take turns in one
process of one thread, a part of a pass each; what counts is processor time, its median over the turns and that of their ratio. Beside
it: what share of a training step of ResNet-20, the smallest network of the paper, ours takes. Needs the pictures: CONVATLAS_DATA
or the cache. Writes results/bench/pipeline.json. Run it on an idle machine: python bench/pipeline.py [ROUNDS]
"""

import json
import sys
import time
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from convatlas.data import source
from convatlas.data.batches import Batches
from convatlas.data.pictures import Pictures
from convatlas.machine import environment
from convatlas.models import build
from convatlas.recipes import RECIPES
from convatlas.recipes.cifar import MEAN, STD
from convatlas.train import fit, in_layout, machine

OUT = Path(__file__).parent.parent / "results" / "bench" / "pipeline.json"
RECIPE = RECIPES["resnet20-cifar10"]
PART = 8192  # pictures of a turn


class PerPicture(Dataset[tuple[torch.Tensor, int]]):
    """As torchvision.datasets.CIFAR10 has it: arrays in memory, a Pillow picture made of each, transforms applied to that."""

    def __init__(self, pictures: Pictures):
        self.arrays, self.labels = pictures.x.permute(0, 2, 3, 1).contiguous().numpy(), pictures.y.tolist()
        self.change = transforms.Compose([
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.as_tensor(self.change(Image.fromarray(self.arrays[i]))), self.labels[i]


def ours(pictures: Pictures) -> Callable[[], int]:
    batches, n = Batches(pictures, RECIPE.batch, 0, RECIPE.preprocess, RECIPE.augment), count()
    return lambda: sum(len(batches[i][1]) for i in islice(n, PART // RECIPE.batch))


def torchvisions(pictures: Pictures) -> Callable[[], int]:
    loader = DataLoader(PerPicture(pictures), RECIPE.batch, shuffle=True)
    return lambda: sum(len(y) for _, y in islice(loader, PART // RECIPE.batch))


def step(pictures: Pictures, steps: int = 64) -> float:
    """Seconds of a step of ResNet-20, its data included."""
    batches = Batches(pictures, RECIPE.batch, 0, RECIPE.preprocess, RECIPE.augment)
    run = fit(in_layout(build(RECIPE.model), RECIPE), RECIPE, batches)
    next(run)
    begun = time.process_time()
    for _ in islice(run, steps):
        pass
    return (time.process_time() - begun) / steps


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    pictures = source("cifar10").load("train")
    with machine(RECIPE):
        ways = {"convatlas": ours(pictures), "torchvision, picture by picture": torchvisions(pictures)}
        for turn in ways.values():
            turn()
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, turn in ways.items():
                begun = time.process_time()
                found[name].append(turn() / (time.process_time() - begun))
        seconds = step(pictures)
    mine, theirs = found.values()
    ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
    result = {
        "what": "CIFAR-10 training pictures per second and core, shifted, mirrored and normalised, in batches of 128",
        "rows": [{"path": name, "images_per_s": round(median(v)), "all": [round(x) for x in v]} for name, v in found.items()],
        "ratio": {"median": round(median(ratios), 2), "min": round(min(ratios), 2), "max": round(max(ratios), 2)},
        "resnet20_step": {
            "seconds": round(seconds, 5),
            "data_seconds": round(RECIPE.batch / median(mine), 5),
            "data_share": round(RECIPE.batch / median(mine) / seconds, 4),
        },
        "rounds": rounds,
        "command": "python bench/pipeline.py",
        "environment": environment(),
    }
    OUT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "environment"}, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
