"""An order of pictures in which those that a network knows already sit out every other pass."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..mistake import Mistake
from .batches import Order, generator


@dataclass(frozen=True, kw_only=True)
class Rest:
    """From the share `start` of a run on, the `share` of the pictures with the least loss when last seen sits out every other pass."""

    share: float
    start: float

    def __post_init__(self) -> None:
        for name in ("share", "start"):
            if not 0 <= getattr(self, name) < 1:
                raise Mistake(f"rest.{name} is {getattr(self, name)}; it must be at least 0 and less than 1.")


class Resting(Order):
    """The endless row of an `Order`, whose passes from the `first` on are a short one and a whole one in turns.

    Who rests in a short pass is settled when its first place is read, by the losses that `heard` has told until then. So places are
    read in order, no further back than the pass that was read last, and `state` is what has to be kept to go on from anywhere.
    """

    def __init__(self, count: int, seed: int, share: float, first: int):
        super().__init__(count, seed)
        self.resting, self.first, self.pass_ = round(share * count), first, first - 1
        self.losses = torch.full((count,), float("inf"))
        self.sitting = torch.zeros(count, dtype=torch.bool)
        self.before = torch.full((count,), first - 1)  # how often each was seen before this pass

    def heard(self, rows: Tensor, losses: Tensor) -> None:
        self.losses[rows] = losses.to(self.losses)

    def state(self) -> dict[str, Any]:
        return {"pass": self.pass_, "losses": self.losses, "sitting": self.sitting, "before": self.before}

    def restore(self, state: dict[str, Any]) -> None:
        self.pass_, self.losses, self.sitting, self.before = (state[key] for key in self.state())

    def place(self, at: int) -> tuple[int, int]:
        """The pass that a place of the row belongs to, and its place in that."""
        later, short = at - self.first * self.count, self.count - self.resting
        if later < 0:
            return divmod(at, self.count)
        pair, at = divmod(later, short + self.count)
        return (self.first + 2 * pair, at) if at < short else (self.first + 2 * pair + 1, at - short)

    def order(self, pass_: int) -> Tensor:
        """The pictures of a pass, in its order."""
        if self.drawn[0] != pass_:
            if pass_ > self.pass_:
                self.enter(pass_)
            order = torch.randperm(self.count, generator=generator(self.seed, pass_))
            self.drawn = pass_, order[~self.sitting[order]] if pass_ >= self.first else order
        return self.drawn[1]

    def enter(self, pass_: int) -> None:
        self.before = self.before + ~self.sitting
        self.pass_, self.sitting = pass_, torch.zeros_like(self.sitting)
        if (pass_ - self.first) % 2 == 0:
            self.sitting[self.losses.argsort(stable=True)[: self.resting]] = True

    def rows(self, start: int, count: int) -> Tensor:
        taken = []
        while count > 0:
            pass_, at = self.place(start)
            rows = self.order(pass_)[at : at + count]
            seen = self.before[rows] if pass_ >= self.first else torch.full_like(rows, pass_)
            taken.append(torch.stack([rows, seen]))
            start, count = start + len(rows), count - len(rows)
        return torch.cat(taken, 1)
