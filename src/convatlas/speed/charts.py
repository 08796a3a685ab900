"""Two pictures of a measurement: how near each network comes to what the machine can do, and what accuracy costs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..disk import whole
from .peers import OURS, SIDES

INK, GREY = "#222222", "#8a8a8a"
COLOURS = {"fp32": "#3b6ea5", "bf16": "#c4622d", "int8": "#4b8b3b"}
SMALLEST, LARGEST = 60.0, 2400.0  # area of a ball, square points


def roofline(rows: Sequence[dict[str, Any]], ceilings: dict[str, float], file: Path) -> None:
    """GFLOP/s against operations for each byte that must move; a filled dot is ours, a ring the best peer, at each precision."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes: Axes = figure.subplots()
    for precision, colour in COLOURS.items():
        if precision not in ceilings:
            continue
        share = {"fp32": 1, "bf16": 2, "int8": 4}[precision]  # as many values in a byte
        edge = ceilings[precision] / ceilings["copy"]
        axes.plot([1, edge, 1e4], [ceilings["copy"], *2 * [ceilings[precision]]], color=colour, lw=1)
        axes.annotate(f"{precision} {ceilings[precision]:,.0f} GFLOP/s", (1e4, ceilings[precision]), (-4, 3), textcoords="offset points",
                      ha="right", color=colour, fontsize=8)  # fmt: skip
        for row in rows:
            here = {side: found for side, found in row["sides"].items() if SIDES[side][0] == precision and "ms" in found}
            x = share * row["operations"] / row["bytes"]
            for of, filled in (([s for s in here if s in OURS], True), ([s for s in here if s not in OURS], False)):
                if of:
                    y = max(here[side]["gflops"] for side in of)
                    axes.plot(x, y, "o", ms=5, mfc=colour if filled else "none", mec=colour)
                    if filled and precision == "fp32":
                        axes.annotate(f"{row['model']} {row['batch']}", (x, y), (4, -9), textcoords="offset points", fontsize=6, color=GREY)
    axes.set(xscale="log", yscale="log", xlabel="operations for each byte of weights and maps", ylabel="GFLOP/s", xlim=(1, 1.2e4))
    axes.set_title(f"filled: ours; rings: the best peer. Memory: {ceilings['copy']:,.0f} GB/s there and back", fontsize=9, color=INK)
    save(figure, file)


def balls(points: Sequence[dict[str, Any]], file: Path) -> None:
    """Accuracy against operations for a picture; a ball's area is its parameters. `points` have model, top1, macs and parameters."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes: Axes = figure.subplots()
    most = max(point["parameters"] for point in points)
    for point in sorted(points, key=lambda point: -point["parameters"]):
        area = max(SMALLEST, LARGEST * point["parameters"] / most)
        axes.scatter(point["macs"] / 1e9, point["top1"], s=area, color=COLOURS["fp32"], alpha=0.35, linewidths=0.6, edgecolors=INK)
        axes.annotate(point["model"], (point["macs"] / 1e9, point["top1"]), ha="center", va="center", fontsize=7, color=INK)
    axes.set(xscale="log", xlabel="operations for a picture: 10^9 multiply-accumulates", ylabel="top-1 accuracy as published, %")
    axes.set_title(f"A ball's area is the number of parameters; the largest has {most / 1e6:,.0f} million", fontsize=9, color=INK)
    axes.margins(0.12)
    save(figure, file)


def save(figure: Figure, file: Path) -> None:
    kind = file.suffix.lower().removeprefix(".")
    with matplotlib.rc_context({"svg.hashsalt": "convatlas", "svg.fonttype": "none"}), whole(file) as draft:
        figure.savefig(draft, format=kind, dpi=130, metadata={"Date": None} if kind == "svg" else {})
