"""A run's report: one page that needs nothing else, and its plots as files beside it."""

from base64 import b64encode
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from .data import source
from .data.pictures import Pictures
from .disk import whole
from .evaluate import scores
from .recipes.text import encode, lines
from .run import Run

INK, SOFT, ACCENT, WARM = "#1c2330", "#5c6675", "#2458c5", "#c5472c"


def report(run: Run) -> Path:
    """Writes report.html and its plots into the folder of a finished run, and gives the page's place."""
    result, test = run.result(), source(run.recipe.data).load("test")
    before, after = run.net(), run.trained()
    found = scores(after, test.x, run.recipe.preprocess)
    wrong = int((found.argmax(1) != test.y).sum())
    plots = {
        "curves": curves(run),
        "confusion": confusion(found, test),
        "mistakes": mistakes(found, test),
        "filters": filters(first_layer(before), first_layer(after)),
    }
    low, high = result["interval"]
    published = "" if run.recipe.published is None else figure(f"{run.recipe.published} %", "published error")
    shown = {
        "title": escape(f"{run.name}, seed {run.seed}"),
        "source": escape(run.recipe.source),
        "n": f"{len(test):,}",
        "figures": figure(f"{result['top1_error']:.2f} %", f"test error, {low:.2f} to {high:.2f} at 95 %")
        + published
        + figure(duration(result["seconds"]), "of training")
        + figure(f"{result['images_per_s']:,.0f}", "images per second")
        + figure(f"{sum(p.numel() for p in after.parameters()):,}", "parameters"),
        "summary": f"{run.recipe.model} read {len(test) - wrong:,} of {len(test):,} test pictures rightly and {wrong:,} wrongly.",
        "confusions": escape(common(found, test)),
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


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def common(found: Tensor, test: Pictures) -> str:
    """The three most frequent confusions, in words."""
    table = counts(found, test).fill_diagonal_(0)
    order = [(int(table[i, j]), i, j) for i, j in table.nonzero().tolist()]
    top = sorted(order, reverse=True)[:3]
    if not top:
        return "It made no mistake."
    return "Most often: " + ", ".join(f"a {test.classes[i]} read as {test.classes[j]} ({n} times)" for n, i, j in top) + "."


def counts(found: Tensor, test: Pictures) -> Tensor:
    """(classes, classes): how often a picture of class i was given class j."""
    k = len(test.classes)
    return torch.bincount(test.y * k + found.argmax(1), minlength=k * k).view(k, k)


def first_layer(net: nn.Module) -> Tensor:
    """(maps, k, k): the filters of the first convolution, averaged over colours."""
    layer = next(m for m in net.modules() if isinstance(m, nn.Conv2d))
    return layer.weight.detach().mean(1)


def curves(run: Run) -> bytes:
    log, one_pass = run.log(), len(source(run.recipe.data).load("train")) / run.recipe.batch
    loss = [(line["step"] / one_pass, line["loss"]) for line in log if "loss" in line]
    error = [(line["step"] / one_pass, line["test_error"]) for line in log if "test_error" in line]
    picture = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, points, label, colour in zip(
        picture.subplots(1, 2), (loss, error), ("training loss", "test error, %"), (SOFT, ACCENT), strict=True
    ):
        axes.plot(*zip(*points, strict=True), color=colour, marker="o" if len(points) < 50 else "", markersize=4, linewidth=1.4)
        axes.set(xlabel="passes over the training pictures", ylabel=label)
        axes.grid(axis="y", color="#e6e9ef")
        axes.spines[["top", "right"]].set_visible(False)
    right = picture.axes[1]
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


def confusion(found: Tensor, test: Pictures) -> bytes:
    table = counts(found, test)
    wrong = table.clone().fill_diagonal_(0)
    picture = Figure(figsize=(6.2, 5.4), layout="constrained")
    axes = picture.subplots()
    axes.imshow(wrong.numpy(), cmap="Reds", vmin=0, vmax=max(1, int(wrong.max())) * 1.4)
    for i, j in torch.cartesian_prod(torch.arange(len(table)), torch.arange(len(table))).tolist():
        if table[i, j]:
            axes.text(j, i, f"{int(table[i, j])}", ha="center", va="center", fontsize=9, color=SOFT if i == j else INK)
    axes.set(xlabel="what the network said", ylabel="what it is")
    axes.set_xticks(range(len(table)), test.classes)
    axes.set_yticks(range(len(table)), test.classes)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
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
    n = len(before)
    picture = Figure(figsize=(min(9, 1.25 * n + 1), 2.9), layout="constrained")
    for row, (label, bank) in zip(picture.subplots(2, n, squeeze=False), (("before", before), ("after", after)), strict=True):
        bound = float(bank.abs().max())
        for axes, kernel in zip(row, bank, strict=True):
            axes.imshow(kernel.numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#dfe3ea")
        row[0].set_ylabel(label, color=SOFT)
    return png(picture)


def png(picture: Figure) -> bytes:
    out = BytesIO()
    picture.savefig(out, format="png", dpi=140)
    return out.getvalue()
