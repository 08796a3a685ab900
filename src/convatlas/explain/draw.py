"""Explanations as pictures that one wants to look at."""

from collections.abc import Sequence
from math import ceil, sqrt
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from ..disk import whole
from .invariance import Curve
from .patches import Patch

INK, GREY = "#222222", "#8a8a8a"


def image(x: Tensor) -> NDArray[np.float64]:
    """A picture (C, H, W) uint8 as matplotlib shows it."""
    shown = x.permute(1, 2, 0).double().numpy() / 255
    return shown if x.shape[0] == 3 else shown.repeat(3, 2)


def contrast(x: Tensor, inside: float = 0.99) -> NDArray[np.float64]:
    """A projection (C, H, W) of either sign as a picture: grey is 0, and a share `inside` of its values is within black and white."""
    top = float(torch.quantile(x.abs().flatten().double(), inside)) or float(x.abs().max()) or 1.0
    shown = (x.double() / (2 * top) + 0.5).clamp(0, 1).permute(1, 2, 0).numpy()
    return shown if x.shape[0] == 3 else shown.repeat(3, 2)


def panels(count: int, width: float = 3.2, height: float = 3.5) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width * count, height), layout="constrained")
    axes = list(np.ravel(figure.subplots(1, count)))
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def save(figure: Figure, file: Path) -> None:
    with whole(file) as draft:
        figure.savefig(draft, format="png", dpi=110)


def heat(picture: Tensor, found: Tensor, title: str, bar: str, file: Path) -> None:
    """A picture (C, H, W) uint8, and over it what a map (h, w) says of its places, with a bar of its values."""
    figure, axes = panels(2)
    axes[0].imshow(image(picture))
    axes[0].set_title(title, fontsize=8, color=INK)
    large = interpolate(found[None, None].float(), picture.shape[1:], mode="bilinear", align_corners=False)[0, 0]
    axes[1].imshow(image(picture).mean(2), cmap="gray", vmin=0, vmax=1)
    low = min(0.0, float(large.min()))
    shown = axes[1].imshow(large.numpy(), cmap="inferno", alpha=0.62, vmin=low, vmax=max(float(large.max()), low + 1e-12))
    figure.colorbar(shown, ax=axes[1], shrink=0.8, label=bar)
    save(figure, file)


def projection(picture: Tensor, found: Tensor, title: str, bar: str, file: Path) -> None:
    """A picture (C, H, W) uint8, and beside it a value for each of its values."""
    figure, axes = panels(2)
    axes[0].imshow(image(picture))
    axes[0].set_title(title, fontsize=8, color=INK)
    axes[1].imshow(contrast(found))
    axes[1].set_title(bar, fontsize=8, color=GREY)
    save(figure, file)


def grid(pictures: Sequence[NDArray[np.float64]], title: str, file: Path, cmap: str | None = None, names: Sequence[str] = ()) -> None:
    """Many small pictures, as near to a square as they go."""
    columns = ceil(sqrt(len(pictures)))
    rows, side = ceil(len(pictures) / columns), max(1.0, 3.6 / columns)  # inches
    figure = Figure(figsize=(min(12, max(5, 0.4 + side * columns)), min(12, 0.7 + side * rows)), layout="constrained")
    axes = np.ravel(figure.subplots(rows, columns))
    for axis in axes:
        axis.set_axis_off()
    for i, (axis, picture) in enumerate(zip(axes, pictures, strict=False)):
        axis.imshow(picture, cmap=cmap, interpolation="nearest")
        if names:
            axis.set_title(names[i], fontsize=6, color=GREY)
    figure.suptitle(title, fontsize=9, color=INK)
    save(figure, file)


def patches(
    found: dict[int, list[Patch]], mean: Sequence[float], std: Sequence[float], title: str, file: Path, names: Sequence[str] = ()
) -> None:
    """A row for each map: its patches, and below them what the deconvnet makes of them; `names` are the columns'."""
    most = max(map(len, found.values()))
    figure = Figure(figsize=(0.9 * most + 0.6, 1.9 * len(found) + 0.5), layout="constrained")
    axes = figure.subplots(2 * len(found), most, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    colour, spread = (torch.tensor(v).view(-1, 1, 1) for v in (mean, std))
    for row, (number, best) in enumerate(found.items()):
        for column, patch in enumerate(best):
            axes[2 * row, column].imshow(image(((patch.pixels * spread + colour) * 255).clamp(0, 255)))
            axes[2 * row + 1, column].imshow(contrast(patch.projection))
            axes[2 * row + 1, column].set_title(names[column] if names else "", fontsize=6, color=GREY)
        axes[2 * row, 0].set_title(f"map {number}", fontsize=7, color=INK, loc="left")
    figure.suptitle(title, fontsize=9, color=INK)
    save(figure, file)


def curves(found: Sequence[Curve], title: str, file: Path) -> None:
    """How far features move, and below it what the class's probability is, along each kind of change."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots(2, len(found), squeeze=False)
    for column, curve in enumerate(found):
        for layer, distances in curve.distances.items():
            axes[0, column].plot(curve.amounts, distances, label=layer)
        axes[0, column].yaxis.set_major_formatter("{x:.2f}")  # the layout counts on labels of one width
        axes[1, column].plot(curve.amounts, curve.probability, color=INK)
        axes[1, column].set(xlabel=curve.kind, ylim=(0, 1))
    axes[0, 0].set_ylabel("distance of features")
    axes[1, 0].set_ylabel("probability")
    axes[0, 0].legend(fontsize=7)
    figure.suptitle(title, fontsize=9, color=INK)
    save(figure, file)
