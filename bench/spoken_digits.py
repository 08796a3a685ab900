"""Spoken digits as spectrogram pictures: how often a ResNet-20 is right on the takes 0 to 4 of each speaker, and in what time.

The free spoken digit dataset (recordings/{digit}_{speaker}_{take}.wav under CONVATLAS_DATA/fsdd), its customary test set.
A recording of several windows counts once, by the mean of its windows' probabilities. The settings were chosen without the
test recordings. `python bench/spoken_digits.py [SEEDS] [PASSES]`; writes results/bench/spoken_digits.json.
"""

import csv
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from convatlas.data.augment import Shift
from convatlas.data.batches import Batches, Preprocess
from convatlas.data.listed import Listed, opened
from convatlas.data.sound import SpecAugment, Spectrogram
from convatlas.evaluate import evaluate, scores
from convatlas.machine import environment
from convatlas.models import build
from convatlas.recipes import CrossEntropy, OneCycle, Recipe
from convatlas.recipes.optimisers import SGD
from convatlas.train import fit

SOUND = Spectrogram(rate=8000, seconds=1.0, fft=512, hop=250, mels=32)  # 32 x 32 pictures
PREPROCESS = Preprocess(size=32, mean=(0.26,) * 3, std=(0.31,) * 3)


def recipe(passes: int, windows: int) -> Recipe:
    return Recipe(
        source="ours",
        model="resnet20",
        data="fsdd",
        steps=passes * windows // 64,
        batch=64,
        rate=OneCycle(peak=0.1),
        optimiser=SGD(momentum=0.9, decay=5e-4, nesterov=True),
        loss=CrossEntropy(smoothing=0.1),
        augment=(Shift(pixels=3), SpecAugment(times=1, wide=5, bands=1, high=5)),
        preprocess=PREPROCESS,
        test=10**9,
    )


def table(folder: Path, path: Path) -> None:
    """The recordings as a CSV with the customary split."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "split"])
        for wav in sorted(folder.glob("*.wav")):
            digit, _, take = wav.stem.split("_")
            rows.writerow([wav, digit, "test" if int(take) < 5 else "train"])


def by_recording(listed: Listed, net: torch.nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean probabilities (recordings, classes) over each recording's windows, and classes."""
    names = [name.rpartition("@")[0] for name in listed.names]
    order = {name: i for i, name in enumerate(dict.fromkeys(names))}
    at = torch.tensor([order[name] for name in names])
    chances = torch.zeros(len(order), len(listed.classes)).index_add_(0, at, scores(net, x, PREPROCESS).softmax(1))
    y = torch.zeros(len(order), dtype=torch.int64).scatter_(0, at, listed.y)
    return chances, y


def one(seed: int, passes: int, folder: Path) -> dict[str, Any]:
    """From wav files to accuracy on the test recordings, and on those held out of train."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        table(folder, Path(temporary) / "fsdd.csv")
        sets = opened(Path(temporary) / "fsdd.csv", sound=SOUND)
        pictures = {split: listed.pictures(32, how="squash") for split, listed in sets.items()}
    assert not sets["train"].problems
    read = time.perf_counter() - begun
    torch.manual_seed(seed)
    net, how = build("resnet20", num_classes=10), recipe(passes, len(pictures["train"]))
    for _ in fit(net, how, Batches(pictures["train"], how.batch, seed, how.preprocess, how.augment)):
        pass
    found = {split: evaluate(*by_recording(sets[split], net, pictures[split].x)) for split in ("val", "test")}
    seconds = time.perf_counter() - begun
    row = {"seed": seed, "read_s": round(read, 1), "seconds": round(seconds, 1), "windows": len(pictures["train"])}
    for split, result in found.items():
        low, high = result.interval
        row[split] = {"accuracy": round(100 - result.top1_error, 2), "interval": [round(100 - high, 2), round(100 - low, 2)], "n": result.n}
    return row


def main(seeds: int, passes: int) -> None:
    folder = Path(os.environ["CONVATLAS_DATA"]) / "fsdd" / "recordings"
    rows = [one(seed, passes, folder) for seed in range(seeds)]
    result = {
        "what": "accuracy in percent over recordings, takes 0 to 4; seconds from wav files to it",
        "model": "resnet20",
        "passes": passes,
        "rows": rows,
        "command": f"python bench/spoken_digits.py {seeds} {passes}",
        "environment": environment(),
    }
    (Path(__file__).parent.parent / "results" / "bench" / "spoken_digits.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3, int(sys.argv[2]) if len(sys.argv) > 2 else 12)
