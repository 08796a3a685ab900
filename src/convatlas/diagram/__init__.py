"""A drawing of a network, made from the network itself: its stages to scale, what they cost, and its blocks unfolded."""

from pathlib import Path
from typing import Any

import matplotlib
import torch

from ..disk import whole
from ..mistake import Mistake
from ..models import MODELS, build
from .drawing import figure
from .structure import structure

DPI = 200  # pixels of a PNG for each 72 points of the drawing


def diagram(model: str, file: Path) -> dict[str, Any]:
    """Draws a network into an .svg or .png file. Gives the model, the file, and its width and height: points of SVG, pixels of PNG.

    Raises Mistake for a network or a suffix that there is not.
    """
    if model not in MODELS:
        raise Mistake(f"no model {model!r}; there are: {', '.join(MODELS)}.")
    kind = file.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise Mistake(f"{file} should end in .svg or .png, for a drawing that scales or one made of pixels.")
    with torch.device("meta"):
        drawn = figure(model, structure(build(model)))
    with matplotlib.rc_context({"svg.hashsalt": "convatlas", "svg.fonttype": "none"}), whole(file) as draft:
        drawn.savefig(draft, format=kind, dpi=DPI, metadata={"Title": model, **({"Date": None} if kind == "svg" else {})})
    scale = DPI if kind == "png" else 72
    wide, high = (int(side * scale) for side in drawn.get_size_inches())
    return {"model": model, "file": str(file), "width": wide, "height": high}
