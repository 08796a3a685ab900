"""What a trained network says of picture files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from .data import source
from .data.pictures import read_picture
from .evaluate import scores
from .mistake import Mistake
from .run import Run


def predict(run: Run, files: Sequence[Path], top: int = 3) -> Iterator[dict[str, Any]]:
    """For each file {"file", "predictions": [{"index", "label", "probability"}]}, the `top` most probable classes first.

    A file that cannot be read gives {"file", "error"} instead, and the others are still read.
    """
    net, pictures = run.trained(), source(run.recipe.data, run.recipe.preprocess.size)
    classes = pictures.load("test").classes
    for file in files:
        try:
            x = pictures.adapt(read_picture(file, pictures.channels))
        except Mistake as error:
            yield {"file": str(file), "error": str(error)}
            continue
        probability, index = torch.softmax(scores(net, x[None], run.recipe.preprocess)[0], 0).topk(min(top, len(classes)))
        rows = zip(index.tolist(), probability.tolist(), strict=True)
        yield {"file": str(file), "predictions": [{"index": i, "label": classes[i], "probability": round(p, 6)} for i, p in rows]}
