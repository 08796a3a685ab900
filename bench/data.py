"""How fast pictures come from the disk as random crops, one thread: ours, and torchvision's ImageFolder with its v1 transforms.

Both read the same JPEGs, decode them, cut and stretch a random part to 224 x 224, mirror half of them and give normalised
float batches of 50. They take turns in one process, a pass each; what counts is processor time, its median over passes and
that of their ratio. Beside it: the same crops made by Pillow, and how far ours are from them (PSNR); and the distribution
of the crops, theirs and ours. Needs CONVATLAS_DATA. Writes results/bench/data.json. Run it on an idle machine.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from convatlas.data import decode
from convatlas.data.batches import Preprocess
from convatlas.data.crops import Crops, RandomResizedCrop
from convatlas.data.listed import Listed, open_data
from convatlas.machine import environment

PREPROCESS = Preprocess(size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
BATCH = 50


def ours(listed: Listed) -> Callable[[], int]:
    crops, batches = Crops(listed, BATCH, 0, PREPROCESS, threads=0), count()

    def one_pass() -> int:
        return sum(len(crops[n][1]) for n in islice(batches, len(listed) // BATCH))

    return one_pass


def torchvisions(folder: Path) -> Callable[[], int]:
    change = transforms.Compose([
        transforms.RandomResizedCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(PREPROCESS.mean, PREPROCESS.std),
    ])  # fmt: skip
    loader = DataLoader(datasets.ImageFolder(str(folder), change), BATCH, shuffle=True, drop_last=True)
    return lambda: sum(len(y) for _, y in loader)


def psnr(listed: Listed, files: list[Path]) -> list[float]:
    """Of our crop of each picture against Pillow's of the same box, in dB."""
    found, box = [], RandomResizedCrop().box
    for i, file in enumerate(files):
        draw = lambda i=i: np.random.Generator(np.random.Philox(key=[0, i]))  # noqa: E731
        mine = listed.read_part(i, lambda h, w, draw=draw: box(h, w, draw()), 224).permute(1, 2, 0).numpy()
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
        top, left, h, w = box(picture.height, picture.width, draw())
        theirs = np.asarray(picture.crop((left, top, left + w, top + h)).resize((224, 224), Image.Resampling.BILINEAR))
        error = float(np.mean((mine.astype(float) - theirs) ** 2))
        found.append(10 * np.log10(255**2 / max(error, 1e-4)))
    return found


def distribution(n: int = 20_000) -> dict[str, float]:
    """The largest distance between the cumulated distributions, ours and torchvision's, of each side of the box (Kolmogorov-Smirnov)."""
    torch.manual_seed(0)
    blank, draw = torch.empty(3, 375, 500), np.random.Generator(np.random.Philox(key=[0, 0]))
    theirs = torch.tensor([transforms.RandomResizedCrop.get_params(blank, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(n)])
    mine = torch.tensor([RandomResizedCrop().box(375, 500, draw) for _ in range(n)])
    at = torch.arange(501)
    curves = [torch.stack([(boxes[:, side, None] <= at).float().mean(0) for side in range(4)]) for boxes in (mine, theirs)]
    return dict(zip(("top", "left", "height", "width"), (curves[0] - curves[1]).abs().amax(1).tolist(), strict=True))


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    place = Path(os.environ["CONVATLAS_DATA"]) / "imagenet-sample" / "images"
    files = sorted(place.iterdir())
    with tempfile.TemporaryDirectory() as temporary:
        for file in files:
            label = Path(temporary) / file.name.split("_")[0]
            label.mkdir(exist_ok=True)
            (label / file.name).symlink_to(file)
        listed = open_data(temporary)
        ways = {"convatlas": ours(listed), "torchvision ImageFolder, v1 transforms": torchvisions(Path(temporary))}
        for one_pass in ways.values():
            one_pass()
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, one_pass in ways.items():
                begun = time.process_time()
                found[name].append(one_pass() / (time.process_time() - begun))
        near = psnr(listed, [Path(temporary) / name for name in listed.names])
    ratios = [a / b for a, b in zip(*found.values(), strict=True)]
    result = {
        "what": f"pictures per second and core, {len(files)} JPEGs to normalised random crops of 224",
        "rows": [{"path": name, "images_per_s": round(median(v), 1), "all": [round(x, 1) for x in v]} for name, v in found.items()],
        "ratio": {"median": round(median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)},
        "psnr_against_pillow": {"min": round(min(near), 1), "median": round(median(near), 1), "crops": len(near)},
        "crops_ks_distance": {"n": 20_000, **{k: round(v, 4) for k, v in distribution().items()}},
        "simplejpeg": decode.simplejpeg is not None,
        "rounds": rounds,
        "command": "python bench/data.py",
        "environment": environment(),
    }
    (Path(__file__).parent.parent / "results" / "bench" / "data.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({k: v for k, v in result.items() if k != "environment"}, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
