"""What is explained: a class's score, or a unit of a map; and how either changes with the picture."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..mistake import Mistake

What = Callable[[nn.Module, Tensor], Tensor]  # a network and pictures (N, C, H, W) to a number for each, (N,)


@dataclass(frozen=True)
class Score:
    """The score of a class, before the softmax: of `target` for all pictures, of (N,) classes for each its own, or the best of each."""

    target: int | Tensor | None = None

    def __call__(self, net: nn.Module, x: Tensor) -> Tensor:
        said = net(x)
        best = said.argmax(1) if self.target is None else torch.as_tensor(self.target).expand(len(said))
        return said.gather(1, best[:, None])[:, 0]


@dataclass(frozen=True)
class Unit:
    """Of the `map`-th map that `layer` gives, the unit at `place` (row, column), or the strongest of each picture's."""

    layer: str
    map: int
    place: tuple[int, int] | None = None

    def __call__(self, net: nn.Module, x: Tensor) -> Tensor:
        maps = as_maps(given(net, x, self.layer), self.layer, self.map)
        own = maps[:, self.map]
        if self.place and not all(0 <= at < side for at, side in zip(self.place, own.shape[1:], strict=True)):
            raise Mistake(f"the maps of {self.layer} are of {own.shape[1]} x {own.shape[2]}; there is no place {self.place}.")
        return own.flatten(1).amax(1) if self.place is None else own[:, self.place[0], self.place[1]]


class Reached(Exception):
    """The layer that was asked about has answered; what comes after it need not be computed."""


def layer_of(net: nn.Module, name: str) -> nn.Module:
    try:
        return net.get_submodule(name)
    except AttributeError:
        names = [name for name, _ in net.named_modules() if name.count(".") < 2 and name]
        raise Mistake(f"no layer {name!r} in {type(net).__name__}; there are: {', '.join(names)}.") from None


def given(net: nn.Module, x: Tensor, layer: str) -> Tensor:
    """What a layer, by its name in the network, gives for pictures x."""
    found: list[Tensor] = []

    def keep(*args: Any) -> None:
        found.append(args[2])
        raise Reached

    handle = layer_of(net, layer).register_forward_hook(keep)
    try:
        net(x)
    except Reached:
        pass
    finally:
        handle.remove()
    if not found:
        raise Mistake(f"{layer} of {type(net).__name__} does not take part.")
    return found[0]


def as_maps(out: Tensor, layer: str, *maps: int) -> Tensor:
    """What a layer gave, (N, C, H, W). Raises Mistake if it is no maps, or has not all of these."""
    if out.ndim != 4:
        raise Mistake(f"{layer} gives no maps, but values {tuple(out.shape[1:])}; name a layer before that.")
    if beyond := [m for m in maps if not 0 <= m < out.shape[1]]:
        raise Mistake(f"{layer} gives {out.shape[1]} maps, counted from 0; there is no map {beyond[0]}.")
    return out


def gradient(net: nn.Module, x: Tensor, what: What, rule: AbstractContextManager[Any] | None = None) -> Tensor:
    """How `what` of each picture changes with its values, like x; by another `rule` of going back, if one is given."""
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad(), rule or nullcontext():
        (found,) = torch.autograd.grad(what(net, x).sum(), x)
    return found
