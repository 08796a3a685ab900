"""The whole picture: title and totals, the stages to scale over a table of what they are and cost, and each kind of block unfolded."""

import tomllib
from importlib.resources import files
from itertools import groupby
from math import ceil, sqrt
from typing import Any

from matplotlib.figure import Figure

from ..analysis import Shape
from ..models import MODELS
from .blocks import Panel, panels
from .sheet import COLOURS, INK, LINE, SOFT, Sheet, width
from .structure import Side, Slab, Stage, Structure
from .wiring import TIMES, Op, size

# Points.
MARGIN, WIDEST = 30.0, 1100.0
NAME, CELL, SMALL = 8.0, 7.2, 6.2  # sizes of type
TALLEST, THICKEST = 112.0, 26.0  # how high the picture stands that goes in; about how wide the most maps are
DEEP, RISE = 0.30, 0.20  # how far a slab goes back to the right and up, in its heights
GAP, BAR, ROW = 15.0, 40.0, 23.0  # between columns; the bar of a cost; from row to row of the table
ROWS = ("output", "parameters", "multiply-adds")


def paper(model: str) -> dict[str, Any]:
    """Title, authors, year and venue of the paper that a network is from."""
    family = MODELS[model][0].__name__.rpartition(".")[2]
    return tomllib.loads((files("convatlas") / "papers" / f"{family}.toml").read_text(encoding="utf-8"))


def short(n: int) -> str:
    """A count in three digits: 11.3 G."""
    rounded = int(float(f"{n:.2e}"))
    for unit, power in (("G", 9), ("M", 6), ("k", 3)):
        if rounded >= 10**power:
            value = rounded / 10**power
            return f"{value:.{3 - len(str(int(value)))}f} {unit}" if value < 1000 else f"{value:.0f} {unit}"
    return str(n)


class Column:
    """A stage's place in a band: how wide its slabs and words are, and what is written under it."""

    def __init__(self, stage: Stage, scale: tuple[float, float]):
        self.stage = stage
        self.lines = joined([line for slab in stage.slabs for line in words(slab, stage)])
        solid = [slab for slab in stage.slabs if slab.kind != "norm, activation"] or list(stage.slabs[:1])
        # Every layer of a chain is drawn, but no more than three equal ones; a stage's blocks are one slab for each kind.
        solid = [slab for slab in solid for _ in range(min(slab.count, 3 if slab.kind == "convolution" else 1))]
        self.slabs: list[tuple[Slab, float, float, float]] = []  # slab, its place, width and height
        x = 0.0
        for slab in solid:
            wide, high = measures(slab.shape, scale)
            self.slabs.append((slab, x, wide, high))
            x += wide + 2.2
        self.high = max(high for *_, high in self.slabs)
        self.solid = max(x + wide + DEEP * high for _, x, wide, high in self.slabs)
        cells = [size(stage.shape), short(stage.parameters), short(stage.macs)]
        text = [width(stage.name, NAME, "bold"), *(width(cell, CELL) for cell in cells)]
        text += [width(line, CELL if loud else SMALL) for line, loud in self.lines]
        self.wide = max(*text, self.solid + 4, BAR)

    @property
    def repeats(self) -> int:
        blocks = [slab.count for slab in self.stage.slabs if slab.kind == "block"]
        return self.stage.count * (sum(blocks) if blocks else 1)

    @property
    def top(self) -> float:
        """Points from the middle of its slabs to their upper edge, and to what is written there."""
        return (0.5 + RISE) * self.high + (12 if self.repeats > 1 else 0)


def words(slab: Slab, stage: Stage) -> list[tuple[str, bool]]:
    """What stands under a slab: each line, and whether it is a layer or only what goes with one."""
    before, label, after = slab.text
    n = slab.count * (stage.count if slab.kind == "block" else 1)
    loud = slab.kind != "norm, activation" or slab is stage.slabs[0]
    label = f"{label} {TIMES}{n}" if n > 1 else label
    return [(line, flag) for line, flag in ((before, False), (label, loud), (after, False)) if line]


def joined(lines: list[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Small lines that follow each other as one."""
    runs = [(loud, [line for line, _ in run]) for loud, run in groupby(lines, lambda it: it[1])]
    return [(line, loud) for loud, run in runs for line in (run if loud else [", ".join(run)])]


def measures(shape: Shape, scale: tuple[float, float]) -> tuple[float, float]:
    """Width and height of a slab: by the roots of the number of maps and of their side."""
    return max(1.6, scale[0] * sqrt(shape[0])), scale[1] * sqrt(shape[1] if len(shape) > 1 else 1)


class Band:
    """Stages from left to right, to scale, over their table; side heads stand above the stage that they read."""

    def __init__(self, sheet: Sheet, it: Structure, columns: list[Column]):
        self.sheet, self.it, self.columns = sheet, it, columns
        self.lead = max(width(row, CELL) for row in ROWS) + 18
        self.wide = self.lead + sum(column.wide for column in columns) + GAP * (len(columns) - 1)
        self.sides = [(side, column) for column in columns for side in it.sides if side.place == column.stage.name]
        self.above = max([column.top for column in columns] + [column.top + side_high(side) for side, column in self.sides])
        self.below = max(column.high / 2 for column in columns)
        self.lines = max(len(column.lines) for column in columns)
        self.high = self.above + self.below + 29 + 10.5 * self.lines + ROW * len(ROWS)

    def draw(self, x: float, y: float, wide: float) -> None:
        spare = (wide - self.wide) / max(1, len(self.columns) - 1)
        gap = GAP + min(spare, 70)
        axis, left, before = y + self.above, x + self.lead, None
        table = axis + self.below + 20
        first, last = self.columns[0].stage is self.it.stages[0], self.columns[-1].stage is self.it.stages[-1]
        self.rows(x, table, x + wide)
        for column in self.columns:
            centre = left + column.wide / 2
            start = centre - column.solid / 2
            if before or not first:
                self.sheet.line([(before + 2 if before else start - 22, axis), (start - 1.5, axis)])
            self.slabs(column, start, axis)
            before = start + column.solid
            self.cells(column, centre, table)
            left += column.wide + gap
        if not last and before:
            self.sheet.line([(before + 2, axis), (before + 22, axis)])

    def rows(self, x: float, table: float, right: float) -> None:
        y = table + 10.5 * self.lines + 9
        for row in ROWS:
            self.sheet.rule(x, y, right)
            self.sheet.write(x, y + 12.5, row, CELL, SOFT, align="left")
            y += ROW

    def slabs(self, column: Column, x: float, axis: float) -> None:
        for slab, place, wide, high in column.slabs:
            self.sheet.slab(x + place, axis - high / 2, wide, high, (DEEP * high, RISE * high), slab.kind)
        if column.repeats > 1:
            y = axis - (0.5 + RISE) * column.high - 5
            self.sheet.write(x + column.solid / 2, y, f"{TIMES}{column.repeats}", CELL, weight="bold")
        for side, beside in self.sides:
            if beside is column:
                self.side(side, x + column.solid / 2, axis - column.top)

    def cells(self, column: Column, x: float, y: float) -> None:
        stage = column.stage
        self.sheet.write(x, y, stage.name, NAME, weight="bold")
        for i, (line, loud) in enumerate(column.lines, 1):
            self.sheet.write(x, y + 2 + 10.5 * i, line, CELL if loud else SMALL, INK if loud else SOFT)
        y += 10.5 * self.lines + 9 + 12.5
        self.sheet.write(x, y, size(stage.shape), CELL)
        for quantity, kind in (("parameters", "linear"), ("macs", "block")):
            y += ROW
            if spent := getattr(stage, quantity):
                share = spent / max(getattr(it, quantity) for it in self.it.stages)
                self.sheet.write(x, y, short(spent), CELL)
                self.sheet.bar(x - BAR / 2, y + 4, BAR, 2.2, LINE)
                self.sheet.bar(x - BAR / 2, y + 4, max(0.6, BAR * share), 2.2, COLOURS[kind][1])

    def side(self, side: Side, x: float, y: float) -> None:
        """Its layers one over the other, and over them what it costs; (x, y) is where it leaves the network."""
        ops = [step for step in side.series if isinstance(step, Op)]
        wide = max(width(op.label, SMALL) for op in ops) + 14
        y -= 1
        for i, op in enumerate(ops):
            reach = 8.0 if i else 17.0
            self.sheet.line([(x, y), (x, y - reach)])
            y -= reach + 12
            self.sheet.box(x - wide / 2, y, wide, 12, op.kind)
            self.sheet.write(x, y + 8.2, op.label, SMALL)
        for line in (f"{short(side.macs)} multiply-adds", f"{short(side.parameters)} parameters"):
            self.sheet.write(x, y - 5, line, SMALL, SOFT)
            y -= 9
        self.sheet.write(x, y - 6, side.name, NAME, weight="bold")


def side_high(side: Side) -> float:
    return 1 + 17 + 20 * len(side.series) - 8 + 5 + 2 * 9 + 12


def bands(sheet: Sheet, it: Structure) -> list[Band]:
    """The stages in one row, or in as many of about equal length as keep the sheet from being too wide to read."""
    most = max(slab.shape[0] for stage in it.stages for slab in stage.slabs)
    scale = min(1.3, max(0.5, THICKEST / sqrt(most))), TALLEST / sqrt(it.cost.size[0])
    columns = [Column(stage, scale) for stage in it.stages]
    rows = ceil(Band(sheet, it, columns).wide / WIDEST)
    length = ceil(len(columns) / rows)
    return [Band(sheet, it, columns[i : i + length]) for i in range(0, len(columns), length)]


class Header:
    """Name, paper and authors at the left; what it all adds up to at the right."""

    def __init__(self, sheet: Sheet, model: str, it: Structure):
        self.sheet, about = sheet, paper(model)
        self.left = [(model, 19.0, "bold", INK), (about["title"], 9.5, "normal", INK)]
        names = about["authors"]
        said = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
        self.left.append((f"{said}, {about['year']}", 8.0, "normal", SOFT))
        totals = [(short(it.cost.total(count)), {"macs": "multiply-adds"}.get(count, count)) for count in it.cost.counts]
        field = max(layer.field for layer in it.cost.layers if layer.name.startswith("features"))
        self.right = [*totals, (f"{field} px", "receptive field")]
        self.cells = [max(width(value, 14), width(label, SMALL + 0.5)) + 20 for value, label in self.right]
        self.wide = max(width(text, points, weight) for text, points, weight, _ in self.left) + 30 + sum(self.cells)
        self.high = 50.0

    def draw(self, x: float, y: float, right: float) -> None:
        for (text, points, weight, colour), drop in zip(self.left, (17, 32, 45), strict=True):
            self.sheet.write(x, y + drop, text, points, colour, weight, align="left")
        for (value, label), wide in reversed(list(zip(self.right, self.cells, strict=True))):
            self.sheet.write(right, y + 17, value, 14, align="right")
            self.sheet.write(right, y + 30, label, SMALL + 0.5, SOFT, align="right")
            right -= wide


def legend(sheet: Sheet, x: float, y: float) -> None:
    """What the colours mean that have been drawn with, from (x, y) on."""
    for kind in COLOURS:
        if kind in sheet.kinds - {"join", "input"}:
            sheet.box(x, y - 6, 8, 8, kind, 1.5)
            sheet.write(x + 12, y + 0.5, kind, SMALL + 0.5, SOFT, align="left")
            x += 28 + width(kind, SMALL + 0.5)


SCALE = "Slabs are as high as the root of the map's side, and as wide as the root of the number of maps."


def wrapped(found: list[Panel], wide: float) -> list[list[Panel]]:
    """In as few rows as are not wider than `wide`, each with about as many panels as the others."""
    rows = [found]
    for length in range(len(found) - 1, 0, -1):
        if max(map(row_wide, rows)) > wide:
            rows = [found[i : i + length] for i in range(0, len(found), length)]
    return rows


def row_wide(row: list[Panel]) -> float:
    return sum(it.wide for it in row) + 14 * (len(row) - 1)


def blocks(sheet: Sheet, found: list[Panel], x: float, y: float, wide: float) -> float:
    """Draws the panels from (x, y) on, larger if there is room, and gives where they end."""
    if not found:
        return y
    zoom = min(1.3, max(1.0, wide / row_wide(found)))
    for row in wrapped(found, wide / zoom + 0.1):
        high, left = max(it.high for it in row), x + (wide - zoom * row_wide(row)) / 2
        for it in row:
            with sheet.zoomed(zoom, left, y):
                it.draw(high)
            left += zoom * (it.wide + 14)
        y += zoom * (high + 14)
    return y


def figure(model: str, it: Structure) -> Figure:
    """The picture of the network `model`, whose structure is `it`."""
    sheet = Sheet()
    header, rows = Header(sheet, model, it), bands(sheet, it)
    found = [one for block in it.blocks for one in panels(sheet, block)]
    wide = max(header.wide, width(SCALE, SMALL + 0.5) + 400, *(band.wide for band in rows))
    wide = max(wide, min(row_wide(found), WIDEST), *(one.wide for one in found)) if found else wide
    header.draw(MARGIN, MARGIN, MARGIN + wide)
    y = MARGIN + header.high + 18
    for band in rows:
        band.draw(MARGIN, y, wide)
        y += band.high + 14
    y = blocks(sheet, found, MARGIN, y, wide) + 10
    legend(sheet, MARGIN, y)
    sheet.write(MARGIN + wide, y + 0.5, SCALE, SMALL + 0.5, SOFT, align="right")
    return sheet.cut(wide + 2 * MARGIN, y + MARGIN)
