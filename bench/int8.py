"""What int8 costs: the accuracy of trained networks, and of their int8 twins, on real pictures.

Pretrained networks on a folder of labelled pictures: half of them set the int8 twin by which the other half is judged, and the other
way round, so that each is judged by a twin that has not seen it. Runs on their test pictures: the twin is set by 512 of those that
the run learned from. The interval is of the paired difference.
Writes results/bench/int8.json: python bench/int8.py PICTURES [RUN...]
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convatlas.data.batches import generator
from convatlas.data.listed import open_data
from convatlas.inference.choose import Engines
from convatlas.inference.plans import Plan
from convatlas.intervals import over_pictures, wilson
from convatlas.machine import environment
from convatlas.models.lean import lean
from convatlas.predict import meanings
from convatlas.run import open_run
from convatlas.sets import load_sets
from convatlas.trained import of_weights

OUT = Path(__file__).parent.parent / "results" / "bench" / "int8.json"
PRETRAINED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
SET_BY = 512


@torch.inference_mode()
def said(way: Any, x: Tensor) -> Tensor:
    return torch.cat([way(part) for part in x.split(50)]).argmax(1)


def twin(net: nn.Module, calibration: Tensor, precision: str = "int8") -> Any:
    engines = Engines(lean(net), tuple(calibration.shape[1:]), calibration)
    return engines.way(Plan("openvino", precision, 50))


def pretrained(name: str, folder: Path) -> dict[str, Any]:
    trained, listed = of_weights(name, offline=True), open_data(folder)
    (part,) = listed.values() if isinstance(listed, dict) else (listed,)
    x = torch.cat([trained.preprocess(trained.place(part.read(i))[None]) for i in range(len(part))])
    y = torch.tensor(meanings(trained, part.classes))[part.y]
    order = torch.randperm(len(x), generator=generator(0))
    found = torch.empty(3, len(x), dtype=torch.int64)
    for judged, other in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        ways = (trained.net, twin(trained.net, x[other], "bf16"), twin(trained.net, x[other]))
        for row, way in zip(found, ways, strict=True):
            row[judged] = said(way, x[judged])
    return about(name, found, y)


def run(folder: Path) -> dict[str, Any]:
    it = open_run(folder)
    sets, net, preprocess = load_sets(it.recipe), it.trained(), it.recipe.preprocess
    drawn = torch.randperm(len(sets.train), generator=generator(0))[:SET_BY]
    ways = (net, *(twin(net, preprocess(sets.train.x[drawn]), precision) for precision in ("bf16", "int8")))
    x = preprocess(sets.test.x)
    return about(f"{it.recipe.model}, {it.name}", torch.stack([said(way, x) for way in ways]), sets.test.y)


def about(name: str, found: Tensor, y: Tensor) -> dict[str, Any]:
    """Of what the network, its bf16 twin and its int8 twin said, (3, N)."""
    right, n = (found == y).double(), len(y)
    row: dict[str, Any] = {"network": name, "pictures": n}
    for kind, answers, hits in zip(("fp32", "bf16", "int8"), found, right, strict=True):
        lost = right[0] - hits
        change, interval = over_pictures(float(lost.sum()), float(lost.square().sum()), n)
        row[kind] = {
            "top1": round(100 * float(hits.mean()), 3), "interval": [round(v, 2) for v in wilson(int(hits.sum()), n)],
            "lost": round(100 * change, 3), "lost_interval": [round(100 * v, 3) for v in interval],
            "agreement": round(float((answers == found[0]).double().mean()), 4),
        }  # fmt: skip
    print(name, *(f"{kind} {row[kind]['top1']} (lost {row[kind]['lost']})" for kind in ("fp32", "bf16", "int8")), flush=True)
    return row


def main() -> None:
    pictures, *runs = map(Path, sys.argv[1:])
    rows = [*(pretrained(name, pictures) for name in PRETRAINED), *map(run, runs)]
    text = {
        "what": "top-1 accuracy in percent of networks and of their twins, and what the twin loses",
        "rows": rows,
        "environment": environment(),
    }
    OUT.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
