"""Whether explanations agree with what covering a picture does, and how soon a class is lost or found by their order.

On labelled photos, efficientnet_lite0, the class that it answers:
  pointing   whether the place that Grad-CAM points at (its largest value) is among the tenth where covering the picture costs most
             (occlusion); by chance a tenth of the places are. Beside it, the same with another picture's occlusion, and the share of 2,000
             shuffles of the pictures that agree as well as the true pairs: a permutation test.
  curves     the areas below the deletion and insertion curves of three methods and of chance, and what each gains on chance, with intervals
             over the pictures.
Writes results/bench/explain.json: python bench/explain.py PICTURES [COUNT]
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from convatlas.data.batches import generator
from convatlas.data.listed import open_data
from convatlas.explain.curves import area, curve
from convatlas.explain.gradcam import grad_cam
from convatlas.explain.integrated import integrated
from convatlas.explain.occlusion import occlusion
from convatlas.explain.what import Score
from convatlas.intervals import over_seeds, wilson
from convatlas.machine import environment
from convatlas.trained import of_weights

OUT = Path(__file__).parent.parent / "results" / "bench" / "explain.json"
MODEL, WINDOW, STRIDE, SHUFFLES, TOP = "efficientnet_lite0", 48, 25, 2000, 0.1


def agreement(pointed: Tensor, tops: Tensor) -> Tensor:
    """(N, N): whether the place (N,) that one picture's map points at is among another's top places (N, places)."""
    return tops[:, pointed].T


def pointing(cams: Tensor, covered: Tensor) -> dict[str, Any]:
    n, rows, columns = covered.shape
    same = interpolate(cams[:, None], (rows, columns), mode="bilinear", align_corners=False)[:, 0].flatten(1)
    flat = covered.flatten(1)
    count = max(1, round(TOP * rows * columns))
    tops = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, flat.topk(count, 1).indices, True)
    agree = agreement(same.argmax(1), tops)
    hits = int(agree.diagonal().sum())
    draw, places = generator(0), torch.arange(n)
    shuffled = torch.tensor([int(agree[places, torch.randperm(n, generator=draw)].sum()) for _ in range(SHUFFLES)])
    return {
        "pictures": n, "places": rows * columns, "chance": round(count / (rows * columns), 4), "agree": round(hits / n, 4),
        "interval": [round(v / 100, 4) for v in wilson(hits, n)],
        "with others": round(float(shuffled.double().mean()) / n, 4),
        "p": (1 + int((shuffled >= hits).sum())) / (SHUFFLES + 1),
    }  # fmt: skip


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 250
    trained, listed = of_weights(MODEL, offline=True), open_data(folder)
    net = trained.net
    x = torch.cat([trained.preprocess(trained.place(listed.read(i))[None]) for i in range(min(count, len(listed)))])
    with torch.no_grad():
        target = torch.cat([net(part) for part in x.split(50)]).argmax(1)
    pairs = list(zip(x.split(25), target.split(25), strict=True))
    heat = {
        "gradcam": torch.cat([grad_cam(net, a, b) for a, b in pairs]),
        "occlusion": torch.cat([occlusion(net, a, b, WINDOW, STRIDE) for a, b in pairs]),
        "integrated": torch.cat([integrated(net, a, Score(b), steps=16).abs().sum(1) for a, b in pairs]),
        "chance": torch.rand(len(x), 14, 14, generator=generator(0)),
    }
    areas = {
        name: {
            kind: torch.cat(
                [area(curve(net, a, h, b, insertion=kind == "insertion")) for (a, b), h in zip(pairs, found.split(25), strict=True)]
            )
            for kind in ("deletion", "insertion")
        }
        for name, found in heat.items()
    }
    rows: dict[str, Any] = {}
    for name, own in areas.items():
        rows[name] = {}
        for kind, values in own.items():
            better = values - areas["chance"][kind] if kind == "insertion" else areas["chance"][kind] - values
            gain, interval = over_seeds(better.tolist())
            rows[name][kind] = {"area": round(float(values.mean()), 4)}
            if name != "chance":
                rows[name][kind] |= {"better than chance by": round(gain, 4), "interval": [round(v, 4) for v in interval]}
        print(name, rows[name], flush=True)
    text = {
        "what": f"{MODEL} on photos: whether Grad-CAM points at what covering shows to matter, and deletion and insertion curves",
        "pointing": pointing(heat["gradcam"], heat["occlusion"]),
        "curves": rows,
        "command": f"python bench/explain.py PICTURES {count}",
        "environment": environment(),
    }
    print(text["pointing"])
    OUT.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
