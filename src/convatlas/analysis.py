"""What a network costs and how far it sees, read off the network itself.

Counting rules, each over one picture:
  parameters   numbers that training changes; a layer that is used twice is counted once.
  macs         multiply-accumulates of the layers that multiply by a weight matrix or kernel (convolution, linear, RBF):
               each weight, times the places it is used at. Biases, norms, pools and activations are not counted.
  connections  LeCun's: every input of every unit that has trained or fixed weights, and the unit's bias.
  activations  numbers that come out of a layer.
  field        receptive field: pixels of the input, along one side, that one unit can see through windows. Padding counts as seen;
               a gate does not, which has seen the whole picture and scales every place alike (squeeze and excitation).
  jump         pixels of the input between neighbouring units.
"""

import operator
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

LARGEST = 1 << 16  # pixels of a side
Shape = tuple[int, ...]  # of one picture or map: (C, H, W), or (C,) once flat


@dataclass(frozen=True)
class Layer:
    """One layer: what it is called, what goes in (C, H, W) and comes out, what that costs and how far it sees."""

    name: str
    kind: str
    given: tuple[int, ...]
    shape: tuple[int, ...]
    parameters: int
    macs: int
    connections: int
    activations: int
    field: int
    jump: int


@dataclass(frozen=True)
class Analysis:
    """The layers of a network in the order that a picture meets them, and what they add up to."""

    layers: tuple[Layer, ...]
    size: tuple[int, int]  # height and width of the picture
    counts: tuple[str, ...]  # the totals that matter for this network
    resident: int  # numbers held whatever the batch: parameters and buffers
    peak: int  # most numbers alive at once in a forward pass that frees what it no longer needs
    saved: int  # numbers that a training step keeps for its backward pass

    def total(self, quantity: str) -> int:
        """The sum of "parameters", "macs", "connections" or "activations" over all layers."""
        return sum(getattr(layer, quantity) for layer in self.layers)

    @property
    def parameters(self) -> int:
        return self.total("parameters")

    @property
    def macs(self) -> int:
        return self.total("macs")

    @property
    def totals(self) -> dict[str, int]:
        return {quantity: self.total(quantity) for quantity in (*self.counts, "activations")}

    def inference_bytes(self, batch: int = 1) -> int:
        """Memory of a forward pass in float32: the network, and the most that is alive at once. Work space not counted."""
        return 4 * (self.resident + batch * self.peak)

    def training_bytes(self, batch: int = 1) -> int:
        """Memory of a step of SGD with momentum in float32: weights, gradients, momenta, and every output kept for the way back."""
        return 4 * (self.resident + 2 * self.parameters + batch * self.saved)


@dataclass(frozen=True)
class View:
    """What the first unit of a map sees: pixels `low` to `high` of the input. Its neighbour sees the same, `jump` pixels on."""

    low: int = 0
    high: int = 0
    jump: int = 1

    def through(self, kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> "View":
        low = self.low - padding * self.jump
        return View(low, self.high + (dilation * (kernel - 1) - padding) * self.jump, self.jump * stride)

    def join(self, other: "View") -> "View":
        """Of two branches that are added or stacked."""
        return View(min(self.low, other.low), max(self.high, other.high), max(self.jump, other.jump))


def side(value: Any) -> int:
    """A hyper-parameter along the first side: 3 of 3, of (3, 3) and of (3, 1)."""
    return side(value[0]) if isinstance(value, tuple | list) else value


def seen(view: View, layer: Any, given: Shape, shape: Shape) -> View:
    """What a unit sees through one more layer, which turned a map of shape `given` into one of `shape`."""
    if len(given) < 3:
        return view
    if len(shape) < 3:  # flattened or averaged: every place at once
        return replace(view, high=view.high + (given[1] - 1) * view.jump)
    if hasattr(layer, "kernel_size"):
        kernel, dilation = side(layer.kernel_size), side(getattr(layer, "dilation", 1))
        padding = getattr(layer, "padding", 0)
        if isinstance(padding, str):
            padding = dilation * (kernel - 1) // 2 if padding == "same" else 0
        return view.through(kernel, side(getattr(layer, "stride", 1)), side(padding), dilation)
    # Adaptive pools and slices with a step, known by how they shrink the map; all else looks at a single place.
    # Of a map that is one unit there is no neighbour, so its jump stays that of the map it was made from.
    stride = max(1, round(given[1] / shape[1])) if shape[1] > 1 else 1
    return view.through(1 if layer is operator.getitem else given[1] - (shape[1] - 1) * stride, stride)


def weight_of(layer: Any) -> Tensor | None:
    """The matrix or kernel that a layer multiplies its input by, if it does that."""
    weight = getattr(layer, "weight", None)
    return weight if isinstance(weight, Tensor) and weight.dim() > 1 and not isinstance(layer, nn.LayerNorm) else None


def connections(layer: nn.Module, shape: Shape, macs: int) -> int:
    own = dict(layer.named_parameters(recurse=False))
    if not own and not macs:
        return 0
    inputs = macs or prod(shape) * side(getattr(layer, "kernel_size", 1)) ** 2
    return inputs + prod(shape[1:]) * (own["bias"].numel() if "bias" in own else 0)


WINDOWED: dict[Any, tuple[str, ...]] = {  # functions that act as layers, and the order of their arguments after the first
    F.conv2d: ("weight", "bias", "stride", "padding", "dilation"),
    F.linear: ("weight", "bias"),
    F.max_pool2d: ("kernel_size", "stride", "padding", "dilation"),
    F.avg_pool2d: ("kernel_size", "stride", "padding"),
}


POINTWISE = (nn.modules.batchnorm._BatchNorm, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid)


class Layers(fx.Tracer):
    """Traces down to layers: modules of PyTorch's own, and modules without children."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or next(m.children(), None) is None


class Walk(fx.Interpreter):
    """Runs a network once, layer by layer, noting what comes out of each."""

    def __init__(self, net: nn.Module):
        super().__init__(fx.GraphModule(net, Layers().trace(net)))
        self.layers: list[Layer] = []
        self.views: dict[fx.Node, View] = {}
        self.counted: set[int] = set()
        self.peak = self.saved = 0

    def run_node(self, n: fx.Node) -> Any:
        inputs = [self.env[source] for source in n.all_input_nodes]
        out = super().run_node(n)
        maps = [x for x in inputs if isinstance(x, Tensor)]
        largest = max((x.shape[2:].numel() for x in maps), default=0)  # what is joined to it and smaller is a gate
        sources = [s for s in n.all_input_nodes if not isinstance(x := self.env[s], Tensor) or x.shape[2:].numel() == largest]
        view = reduce(View.join, (self.views[source] for source in sources)) if sources else View()
        if n.op.startswith("call_") and isinstance(out, Tensor) and maps:
            view = self.step(n, view, tuple(maps[0].shape[1:]), out)
            shared = {x.untyped_storage()._cdata for x in maps}  # an activation in place and a view take no memory of their own
            self.saved += 0 if out.untyped_storage()._cdata in shared else prod(out.shape[1:])
        self.views[n] = view
        alive = {x.untyped_storage()._cdata: prod(x.shape[1:]) for x in (*self.env.values(), out) if isinstance(x, Tensor)}
        self.peak = max(self.peak, sum(alive.values()))
        return out

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer = self.fetch_attr(target)
        # What is plain from the shapes is not asked of the meta device, which takes milliseconds for it, and a second for the first time.
        if isinstance(layer, POINTWISE):
            return args[0] if getattr(layer, "inplace", False) else torch.empty_like(args[0])
        if isinstance(layer, nn.Linear) and args[0].shape[-1] == layer.in_features:
            return args[0].new_empty((*args[0].shape[:-1], layer.out_features))
        return super().call_module(target, args, kwargs)

    def step(self, n: fx.Node, view: View, given: Shape, out: Tensor) -> View:
        shape, layer, name = tuple(out.shape[1:]), n.target, n.name
        if n.op == "call_module":
            layer, name = self.fetch_attr(str(n.target)), str(n.target)
        elif n.target in WINDOWED:
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            named = dict(zip(WINDOWED[n.target], args[1:], strict=False)) | kwargs
            layer = SimpleNamespace(**{key: value for key, value in named.items() if value is not None})
            if hasattr(layer, "weight"):
                layer.kernel_size = layer.weight.shape[2:] or 1
            layer.stride = getattr(layer, "stride", 1 if hasattr(layer, "weight") else layer.kernel_size)
        view = seen(view, layer, given, shape)
        weight = weight_of(layer)
        if n.op == "call_module" or weight is not None:
            self.note(name, layer, given, shape, view, weight.numel() * prod(shape[1:]) if weight is not None else 0)
        return view

    def note(self, name: str, layer: Any, given: Shape, shape: Shape, view: View, macs: int) -> None:
        module = isinstance(layer, nn.Module)
        own = {id(p): p.numel() for p in (layer.parameters() if module else vars(layer).values()) if isinstance(p, nn.Parameter)}
        fresh = own.keys() - self.counted
        self.counted |= fresh
        self.layers.append(
            Layer(
                name=name,
                kind=type(layer).__name__ if module else "function",
                given=given,
                shape=shape,
                parameters=sum(own[key] for key in fresh),
                macs=macs,
                connections=connections(layer, shape, macs) if module else macs,
                activations=prod(shape),
                field=view.high - view.low + 1,
                jump=view.jump,
            )
        )


def on_meta(net: nn.Module) -> nn.Module:
    """A copy of `net` whose tensors have shapes but no memory; `net` itself is left alone, and nothing large is copied."""
    shells: dict[int, Any] = {id(p): nn.Parameter(p.to("meta"), p.requires_grad) for p in net.parameters()}
    shells |= {id(b): b.to("meta") for b in net.buffers()}
    return deepcopy(net, shells)


@torch.no_grad()
def analyse(net: nn.Module, size: int | tuple[int, int] | None = None, channels: int | None = None) -> Analysis:
    """The layers of any torch.fx-traceable network, and what they cost, on pictures of `size` pixels (height, width).

    `size` and `channels` are by default those that the network was published for. No weights are allocated and nothing
    is computed: shapes are enough. The network may stand on the meta device.
    Raises ValueError where the pictures do not fit the network, and names the place.
    """
    if size is None:
        size = int(getattr(net, "size", 224))
    height, width = size if isinstance(size, tuple) else (size, size)
    if not (0 < height <= LARGEST and 0 < width <= LARGEST):
        raise ValueError(f"pictures of {height} x {width} pixels are not analysed; a side is 1 to {LARGEST:,}")
    channels = channels or next((m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d)), 3)
    twin = on_meta(net).eval()
    walk = Walk(twin)
    try:
        kind = next((p.dtype for p in twin.parameters()), None)
        walk.run(torch.zeros(1, channels, height, width, dtype=kind, device="meta"))
    except RuntimeError as error:
        place = f"after {walk.layers[-1].name}" if walk.layers else "at its start"
        reason = str(error).splitlines()[0]
        raise ValueError(f"pictures of {channels} x {height} x {width} do not fit this network, {place}: {reason}") from error
    resident = sum(t.numel() for t in (*twin.parameters(), *twin.buffers()))
    counts = getattr(net, "counts", ("parameters", "macs"))
    return Analysis(tuple(walk.layers), (height, width), counts, resident, walk.peak, walk.saved)
