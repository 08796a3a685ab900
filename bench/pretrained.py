"""The accuracy of pretrained weights on labelled pictures, with our own preprocessing, into results/bench/pretrained.json.

python bench/pretrained.py PLACE [MODEL...]

Of pictures that are probably training pictures this pins the port; it is no validation accuracy.
"""

import json
import sys
from pathlib import Path

import torch

from convatlas.data.listed import opened
from convatlas.evaluate import evaluate
from convatlas.intervals import wilson
from convatlas.machine import environment
from convatlas.predict import examine
from convatlas.trained import of_weights

HERE = Path(__file__).parent.parent
NOTE = "One picture for each of 250 classes, probably training pictures: this pins the port, and is no validation accuracy."


def measured(model: str, place: Path) -> dict:
    trained = of_weights(model, offline=True)
    rows = [row for part in opened(place).values() for row in examine(trained, part)]
    said, y = torch.stack([found for _, found, _ in rows]), torch.tensor([label for _, _, label in rows])
    found = evaluate(said, y)
    n, missed = found.n, round(found.top5_error * found.n / 100)
    return {
        "weights": trained.name,
        "n": n,
        "top1": 100 - found.top1_error,
        "top1_interval": [round(v, 2) for v in wilson(n - round(found.top1_error * n / 100), n)],
        "top5": 100 - found.top5_error,
        "top5_interval": [round(v, 2) for v in wilson(n - missed, n)],
    }


def main() -> None:
    place, *models = sys.argv[1:]
    rows = [measured(model, Path(place)) for model in models or [f"efficientnet_lite{n}" for n in range(3)]]
    for row in rows:
        print(row)
    result = {"note": NOTE, "data": Path(place).name, "rows": rows, "environment": environment()}
    (HERE / "results" / "bench" / "pretrained.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
