"""A sheet to draw on: boxes, slabs, arrows and words, placed in points (1/72 inch) from its upper left corner."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from math import hypot
from typing import Literal

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyBboxPatch, Patch, PathPatch, Polygon
from matplotlib.path import Path
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Affine2D

INK, SOFT, LINE = "#1c2330", "#5c6675", "#d9dee6"
COLOURS = {  # of faces and of edges, by kind
    "input": ("#eef0f4", "#8b94a3"),
    "convolution": ("#c8d8ec", "#4c73a6"),
    "block": ("#93b2d9", "#33588a"),
    "pool": ("#f1d3c4", "#b5694a"),
    "norm, activation": ("#f2e7bd", "#a28a38"),
    "linear": ("#d0e3c9", "#5b8a55"),
    "join": ("#ffffff", "#5c6675"),
}
Point = tuple[float, float]


@lru_cache(maxsize=4096)
def width(words: str, size: float, weight: str = "normal") -> float:
    """Of words in points, in the one typeface of a sheet."""
    return text_to_path.get_text_width_height_descent(words, font(size, weight), ismath=False)[0] if words else 0.0


def font(size: float, weight: str = "normal") -> FontProperties:
    """DejaVu Sans, which matplotlib brings with it; whoever opens an SVG without having it reads another without serifs."""
    return FontProperties(family=["DejaVu Sans", "sans-serif"], size=size, weight=weight)


def mixed(colour: str, other: str, share: float) -> tuple[float, ...]:
    return tuple((1 - share) * a + share * b for a, b in zip(to_rgb(colour), to_rgb(other), strict=True))


class Sheet:
    def __init__(self):
        self.figure = Figure(facecolor="white")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.axis("off")
        self.zoom, self.corner = 1.0, (0.0, 0.0)
        self.kinds: set[str] = set()  # what has been drawn

    def cut(self, wide: float, high: float) -> Figure:
        """The figure, once all is drawn and its size is known."""
        self.figure.set_size_inches(wide / 72, high / 72)
        self.axes.set(xlim=(0, wide), ylim=(high, 0))
        return self.figure

    @contextmanager
    def zoomed(self, zoom: float, x: float, y: float) -> Iterator[None]:
        """What is drawn in this block is `zoom` times as large, words too, and counts from (x, y)."""
        self.zoom, self.corner = zoom, (x, y)
        yield
        self.zoom, self.corner = 1.0, (0.0, 0.0)

    def add(self, patch: Patch) -> None:
        patch.set_transform(Affine2D().scale(self.zoom).translate(*self.corner) + self.axes.transData)
        self.axes.add_patch(patch)

    def write(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 7,
        colour: str = INK,
        weight: str = "normal",
        align: Literal["left", "center", "right"] = "center",
    ) -> None:
        """Words whose baseline is at `y`."""
        if words:
            (u, v), k = self.corner, self.zoom
            look = {"color": colour, "ha": align, "va": "baseline", "fontproperties": font(k * size, weight)}
            self.axes.text(u + k * x, v + k * y, words, parse_math=False, **look)

    def box(self, x: float, y: float, wide: float, high: float, kind: str, radius: float = 2.5) -> None:
        face, edge = COLOURS[kind]
        self.kinds.add(kind)
        style = f"round,pad=0,rounding_size={radius}"
        self.add(FancyBboxPatch((x, y), wide, high, boxstyle=style, facecolor=face, edgecolor=edge, linewidth=0.7, zorder=2))

    def frame(self, x: float, y: float, wide: float, high: float) -> None:
        style = "round,pad=0,rounding_size=5"
        self.add(FancyBboxPatch((x, y), wide, high, boxstyle=style, facecolor="#f7f8fa", edgecolor=LINE, linewidth=0.8, zorder=0))

    def bar(self, x: float, y: float, wide: float, high: float, colour: str) -> None:
        self.add(Polygon([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)], facecolor=colour, linewidth=0))

    def rule(self, x: float, y: float, end: float) -> None:
        self.add(PathPatch(Path([(x, y), (end, y)]), edgecolor=LINE, linewidth=0.7, zorder=0))

    def slab(self, x: float, y: float, wide: float, high: float, deep: Point, kind: str) -> None:
        """A cuboid seen from its left and above; (x, y) is the upper left corner of its front."""
        face, edge = COLOURS[kind]
        self.kinds.add(kind)
        dx, dy = deep
        top = [(x, y), (x + dx, y - dy), (x + wide + dx, y - dy), (x + wide, y)]
        side = [(x + wide, y), (x + wide + dx, y - dy), (x + wide + dx, y + high - dy), (x + wide, y + high)]
        front = [(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)]
        for corners, colour in ((top, mixed(face, "#ffffff", 0.45)), (side, mixed(face, edge, 0.22)), (front, to_rgb(face))):
            patch = Polygon(corners, facecolor=colour, edgecolor=edge, linewidth=0.6, joinstyle="round", zorder=2)
            self.add(patch)

    def joint(self, x: float, y: float, radius: float, sign: str) -> None:
        """A circle with a plus or a cross in it."""
        self.add(Circle((x, y), radius, facecolor="white", edgecolor=SOFT, linewidth=0.8, zorder=2))
        r = 0.5 * radius
        strokes = [((-r, 0), (r, 0)), ((0, -r), (0, r))] if sign == "+" else [((-0.7 * r, -0.7 * r), (0.7 * r, 0.7 * r)),
                                                                          ((-0.7 * r, 0.7 * r), (0.7 * r, -0.7 * r))]  # fmt: skip
        for (x0, y0), (x1, y1) in strokes:
            self.add(PathPatch(Path([(x + x0, y + y0), (x + x1, y + y1)]), edgecolor=INK, linewidth=0.9, zorder=3))

    def line(self, points: Sequence[Point], head: bool = True, radius: float = 5) -> None:
        """Through the points, with round corners, and by default an arrow's head at its end."""
        vertices, codes = [points[0]], [Path.MOVETO]
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            vertices += [towards(corner, before, radius), corner, towards(corner, after, radius)]
            codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
        end = towards(points[-1], points[-2], 3) if head else points[-1]
        path = Path([*vertices, end], [*codes, Path.LINETO])
        self.add(PathPatch(path, facecolor="none", edgecolor=SOFT, linewidth=0.8, zorder=1, capstyle="butt"))
        if head:
            (x, y), (u, v) = points[-1], towards(points[-1], points[-2], 4.4)
            nx, ny = -(y - v) * 0.42, (x - u) * 0.42
            self.add(Polygon([(x, y), (u + nx, v + ny), (u - nx, v - ny)], facecolor=SOFT, linewidth=0, zorder=3))

    def arc(self, start: Point, end: Point, rise: float) -> None:
        """A bow above two points."""
        (x0, y0), (x1, y1) = start, end
        path = Path([start, (x0, y0 - rise), (x1, y1 - rise), (x1, y1 - 3)], [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
        self.add(PathPatch(path, facecolor="none", edgecolor=SOFT, linewidth=0.8, zorder=1))
        self.add(Polygon([(x1, y1), (x1 - 1.85, y1 - 4.4), (x1 + 1.85, y1 - 4.4)], facecolor=SOFT, linewidth=0, zorder=3))


def towards(here: Point, there: Point, step: float) -> Point:
    """The point `step` away from `here` on the way to `there`, at most half way."""
    (x, y), (u, v) = here, there
    way = hypot(u - x, v - y) or 1.0
    share = min(step / way, 0.5)
    return x + (u - x) * share, y + (v - y) * share
