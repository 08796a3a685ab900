"""Answers from the shell in half a second: what was chosen for a network is kept with its model, and used again without importing torch.

The cache folder has for each network, under a hash of the words by which it was asked for:

    about.json  its name, classes, the rule for photos, the plan, and what it was made of: versions, processor, the file of weights
    net.xml     OpenVINO's model for one chunk of pixels, with net.bin beside it
    compiled/   what OpenVINO made of it for this processor

If anything that it was made of has changed, it is as if it were not there.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..disk import cache_folder
from ..machine import processor
from ..mistake import Mistake
from ..photo import Photo
from ..pixels import pixels

if TYPE_CHECKING:
    from ..trained import Trained
    from .openvino import Compiled

AT_ONCE = 32  # pictures


@dataclass(frozen=True)
class Quick:
    """A trained network for photos, ready to answer."""

    name: str
    classes: list[str]
    photo: Photo
    run: "Compiled"

    def predict(self, files: Iterable[Path], top: int = 3) -> Iterator[dict[str, Any]]:
        """As convatlas.predict.predict, one file at a time or as many as a chunk has."""
        group: list[tuple[Path, Any]] = []
        for file in files:
            try:
                group.append((file, self.photo.placed(pixels(file, str(file), 3))))
            except Mistake as error:
                group.append((file, error))
            if len(group) == max(1, self.run.chunk):
                yield from self.said(group, top)
                group = []
        yield from self.said(group, top)

    def said(self, group: list[tuple[Path, Any]], top: int) -> Iterator[dict[str, Any]]:
        shown = [picture for _, picture in group if not isinstance(picture, Mistake)]
        scores = iter(self.run(np.stack(shown)) if shown else ())
        for file, picture in group:
            if isinstance(picture, Mistake):
                yield {"file": str(file), "error": str(picture)}
                continue
            share = np.exp((row := next(scores)) - row.max())
            share /= share.sum()
            best = np.argsort(-share, kind="stable")[:top].tolist()
            predictions = [{"index": i, "label": self.classes[i], "probability": round(float(share[i]), 6)} for i in best]
            yield {"file": str(file), "predictions": predictions}


def place(*words: object) -> Path:
    text = json.dumps([*map(str, words)])
    return cache_folder("fast") / "quick" / hashlib.sha256(text.encode()).hexdigest()[:16]


def made_of(weights: Path) -> dict[str, Any]:
    try:
        engine = version("openvino")
    except PackageNotFoundError:
        engine = ""
    is_ = weights.stat()
    return {
        "convatlas": version("convatlas"),
        "openvino": engine,
        "processor": processor(),
        "cores": os.cpu_count(),
        "takes": "pixels",
        "weights": [str(weights), is_.st_size, is_.st_mtime_ns],
    }


def recall(*words: object) -> Quick | None:
    """The network that was kept under these words, if all that it was made of is as it was."""
    folder = place(*words)
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        if about["made_of"] != made_of(Path(about["made_of"]["weights"][0])):
            return None
        photo = about["photo"]
        photo = Photo(**{**photo, "mean": tuple(photo["mean"]), "std": tuple(photo["std"])})
        from .openvino import Compiled

        plan = about["plan"]
        run = Compiled(folder / "net.xml", plan["precision"], plan["chunk"], plan["streams"], about["threads"], folder / "compiled")
        return Quick(about["name"], about["classes"], photo, run)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError):
        return None


def keep(trained: "Trained", *words: object) -> bool:
    """Keeps a network with a fast twin for the next time, whole or not at all.

    False for one that is not for photos by published weights, or runs by another engine than OpenVINO.
    """
    from .choose import Fast

    fast, photo, weights = trained.net, trained.photo, trained.file
    if not isinstance(fast, Fast) or fast.model is None or photo is None or weights is None:
        return False
    import openvino as ov
    import torch

    from .openvino import of_pixels, shaped

    folder, threads = place(*words), torch.get_num_threads()
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft"))
    try:
        model = of_pixels(fast.model, photo.mean, photo.std)
        ov.save_model(shaped(model, fast.plan.chunk), draft / "net.xml", compress_to_fp16=False)
        about = {
            "name": trained.name,
            "classes": trained.classes,
            "photo": asdict(photo),
            "plan": asdict(fast.plan),
            "threads": threads,
            "made_of": made_of(weights),
        }
        (draft / "about.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return recall(*words) is not None  # which compiles it for this processor, and keeps that
