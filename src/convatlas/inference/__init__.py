"""Trained networks at their fastest: lean twins (models/lean.py) on the engines that run them."""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx, nn

from ..machine import keep_memory
from ..mistake import Mistake
from ..models.lean import lean
from .plain import Plain
from .plans import Plan, Way, finer, first_plans, key, race, recall, remember

if TYPE_CHECKING:
    import openvino as ov

BOUNDS = {"fp32": 1e-4, "bf16": 2e-2}  # how far a twin's answers may be from the network's, as a share of the largest score


@dataclass(frozen=True)
class Fast:
    """A twin of a trained network, for inference: float32 pictures (N, C, H, W), normalised as the network takes them, to (N, classes).

    `plan` is how it runs, and `seconds` what each way took that was tried; nothing, where the choice was remembered.
    """

    plan: Plan
    way: Way
    seconds: dict[Plan, float]

    def __call__(self, x: Tensor) -> Tensor:
        return self.way(x)


def fast(net: nn.Module, precision: str = "auto", batch: int = 1, size: int | None = None, pictures: Tensor | None = None) -> Fast:
    """The fastest twin of `net` here for batches of `batch` pictures, found by trying and remembered for the next time.

    `precision` is "fp32", "bf16" or, for whichever is faster, "auto". `size` is the pictures' height and width, by default the network's
    own. `pictures` (N, C, H, W) as the network takes them are what the twin is compared by, else noise: its answers must lie within 1e-4
    (fp32) or 2e-2 (bf16) of the network's, as a share of the largest. Any number of pictures can be asked about later; `batch` of them
    are quickest. On Linux the process keeps its memory from now on (machine.keep_memory). Raises Mistake for another precision, and
    where no way is exact enough.
    """
    if precision not in ("auto", *BOUNDS):
        raise Mistake(f"no precision {precision!r}; there are: auto, {', '.join(BOUNDS)}.")
    keep_memory()
    net = deepcopy(net).eval() if net.training else net
    shape = (channels(net), *2 * (size or getattr(net, "size", 224),))
    engines = Engines(lean(net), shape)
    weights = [tuple(p.shape) for p in engines.twin.parameters()]
    name = key(engines.twin.code, weights, shape, batch, precision)
    if plan := recall(name):
        return Fast(plan, engines.way(plan), {})
    noise = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))
    precisions = tuple(BOUNDS) if precision == "auto" else (precision,)
    ways = exact(engines.ways(first_plans(precisions, batch)), net, noise if pictures is None else pictures)
    if not ways:
        raise Mistake(f"no way of {type(net).__name__} in {' or '.join(precisions)} is exact enough: try precision fp32.")
    seconds = race(ways, noise)
    best = min(seconds, key=seconds.__getitem__)
    if closer := finer(best, batch, torch.get_num_threads()):
        ways |= engines.ways(closer)
        seconds |= race({plan: ways[plan] for plan in (best, *closer)}, noise)
        best = min((best, *closer), key=seconds.__getitem__)
    remember(name, best, seconds)
    return Fast(best, ways[best], seconds)


def channels(net: nn.Module) -> int:
    return next(layer.in_channels for layer in net.modules() if isinstance(layer, nn.Conv2d))


@torch.inference_mode()
def exact(ways: dict[Plan, Way], net: nn.Module, x: Tensor) -> dict[Plan, Way]:
    """Those that answer as the network does, within their precision's bound."""
    wanted = net(x)
    bounds = {plan: BOUNDS[plan.precision] * wanted.abs().max() for plan in ways}
    return {plan: way for plan, way in ways.items() if (way(x) - wanted).abs().max() <= bounds[plan]}


class Engines:
    """Makes ways of one twin, for pictures (C, H, W) of one `shape`."""

    def __init__(self, twin: fx.GraphModule, shape: tuple[int, ...]):
        self.twin, self.shape = twin, shape

    def ways(self, plans: list[Plan]) -> dict[Plan, Way]:
        return {plan: self.way(plan) for plan in plans}

    def way(self, plan: Plan) -> Way:
        if plan.engine == "plain":
            return Plain(deepcopy(self.twin), plan.precision)
        from .openvino import Compiled

        compiled = Compiled(self.model, plan.precision, plan.chunk, plan.streams, torch.get_num_threads())
        return lambda x: torch.from_numpy(compiled(x.numpy()))

    @cached_property
    def model(self) -> "ov.Model":
        from .openvino import convert

        return convert(self.twin, self.shape)
