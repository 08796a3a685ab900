"""The picture of a finding."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..disk import whole

INK = "#222222"
DASHED = ("training", "without norms")


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Draws a result's `picture` into an .svg or .png file."""
    parts = found["picture"].get("panels", [found["picture"]])
    figure = Figure(figsize=(6.4, 0.4 + 3.2 * len(parts)), layout="constrained")
    for axes, part in zip(figure.subplots(len(parts), squeeze=False).flat, parts, strict=True):
        panel(axes, part)
    figure.suptitle(f"{found['claim']}: {found['verdict']} ({found['budget']})", fontsize=9, color=INK)
    kind = file.suffix.lower().removeprefix(".")
    with matplotlib.rc_context({"svg.hashsalt": "convatlas", "svg.fonttype": "none"}), whole(file) as draft:
        figure.savefig(draft, format=kind, dpi=110, metadata={"Date": None} if kind == "svg" else {})


def panel(axes: Axes, picture: Mapping[str, Any]) -> None:
    if picture["kind"] == "bars":
        for n, (value, low, high) in enumerate(picture["bars"].values()):
            axes.bar(n, value, 0.6, color="#3b6ea5", alpha=0.8)
            if high > low:
                axes.errorbar(n, value, [[max(0.0, value - low)], [max(0.0, high - value)]], color=INK, capsize=4, lw=1)
        axes.set_xticks(range(len(picture["bars"])), list(picture["bars"]), fontsize=8)
        axes.set_ylabel(picture["y"])
    else:
        colours: dict[str, str] = {}
        for name, points in picture["series"].items():
            stem, _, kind = name.rpartition(", ")
            colour = colours.setdefault(stem or name, f"C{len(colours)}")
            axes.plot(*zip(*points, strict=True), color=colour, ls="--" if kind in DASHED else "-", lw=1.2, label=name)
        axes.set(xlabel=picture["x"], ylabel=picture["y"], yscale=picture.get("scale", "linear"))
        axes.legend(fontsize=7, ncols=2)
