"""What a diagram shows, read off the network itself: its stages with their shapes and costs, its kinds of blocks, its side heads."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from string import ascii_letters, ascii_uppercase
from typing import Any

from torch import fx, nn

from ..analysis import Analysis, Shape, analyse
from ..models.net import Net
from .wiring import Kind, Op, Series, Split, form, wired


@dataclass(frozen=True)
class Part:
    """A piece of a stage: a block, or a chain of layers."""

    place: str  # in the network: "conv3_x.1"
    name: str  # what its authors call it, or we
    given: Shape
    shape: Shape
    series: Series

    @property
    def is_block(self) -> bool:
        depthwise = any(isinstance(step, Op) and "depthwise" in step.form for step in self.series)
        return depthwise or any(isinstance(step, Split) for step in self.series)


@dataclass(frozen=True)
class Slab:
    """`count` equal things in a row that each give maps of `shape`; `text` is what they are, before, named and after."""

    kind: Kind
    shape: Shape
    text: tuple[str, str, str]
    count: int = 1


@dataclass(frozen=True)
class Stage:
    """A column of the diagram: a row of the paper's table."""

    name: str
    slabs: tuple[Slab, ...]
    shape: Shape
    parameters: int = 0
    macs: int = 0
    count: int = 1  # equal stages in a row


@dataclass(frozen=True)
class Side:
    """A head that leaves the network at `place`."""

    name: str
    place: str
    series: Series
    parameters: int
    macs: int


@dataclass(frozen=True)
class Block:
    """A kind of block: how often the network has it, and one that stands for all."""

    letter: str
    count: int
    part: Part
    run: int  # how many of its kind stand in a row where this one stands


@dataclass(frozen=True)
class Structure:
    stages: tuple[Stage, ...]
    blocks: tuple[Block, ...]
    sides: tuple[Side, ...]
    cost: Analysis


def pieces(place: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The blocks of a stage and the chains of layers between them: modules with a wiring of their own are blocks."""
    own = [child for child in module.modules() if next(child.children(), None) and not isinstance(child, nn.Sequential)]
    if own and isinstance(module, nn.Sequential):
        for name, child in module.named_children():
            yield from pieces(f"{place}.{int(name) + 1}" if name.isdecimal() else f"{place}.{name}", child)
    else:
        yield place, module


def parts(place: str, module: nn.Module, given: Shape) -> list[Part]:
    found = []
    for where, piece in pieces(place, module):
        steps, shape = wired(piece, given)
        name = type(piece).__name__
        found.append(Part(where, "separable convolution" if name == "Sequential" else name, given, shape, steps))
        given = shape
    return found


def slabs(found: list[Part], letters: dict[Any, str]) -> tuple[Slab, ...]:
    """One for each block and for each layer of a chain; equal ones that stand in a row are counted."""
    every: list[Slab] = []
    for part in found:
        if part.is_block:
            every.append(Slab("block", part.shape, ("", f"block {letters[form(part.series)]}", "")))
        else:
            every += [Slab(it.kind, it.shape, it.text) for it in part.series if isinstance(it, Op)]
    runs = [list(run) for _, run in groupby(every, lambda slab: (slab.text, slab.kind))]
    return tuple(replace(run[-1], count=len(run)) for run in runs)


def kinds(found: list[Part]) -> tuple[Block, ...]:
    """The kinds of blocks in the order in which they come, each with the first of those whose strides are its most frequent."""
    blocks: dict[Any, list[Part]] = {}
    for part in found:
        if part.is_block:
            blocks.setdefault(form(part.series), []).append(part)
    shown = []
    for letter, alike in zip(ascii_uppercase, blocks.values(), strict=False):
        usual = Counter(form(part.series, exact=True) for part in alike).most_common(1)[0][0]
        part = next(part for part in alike if form(part.series, exact=True) == usual)
        stage = part.place.partition(".")[0]
        shown.append(Block(letter, len(alike), part, sum(other.place.startswith(f"{stage}.") for other in alike)))
    return tuple(shown)


def is_quiet(stage: Stage) -> bool:
    """Whether it is too small for a column: an activation or dropout by itself, or nothing that does anything."""
    return not stage.parameters and all(slab.kind == "norm, activation" and slab.text[1] != "LRN" for slab in stage.slabs)


def gathered(stages: list[Stage]) -> tuple[Stage, ...]:
    """Equal stages in a row become one; quiet ones are noted with the stage in front of them."""
    loud: list[Stage] = []
    for it in stages:
        if loud and is_quiet(it):
            loud[-1] = replace(loud[-1], slabs=(*loud[-1].slabs, *it.slabs))
        else:
            loud.append(it)
    done = []
    for _, run in groupby(loud, lambda it: replace(it, name="")):
        first, *more = run
        name = f"{first.name} to {more[-1].name.lstrip(ascii_letters + '_')}" if more else first.name
        n = 1 + len(more)
        done.append(replace(first, name=name, parameters=n * first.parameters, macs=n * first.macs, count=n))
    return tuple(done)


def origins(net: Net) -> dict[str, str]:
    """The side heads of a network, and the stages of its features that they read: only in training is there a way to them."""
    names = {name for name, _ in net.named_children()} - {"features", "head"}
    stages = {f"features.{name}" for name, _ in net.features.named_children()}

    class Whole(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return module_qualified_name in names | stages | {"head"}

    if not names:
        return {}
    training = net.training
    graph = Whole().trace(net.train())
    net.train(training)
    return {str(n.target): str(n.all_input_nodes[0].target).split(".")[1] for n in graph.nodes if n.target in names}


def structure(net: Net) -> Structure:
    """Of a network on the meta device, on pictures of its paper's size."""
    cost = analyse(net)
    channels = next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d))
    given: Shape = (channels, *cost.size)
    found: list[tuple[str, str, list[Part]]] = []
    for top in ("features", "head"):
        for name, child in getattr(net, top).named_children():
            found.append((f"{top}.{name}", name, parts(name, child, given)))
            given = found[-1][2][-1].shape
    blocks = kinds([part for *_, several in found for part in several])
    letters = {form(block.part.series): block.letter for block in blocks}
    stages = [Stage("input", (Slab("input", (channels, *cost.size), ("", "", "")),), (channels, *cost.size))]
    for path, name, several in found:
        shown = slabs(several, letters)
        if shown or several[-1].shape != several[0].given:
            own = [layer for layer in cost.layers if f"{layer.name}.".startswith(f"{path}.")]
            spent = sum(layer.parameters for layer in own), sum(layer.macs for layer in own)
            stages.append(Stage(name, shown, several[-1].shape, *spent))
    sides = []
    for name, place in origins(net).items():
        shape = next(several[-1].shape for _, stage, several in found if stage == place)
        head = getattr(net, name)
        spent = analyse(head, (shape[1], shape[2]), shape[0])
        sides.append(Side(name, place, wired(head, shape)[0], spent.parameters, spent.macs))
    return Structure(gathered(stages), blocks, tuple(sides), cost)
