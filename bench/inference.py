"""How fast networks answer here: `fast`, beside every way that its peers offer, each as users run it and tuned (convatlas.speed).

Writes results/bench/inference.json, after each network; what is in it already is not measured again. Where ours and the best peer come
near one another, both are measured anew in fresh processes, last. Where all ways of a network at once do not fit in memory (APART), they
take turns with those of their precision, eager and the best peer of the precision before.
Run it on an idle machine: python bench/inference.py [MODEL...] [--batch 1,32]. Needs the extra `fast`, torchvision and timm.
"""

import argparse
import json
import sys
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import torch

from convatlas.disk import whole
from convatlas.machine import environment
from convatlas.speed.ceilings import ceilings
from convatlas.speed.measure import ALLOWED, again, measure
from convatlas.speed.peers import SIDES

NEAR = 0.08  # two processes that do the same may be as far apart
APART = (("vgg16", 32),)  # 19 processes took more than 24 GB
OUT = Path(__file__).parent.parent / "results" / "bench" / "inference.json"
MODELS = (
    "resnet18", "resnet50_v1_5", "resnet152", "vgg16", "alexnet", "googlenet", "densenet121", "mobilenet_v1", "mobilenet_v2",
    "efficientnet_b0", "efficientnet_lite0", "squeezenet1_1",
)  # fmt: skip


def row_of(model: str, batch: int, sides: list[str], rounds: int, threads: int) -> dict[str, Any]:
    """All sides' turns, or those of each precision apart; then "best" of a precision is from its own turns."""
    if (model, batch) not in APART:
        *_, row = measure(model, batch, sides, rounds, threads)
        return row
    row: dict[str, Any] = {}
    for precision in ALLOWED:
        beside = {"eager", *(best.get("peer") for best in row.get("best", {}).values())}
        some = [side for side in sides if SIDES[side][0] == precision or side in beside]
        *_, part = measure(model, batch, some, rounds, threads)
        best = {precision: part["best"][precision]} if precision in part["best"] else {}
        row = part | {"sides": part["sides"] | row.get("sides", {}), "best": row.get("best", {}) | best, "apart": True}
    return row


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("models", nargs="*", metavar="MODEL", default=list(MODELS))
    words.add_argument("--batch", default="1,32")
    words.add_argument("--sides", default=",".join(SIDES), help="of: " + ", ".join(SIDES))
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--again", type=int, default=2, help="times that what comes near its best peer is measured anew, by other processes")
    words.add_argument("--threads", type=int, default=torch.get_num_threads())
    words.add_argument("--out", type=Path, default=OUT)
    given = words.parse_args()
    about = {
        "what": "milliseconds for a batch by `fast` and by its peers' ways: the median of rounds in which all take turns",
        "ceilings": ceilings(),
        "rounds": given.rounds,
        "command": " ".join(["python bench/inference.py", *sys.argv[1:]]),
        "versions": {name: version(name) for name in ("torchvision", "timm", "openvino", "onnxruntime", "nncf")},
        "environment": environment(),
    }
    rows = json.loads(given.out.read_text())["rows"] if given.out.exists() else []

    def written(row: dict[str, Any]) -> None:
        told = (f"{d}: {b.get('ratio')} of {b.get('peer')}, {b.get('over_eager')} of eager" for d, b in row["best"].items())
        print(f"{row['model']:18} {row['batch']:3}  {'; '.join(told)}", flush=True)
        with whole(given.out) as draft:
            draft.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")

    wanted = [*product(given.models, map(int, given.batch.split(",")))]
    for model, batch in wanted:
        if not any((row["model"], row["batch"]) == (model, batch) for row in rows):
            row = row_of(model, batch, given.sides.split(","), given.rounds, given.threads)
            rows.append(row | {"commit": about["environment"]["commit"]})
            written(rows[-1])
    for row in rows:
        if (row["model"], row["batch"]) not in wanted:
            continue
        best = [best for best in row["best"].values() if "peer" in best]
        if any(abs(found["ratio"] - 1) < NEAR for found in best) and not any("ratios" in found for found in best):
            again(row, given.again, given.rounds, given.threads)
            written(row)


if __name__ == "__main__":
    main()
