"""A block unfolded: its operations as boxes from top to bottom, with branches side by side and shortcuts around them."""

from collections.abc import Callable
from dataclasses import dataclass

from .sheet import INK, SOFT, Sheet, width
from .structure import Block
from .wiring import TIMES, Op, Series, Split, size

LABEL, SMALL = 7.2, 6.0  # points
GAP, RADIUS = 11.0, 6.5


@dataclass(frozen=True)
class Piece:
    """Something to draw: how far it reaches to both sides of the line that goes into it and leaves it, and how high it is."""

    left: float
    right: float
    high: float
    draw: Callable[[float, float], None]  # at the x of that line and the y of its upper end
    opens: bool = False  # whether the line goes on in it, so that it needs no arrow's head


def box(sheet: Sheet, op: Op) -> Piece:
    before, label, after = op.text
    rows = [(words, small) for words, small in ((before, True), (label, False), (after, True)) if words]
    wide = max(width(words, SMALL if small else LABEL) for words, small in rows) + 13
    high = 6.5 + sum(8 if small else 9.5 for _, small in rows)

    def draw(x: float, y: float) -> None:
        sheet.box(x - wide / 2, y, wide, high, op.kind)
        base = y + 2.4
        for words, small in rows:
            base += 7.9 if small else 9.3
            sheet.write(x, base - 0.8, words, SMALL if small else LABEL, SOFT if small else INK)

    return Piece(wide / 2, wide / 2, high, draw)


def chain(sheet: Sheet, steps: Series) -> Piece:
    """One after the other, with arrows between."""
    pieces = [split(sheet, step) if isinstance(step, Split) else box(sheet, step) for step in steps]
    if not pieces:
        return Piece(0, 0, 0, draw=lambda *_: None, opens=True)

    def draw(x: float, y: float) -> None:
        for i, piece in enumerate(pieces):
            if i:
                sheet.line([(x, y), (x, y + GAP)], head=not piece.opens)
                y += GAP
            piece.draw(x, y)
            y += piece.high

    high = sum(piece.high for piece in pieces) + GAP * (len(pieces) - 1)
    return Piece(max(p.left for p in pieces), max(p.right for p in pieces), high, draw, pieces[0].opens)


def split(sheet: Sheet, it: Split) -> Piece:
    return around(sheet, it) if () in it.branches or it.join.label == "+" else abreast(sheet, it)


def abreast(sheet: Sheet, it: Split) -> Piece:
    """Branches of equal rank side by side, stacked in a box as wide as all of them: Inception, fire modules."""
    pieces = [chain(sheet, branch) for branch in it.branches]
    places, edge = [], 0.0
    for piece in pieces:
        places.append(edge + piece.left)
        edge += piece.left + piece.right + 10
    total, middle, high = edge - 10, (places[0] + places[-1]) / 2, max(piece.high for piece in pieces)
    join = 16.0

    def draw(x: float, y: float) -> None:
        floor = y + 17 + high
        for place, piece in zip(places, pieces, strict=True):
            at = x + place - middle
            bent = [(x, y), (x, y + 5), (at, y + 5)] if abs(at - x) > 1 else [(x, y)]
            sheet.line([*bent, (at, y + 17)], head=not piece.opens)
            piece.draw(at, y + 17)
            sheet.line([(at, y + 17 + piece.high), (at, floor + GAP)])
        sheet.box(x - middle, floor + GAP, total, join, "join")
        sheet.write(x - middle + total / 2, floor + GAP + 10.6, it.join.label, LABEL)

    return Piece(middle, total - middle, 17 + high + GAP + join, draw, opens=True)


def around(sheet: Sheet, it: Split) -> Piece:
    """One branch straight down, the others around it: shortcuts, gates, dense layers."""
    # A gate stands beside what it scales; a shortcut goes around what it is added to.
    order = sorted(it.branches, key=weight, reverse=it.join.label != TIMES)
    main, others = chain(sheet, order[0]), [chain(sheet, branch) for branch in order[1:]]
    sign = it.join.label in ("+", TIMES)
    joint = RADIUS if sign else width(it.join.label, LABEL) / 2 + 7
    left, right, sides = max(main.left, joint), max(main.right, joint), []
    for piece in others:
        if piece.high == 0 and left < right - 1:
            left += 11
            sides.append((piece, -left))
        else:
            gap = 11 if piece.high == 0 else 12
            sides.append((piece, right + gap + piece.left))
            right += gap + piece.left + piece.right
    high = max(piece.high for piece in (main, *others))

    def draw(x: float, y: float) -> None:
        top, floor = y + 16, y + 16 + high
        centre = floor + GAP + RADIUS
        if main.high:
            sheet.line([(x, y), (x, top)], head=not main.opens)
            main.draw(x, top)
            sheet.line([(x, top + main.high), (x, floor + GAP)])
        else:
            sheet.line([(x, y), (x, floor + GAP)])
        for piece, place in sides:
            at, edge = x + place, x + (joint if place > 0 else -joint)
            if piece.high:
                sheet.line([(x, y + 4), (at, y + 4), (at, top)], head=not piece.opens)
                piece.draw(at, top)
                sheet.line([(at, top + piece.high), (at, centre), (edge, centre)])
            else:
                sheet.line([(x, y + 4), (at, y + 4), (at, centre), (edge, centre)])
        if sign:
            sheet.joint(x, centre, RADIUS, it.join.label)
        else:
            sheet.box(x - joint, floor + GAP, 2 * joint, 2 * RADIUS, "join")
            sheet.write(x, centre + 2.6, it.join.label, LABEL)

    return Piece(left + 1, right + 1, 16 + high + GAP + 2 * RADIUS, draw, opens=True)


def weight(steps: Series) -> int:
    """How many boxes a branch has."""
    return sum(1 if isinstance(step, Op) else sum(map(weight, step.branches)) for step in steps)


@dataclass(frozen=True)
class Panel:
    """A frame with something in it, to be drawn at (0, 0) with a frame that may be higher than it needs."""

    wide: float
    high: float
    draw: Callable[[float], None]


def framed(sheet: Sheet, title: str, count: str, about: str, body: Piece, middle: bool = False) -> Panel:
    """A panel of a piece under its title; the piece hangs from there or, with `middle`, stands in the middle of what is left."""
    head = max(width(title, 9, "bold") + 6 + width(count, 9), width(about, SMALL + 0.5))
    inner = max(head, body.left + body.right)

    def draw(high: float) -> None:
        sheet.frame(0, 0, inner + 24, high)
        sheet.write(12, 17, title, 9, weight="bold", align="left")
        sheet.write(18 + width(title, 9, "bold"), 17, count, 9, SOFT, align="left")
        sheet.write(12, 27, about, SMALL + 0.5, SOFT, align="left")
        body.draw(12 + (inner - body.left - body.right) / 2 + body.left, 36 + (high - 48 - body.high) / 2 * middle)

    return Panel(inner + 24, 36 + body.high + 12, draw)


def unfolded(sheet: Sheet, block: Block) -> Panel:
    """The operations of a block, between the shapes of what goes in and what comes out."""
    part, body = block.part, chain(sheet, block.part.series)
    ends = max(width(size(part.given), LABEL), width(size(part.shape), LABEL)) / 2

    def draw(x: float, y: float) -> None:
        sheet.write(x, y + 8, size(part.given), LABEL, SOFT)
        sheet.line([(x, y + 11), (x, y + 22)], head=not body.opens)
        body.draw(x, y + 22)
        y += 22 + body.high
        sheet.line([(x, y), (x, y + 12)])
        sheet.write(x, y + 20, size(part.shape), LABEL, SOFT)

    whole = Piece(max(body.left, ends), max(body.right, ends), body.high + 44, draw)
    about = f"{part.name}, here {part.place}" if part.name != "Block" else f"here {part.place}"
    count = f"{TIMES}{block.count}" if block.count > 1 else ""
    return framed(sheet, f"block {block.letter}", count, about, whole)


def fan(sheet: Sheet, block: Block) -> Panel:
    """How blocks that hand on what they read stand in a row: each reads all that was made before it."""
    node, pitch, shown = 18.0, 34.0, min(block.run, 5)
    high = 14.0 * shown

    def draw(x: float, y: float) -> None:
        floor = y + high
        for i in range(shown + 1):
            at = x + i * pitch
            sheet.box(at, floor, node, node, "block" if i else "input")
            sheet.write(at + node / 2, floor + 11.5, block.letter if i else "x", LABEL)
            if i:
                sheet.line([(at - pitch + node, floor + node / 2), (at, floor + node / 2)])
            for j in range(i - 1):  # a wide bow begins left of a narrow one and ends right of it, so that they do not cross
                wider = 0.6 * node * (i - j - 2) / shown
                start, end = x + j * pitch + 0.75 * node - wider, at + 0.25 * node + wider
                sheet.arc((start, floor), (end, floor), 17 * (i - j - 1) ** 0.8)
        if block.run > shown:
            sheet.write(x + shown * pitch + node + 6, floor + 11, "...", LABEL, SOFT, align="left")

    place = block.part.place.partition(".")[0]
    body = Piece(0, shown * pitch + node + (20 if block.run > shown else 0), high + node, draw)
    return framed(sheet, place, f"{TIMES}{block.run}", "each reads x and all that was made before it", body, middle=True)


def panels(sheet: Sheet, block: Block) -> list[Panel]:
    dense = any(isinstance(step, Split) and step.is_dense for step in block.part.series)
    return [unfolded(sheet, block), *([fan(sheet, block)] if dense else [])]
