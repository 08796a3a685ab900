"""How the operations of a block are wired, read off the network itself.

A block is a sequence of operations, and of splits into branches that meet again: a shortcut is a branch without operations.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn

from ..analysis import Layers, Shape, side, weight_of

Kind = Literal["convolution", "pool", "norm, activation", "linear", "join", "block", "input"]
TIMES = "\N{MULTIPLICATION SIGN}"

NOTES = {  # layers that are written small, into the box of the layer beside them
    "BatchNorm2d": "BN", "LocalResponseNorm": "LRN", "ReLU": "ReLU", "ReLU6": "ReLU6", "SiLU": "swish", "Hardswish": "h-swish",
    "Sigmoid": "sigmoid", "Hardsigmoid": "h-sigmoid", "Tanh": "tanh", "Squash": "squash", "Dropout": "dropout",
    "StochasticDepth": "drop path",
}  # fmt: skip
POOLS = {  # layers that only make maps smaller
    "MaxPool2d": "max", "AvgPool2d": "average", "AdaptiveAvgPool2d": "average", "Subsample": "subsample", "Pad": "zero-pad to",
}  # fmt: skip
JOINS = {operator.add: "+", operator.mul: TIMES, torch.cat: "concatenate"}


@dataclass(frozen=True)
class Op:
    """A box: one layer with what stands small before and after it, or where branches meet. `shape` is what comes out."""

    kind: Kind
    label: str
    shape: Shape
    form: tuple[Any, ...]  # all that two blocks of one kind have in common: not the widths, strides and activations
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def text(self) -> tuple[str, str, str]:
        """Three lines, of which the first and last may be empty."""
        return ", ".join(self.before), self.label, ", ".join(self.after)


@dataclass(frozen=True)
class Split:
    """Branches that read the same maps, in the order in which they do so, and the join where they meet."""

    branches: tuple["Series", ...]
    join: Op

    @property
    def is_dense(self) -> bool:
        """Whether what comes in is handed on, with more maps behind it."""
        return self.join.label == "concatenate" and () in self.branches


Series = tuple[Op | Split, ...]


class Shapes(fx.Interpreter):
    """Runs a graph and leaves at each node the shape of what comes out of it."""

    def run_node(self, n: fx.Node) -> Any:
        out = super().run_node(n)
        n.meta["shape"] = tuple(out.shape[1:]) if isinstance(out, Tensor) else None
        return out


def times(*sides: int) -> str:
    return TIMES.join(map(str, sides))


def size(shape: Shape) -> str:
    """(C, H, W) as papers write it, H x W x C; (C,) as C."""
    return times(*shape[1:], shape[0])


def wired(module: nn.Module, given: Shape) -> tuple[Series, Shape]:
    """The operations of a module that reads maps of shape `given`, and the shape of what comes out."""
    root = nn.Sequential(module)
    graph = fx.GraphModule(root, Layers().trace(root))
    Shapes(graph).run(torch.empty(1, *given, device="meta"))
    start, *_, end = graph.graph.nodes
    return folded(list(series(graph, start, end))), end.args[0].meta["shape"]


def series(graph: fx.GraphModule, node: fx.Node, end: fx.Node) -> Iterator[Op | Split]:
    """What stands between a node and a later one that all ways from it lead to."""
    while True:
        following = list(node.users)
        meeting = following[0] if len(following) == 1 else common(node, end)
        if len(following) > 1:
            ways = [() if n is meeting else folded([*step(graph, n), *series(graph, n, meeting)]) for n in following]
            yield Split(tuple(ways), operation(graph, meeting))
        if meeting is end:
            return
        if len(following) == 1:
            yield from step(graph, meeting)
        node = meeting


def common(node: fx.Node, end: fx.Node) -> fx.Node:
    """The first node that every way from `node` to `end` meets."""

    def leads(start: fx.Node, barred: fx.Node) -> bool:
        return start is not barred and (start is end or any(leads(user, barred) for user in start.users))

    later = node.next
    while later is not end and leads(node, later):
        later = later.next
    return later


def step(graph: fx.GraphModule, node: fx.Node) -> list[Op]:
    """The operation of a node, if it does anything worth a word."""
    layer = graph.get_submodule(str(node.target)) if node.op == "call_module" else node.target
    same = node.meta["shape"] == node.all_input_nodes[0].meta["shape"]
    silent = isinstance(layer, nn.Identity | nn.Flatten) or (isinstance(layer, nn.AdaptiveAvgPool2d) and same)
    return [] if silent else [operation(graph, node)]


def operation(graph: fx.GraphModule, node: fx.Node) -> Op:
    shape, given = node.meta["shape"], node.all_input_nodes[0].meta["shape"]
    if node.target in JOINS:
        return Op("join", JOINS[node.target], shape, (JOINS[node.target],))
    layer: Any = graph.get_submodule(str(node.target)) if node.op == "call_module" else node.target
    name, weight = type(layer).__name__ if node.op == "call_module" else getattr(layer, "__name__", str(layer)), weight_of(layer)
    if name in NOTES:
        return Op("norm, activation", NOTES[name], shape, ("note", "Norm" in name))
    window = times(*[side(layer.kernel_size)] * 2) if hasattr(layer, "kernel_size") else ""
    stride = f", /{side(layer.stride)}" if side(getattr(layer, "stride", 1)) > 1 else ""
    if name in POOLS:
        if isinstance(layer, nn.AdaptiveAvgPool2d):
            return Op("pool", f"average to {times(*shape[1:])}" if shape[1] > 1 else "global average", shape, (name, shape[1:]))
        return Op("pool", f"{POOLS[name]} {shape[0] if name == 'Pad' else window}{stride}", shape, (name, window))
    if window and weight is not None:
        grouped, how = grouping(weight.numel() // side(layer.kernel_size) ** 2, given[0], shape[0], getattr(layer, "groups", 1))
        return Op("convolution", f"{window}, {shape[0]}{how}{stride}", shape, ("convolution", window, grouped))
    kind = "norm, activation" if weight is None else "linear"
    return Op(kind, f"{'linear' if name == 'Linear' else name}, {shape[0]}", shape, (name,))


def grouping(pairs: int, cin: int, cout: int, groups: int) -> tuple[str, str]:
    """Which maps a convolution lets see which: as a word, and as it is written behind its width."""
    if groups == cin > 1:
        return "depthwise", ", depthwise"
    if groups > 1:
        return "groups", f", {groups} groups"
    return ("", "") if pairs == cin * cout else ("table", f", {pairs} of {cin * cout} pairs")


def folded(steps: list[Op | Split]) -> Series:
    """Norms and activations go into the box of the layer in front of them, or behind if blocks begin with them."""
    done: list[Op | Split] = []
    waiting: list[Op] = []

    def rest() -> list[Op]:
        return [replace(waiting[-1], label=", ".join(note.label for note in waiting))] if waiting else []

    for it in steps:
        last = done[-1] if done else None
        if isinstance(it, Op) and it.form[0] == "note":
            if isinstance(last, Op) and last.form[0] != "note" and not last.before and not waiting:
                done[-1] = replace(last, after=(*last.after, it.label))
            else:
                waiting.append(it)
        elif isinstance(it, Op) and it.kind != "join":
            done.append(replace(it, before=tuple(note.label for note in waiting)))
            waiting = []
        else:
            done += [*rest(), it]
            waiting = []
    return (*done, *rest())


def form(steps: Series, exact: bool = False) -> tuple[Any, ...]:
    """What makes blocks one kind; with `exact`, the strides too."""

    def of(it: Op | Split) -> tuple[Any, ...]:
        if isinstance(it, Split):
            return (it.join.form, *(form(branch, exact) for branch in it.branches))
        return (*it.form, bool(it.before), it.label.partition("/")[2] if exact else "")

    return tuple(map(of, steps))
