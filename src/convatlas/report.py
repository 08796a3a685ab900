"""A run's report: one page that needs nothing else, and its plots as files beside it."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from io import BytesIO
from math import ceil, nan
from pathlib import Path
from string import Template
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn.functional import pad

from .data.pictures import Pictures
from .disk import whole
from .metrics import Metrics, metrics
from .metrics import confusion as counted
from .recipes.text import encode, lines
from .run import Run
from .sets import Sets, load_sets

SHOWN = 25  # classes in a confusion matrix that can still be read
ACROSS = 16  # filters in a row
INK, SOFT, ACCENT, WARM = "#1c2330", "#5c6675", "#2458c5", "#c5472c"


def report(run: Run) -> Path:
    """Writes report.html and its plots into the folder of a finished run, and gives the page's place."""
    result, sets = run.result(), load_sets(run.recipe)
    test, before, after = sets.test, run.net(), run.trained()
    found = run.scores()
    wrong = int((found.argmax(1) != test.y).sum())
    measured = metrics(found, test.y, test.classes)
    plots = {
        "curves": curves(run, learned(sets) / run.recipe.batch),
        "confusion": confusion(found, test),
        "reliability": reliability(measured),
        "mistakes": mistakes(found, test),
        "filters": filters(first_layer(before), first_layer(after)),
    }
    low, high = result["interval"]
    published = "" if run.recipe.published is None else figure(f"{run.recipe.published} %", "published error")
    shown = {
        "title": escape(f"{run.name}, seed {run.seed}"),
        "source": escape(run.recipe.source),
        "n": f"{len(test):,}",
        "figures": figure(f"{result['top1_error']:.2f} %", f"{result['judged']} error, {low:.2f} to {high:.2f} at 95 %")
        + published
        + figure(duration(result["seconds"]), "of training")
        + figure(f"{result['images_per_s']:,.0f}", "images per second")
        + figure(f"{sum(p.numel() for p in after.parameters()):,}", "parameters"),
        "summary": f"{run.recipe.model} read {len(test) - wrong:,} of {len(test):,} test pictures rightly and {wrong:,} wrongly.",
        "confusions": escape(common(found, test)),
        "watched": watched(run),
        "classes": classes(measured),
        "macro": f"{100 * measured.macro_ap:.1f} %",
        "ece": f"{100 * measured.ece:.1f} %",
        "recipe": rows(lines(encode(run.recipe))),
        "environment": rows(result["environment"].items()),
        **{name: f"data:image/png;base64,{b64encode(png).decode()}" for name, png in plots.items()},
    }
    for name, png in plots.items():
        with whole(run.folder / f"{name}.png") as draft:
            draft.write_bytes(png)
    page = Template(files("convatlas").joinpath("report.html").read_text()).substitute(shown)
    with whole(run.folder / "report.html") as draft:
        draft.write_text(page, encoding="utf-8")
    return run.folder / "report.html"


def figure(value: str, label: str) -> str:
    return f"<li><b>{escape(value)}</b><span class=soft>{escape(label)}</span></li>"


def rows(pairs: Iterable[tuple[str, Any]]) -> str:
    return "".join(f"<tr><td>{escape(str(key))}<td>{escape(str(value))}" for key, value in pairs)


def watched(run: Run) -> str:
    """What the plot of the training shows, in words."""
    tuning = run.recipe.tuning
    if tuning is None:
        return "Loss on the training pictures as they came, and error on the test pictures, which it never learned from."
    if not run.recipe.steps:
        return "Cross-validated error of the linear classifier, within the training pictures, by the penalty on its weights."
    text = "Loss on the training pictures as they came, and error on pictures that were held back; at 0 of the linear classifier."
    return text + (" The weights of the least loss on them were kept." if tuning.held else "")


def classes(measured: Metrics) -> str:
    """The rows of a table: name, pictures, precision, recall, F1 and average precision."""
    names = ("precision", "recall", "f1", "ap")
    return "".join(
        f"<tr><td>{escape(row.name)}<td>{row.n:,}" + "".join(f"<td>{percent(getattr(row, name))}" for name in names)
        for row in measured.per_class
    )


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def common(found: Tensor, test: Pictures) -> str:
    """The three most frequent confusions, in words."""
    table = counted(found, test.y).fill_diagonal_(0)
    order = [(int(table[i, j]), i, j) for i, j in table.nonzero().tolist()]
    top = sorted(order, reverse=True)[:3]
    if not top:
        return "It made no mistake."
    return "Most often: " + ", ".join(f"a {test.classes[i]} read as {test.classes[j]} ({n} times)" for n, i, j in top) + "."


def learned(sets: Sets) -> int:
    """How many pictures a pass goes through."""
    if sets.disk is not None:
        return len(sets.disk)
    return len(sets.train if sets.rows is None else sets.rows)


def first_layer(net: nn.Module) -> Tensor:
    """(maps, k, k): the filters of the first convolution, averaged over colours."""
    layer = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
    return layer.weight.detach().mean(1)


def curves(run: Run, one_pass: float) -> bytes:
    """Loss and error against passes, of which each takes `one_pass` steps; of a linear classifier, how its penalty was chosen."""
    log = run.log()
    if not run.recipe.steps:
        return penalties(log[0])
    loss = [(line["step"] / one_pass, line["loss"]) for line in log if "loss" in line]
    kind = "held_error" if run.recipe.tuning else "test_error"
    error = [(line["step"] / one_pass, line[kind]) for line in log if kind in line]
    picture = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = picture.subplots(1, 2)
    plot(left, loss, "training loss", SOFT)
    if not error:
        return png(picture)
    plot(right, error, kind.replace("_", " ") + ", %", ACCENT)
    if min(value for _, value in error) > 0:
        right.set_yscale("log")
        right.yaxis.set_major_formatter("{x:g}")
        right.yaxis.set_minor_formatter("{x:g}")
    right.annotate(f"{error[-1][1]:.2f} %", error[-1], xytext=(0, -14), textcoords="offset points", ha="right", color=ACCENT)
    if run.recipe.published is not None:
        right.axhline(run.recipe.published, color=WARM, linestyle="--", linewidth=1)
        right.annotate(
            f"published: {run.recipe.published} %", (0, run.recipe.published), xytext=(2, 3), textcoords="offset points", color=WARM
        )
    return png(picture)


def plot(axes: Axes, points: list[tuple[float, float]], label: str, colour: str, across: str = "passes over the training pictures") -> None:
    axes.plot(*zip(*points, strict=True), color=colour, marker="o" if len(points) < 50 else "", markersize=4, linewidth=1.4)
    axes.set(xlabel=across, ylabel=label)
    axes.grid(axis="y", color="#e6e9ef")
    axes.spines[["top", "right"]].set_visible(False)


def penalties(told: dict[str, Any]) -> bytes:
    """How the penalty of a linear classifier was chosen; of a network whose head is not linear, nothing."""
    picture = Figure(figsize=(9, 3.4), layout="constrained")
    axes = picture.subplots()
    if told.get("tried"):
        plot(axes, list(zip(told["tried"], told["errors"], strict=True)), "cross-validated error, %", ACCENT, "penalty")
        axes.set_xscale("log")
        axes.axvline(told["penalty"], color=WARM, linestyle="--", linewidth=1, label="chosen, by cross-entropy")
        axes.legend(frameon=False)
    return png(picture)


def confusion(found: Tensor, test: Pictures) -> bytes:
    """The matrix; of more than SHOWN classes those that are most often mistaken or mistaken for."""
    table = counted(found, test.y)
    wrong = table.clone().fill_diagonal_(0)
    kept = (wrong.sum(0) + wrong.sum(1)).argsort(descending=True, stable=True)[:SHOWN].sort().values
    table, wrong, names = table[kept][:, kept], wrong[kept][:, kept], [test.classes[i] for i in kept]
    side = max(5.4, 0.36 * len(kept))
    picture = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = picture.subplots()
    axes.imshow(wrong.numpy(), cmap="Reds", vmin=0, vmax=max(1, int(wrong.max())) * 1.4)
    for i, j in torch.cartesian_prod(torch.arange(len(table)), torch.arange(len(table))).tolist():
        if table[i, j]:
            axes.text(j, i, f"{int(table[i, j])}", ha="center", va="center", fontsize=9, color=SOFT if i == j else INK)
    axes.set(xlabel="what the network said", ylabel="what it is")
    axes.set_xticks(range(len(table)), names, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(range(len(table)), names)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return png(picture)


def reliability(measured: Metrics) -> bytes:
    """Share right by how sure the network was, a bar for each bin, and below how many pictures it has."""
    bins, width = [b for b in measured.bins if b.n], 1 / len(measured.bins)
    picture = Figure(figsize=(5.4, 4.6), layout="constrained")
    upper, lower = picture.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    middle = [(b.low + b.high) / 2 for b in bins]
    upper.bar(middle, [b.accuracy for b in bins], width=width, color=ACCENT, edgecolor="white", label="share right")
    upper.plot([b.confidence for b in bins], [b.confidence for b in bins], "o", color=WARM, markersize=4, label="mean probability")
    upper.plot([0, 1], [0, 1], color=SOFT, linestyle="--", linewidth=1)
    upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="share right")
    upper.legend(frameon=False, loc="upper left")
    lower.bar(middle, [b.n for b in bins], width=width, color=SOFT, edgecolor="white")
    lower.set(xlabel="probability of the answer", ylabel="pictures")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return png(picture)


def mistakes(found: Tensor, test: Pictures) -> bytes:
    sure, said = torch.softmax(found, 1).max(1)
    wrong = (said != test.y).nonzero()[:, 0]
    worst = wrong[sure[wrong].argsort(descending=True)][:20].tolist()
    picture = Figure(figsize=(9, 3.5), layout="constrained")
    for axes in picture.subplots(2, 10).flat:
        axes.axis("off")
        if worst:
            i = worst.pop(0)
            axes.imshow(test.x[i].permute(1, 2, 0).numpy(), cmap="gray_r" if test.x.shape[1] == 1 else None)
            text = f"is {test.classes[test.y[i]]}\nsaid {test.classes[said[i]]}\n{100 * float(sure[i]):.0f} %"
            axes.text(0.5, -0.08, text, transform=axes.transAxes, ha="center", va="top", fontsize=10, color=INK)
    return png(picture)


def filters(before: Tensor, after: Tensor) -> bytes:
    """Two banks (maps, k, k) as tiles, each bank with colours of its own scale: blue is below zero, red above."""
    across = min(ACROSS, len(before))
    size = min(1.25, 8 / across)  # inches
    picture = Figure(figsize=(size * across + 1, 2 * size * ceil(len(before) / across) + 0.4), layout="constrained")
    colours = colormaps["RdBu_r"].with_extremes(bad="#dfe3ea")
    for axes, label, bank in zip(picture.subplots(2, 1), ("before", "after"), (before, after), strict=True):
        bound = float(bank.abs().max())
        axes.imshow(tiles(bank, across).numpy(), cmap=colours, vmin=-bound, vmax=bound)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_ylabel(label, color=SOFT)
    return png(picture)


def tiles(bank: Tensor, across: int) -> Tensor:
    """(maps, k, k) as one picture with so many maps in a row, each weight 8 x 8, and lines of NaN about each map."""
    n, side = len(bank), 8 * bank.shape[1] + 1
    held = torch.full((ceil(n / across) * across, side, side), nan)
    held[:n, :-1, :-1] = bank.repeat_interleave(8, 1).repeat_interleave(8, 2)
    whole = held.view(-1, across, side, side).transpose(1, 2).flatten(2).flatten(0, 1)
    return pad(whole, (1, 0, 1, 0), value=nan)


def png(picture: Figure) -> bytes:
    out = BytesIO()
    picture.savefig(out, format="png", dpi=140)
    return out.getvalue()
