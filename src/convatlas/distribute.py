"""Several processes that train one network together, each on its share of every batch: who they are and what they tell each other.

They are torch.distributed's group, whoever made it: torchrun, Ray, or `joined`. Alone, every word here costs nothing and does nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from warnings import catch_warnings

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .mistake import Mistake

BACKENDS = "cpu:gloo,cuda:nccl"
ASKED = 0.25  # seconds from one question, whether to stop, to the next
PATIENCE = timedelta(minutes=10)  # for one that does not answer; a process that has died is noticed at once


@dataclass(frozen=True)
class Team:
    """`rank` is this process's number in 0..ranks-1, `local` how many of them share this machine. Rank 0 leads: it alone writes."""

    rank: int = 0
    ranks: int = 1
    local: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """An accelerator of its own for each process of a machine that has CUDA, else the processor."""
        if not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())

    @property
    def cores(self) -> int:
        """This process's share of the machine's cores."""
        return max(1, (os.cpu_count() or 1) // self.local)

    def share(self, count: int) -> slice:
        """This process's part of `count` things; all parts together are the whole, in the order of the ranks."""
        return slice(count * self.rank // self.ranks, count * (self.rank + 1) // self.ranks)

    def fair(self, batch: int) -> None:
        """Raises Mistake if a batch cannot be shared out evenly: the mean of the shares' losses would not be that of the batch."""
        if batch % self.ranks:
            raise Mistake(f"recipe.batch is {batch}, which {self.ranks} workers cannot share evenly; take another number of either.")

    def wrapped(self, net: nn.Module) -> nn.Module:
        """`net`, or what trains it as one with its twins in the other processes.

        Buffers are not sent at each step, as the statistics of norms are not looked at before a test: see `level`.
        """
        if self.ranks == 1:
            return net
        devices = [self.device] if self.device.type == "cuda" else None
        with catch_warnings(action="ignore", category=FutureWarning):  # newer ones call it otherwise, older ones do not
            return DistributedDataParallel(net, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True)

    def most(self, *values: float) -> list[float]:
        """The largest of what any process says, for each of the values."""
        if self.ranks == 1:
            return list(values)
        said = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return said.tolist()

    def mean(self, value: Tensor) -> Tensor:
        if self.ranks == 1:
            return value
        return total_of(value) / self.ranks

    def gather(self, part: Tensor, count: int) -> list[Tensor]:
        """Every process's part of `count` rows, as `share` gave them out, in the order of the ranks."""
        if self.ranks == 1:
            return [part]
        lengths = [len(range(count)[replace(self, rank=rank).share(count)]) for rank in range(self.ranks)]
        padded = part.new_zeros(max(lengths), *part.shape[1:])
        padded[: len(part)] = part
        found = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(found, padded)
        return [tensor[:length] for tensor, length in zip(found, lengths, strict=True)]

    def level(self, net: nn.Module) -> None:
        """Gives all the leader's weights, which they have already, and the statistics that its norms gathered."""
        if self.ranks > 1:
            for tensor in net.state_dict().values():
                dist.broadcast(tensor, 0)


class Agreement:
    """Whether to stop, as any process may want, and whether to save, as the leader says; so that all do it after the same step.

    They ask each other a few times a second only, at steps that the leader names by its speed: a word costs as much as a small step.
    """

    def __init__(self, team: Team):
        self.team, self.next = team, 0

    def __call__(self, step: int, stop: bool, save: bool, speed: float) -> tuple[bool, bool]:
        """What all will do after this step; `speed` is in steps per second."""
        if step < self.next:
            return False, False
        wait = speed * ASKED if self.team.ranks > 1 else 0
        any_stop, any_save, steps = self.team.most(stop, *((save, wait) if self.team.leads else (0, 0)))
        self.next = step + max(1, int(steps))
        return bool(any_stop), bool(any_save)


def here() -> Team:
    """The team that this process is in; of one, if nothing has made another."""
    if not dist.is_initialized():
        return Team()
    return Team(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def launched() -> bool:
    """Whether torchrun, or what gives the same variables, began this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


@contextmanager
def joined() -> Iterator[Team]:
    """The team that torchrun's variables speak of, for as long as the block lasts; or the one that is there already."""
    if dist.is_initialized() or not launched():
        yield here()
        return
    dist.init_process_group(BACKENDS if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    try:
        if here().device.type == "cuda":
            torch.cuda.set_device(here().device)
        yield here()
    finally:
        dist.destroy_process_group()


def total_of(x: Tensor) -> Tensor:
    total = x.clone()
    dist.all_reduce(total)
    return total


class Summed(torch.autograd.Function):
    """The sum of all processes' tensors, whose gradient is the sum of theirs. Torch has marked its own as going away."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return total_of(x)

    @staticmethod
    def backward(_: Any, grad: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]: there is one
        return total_of(grad)


class SyncNorm(nn.BatchNorm2d):
    """A batch norm whose mean and variance are those of all processes' pictures together. Torch's own does that on accelerators only,
    and its kind is refused on processors.

    The processes must have equally many pictures each. A variance is put together from every process's mean and variance, in float64
    where a difference of squares costs nothing.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        x = input
        if not self.training or here().ranks == 1:
            return super().forward(x)
        var, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
        own = torch.stack([mean.double(), var.double() + mean.double().square()])
        mean, square = Summed.apply(own) / here().ranks
        var = square - mean.square()
        self.remember(mean, var, x.numel() // x.shape[1] * here().ranks)
        scale = (var + self.eps).rsqrt().float() * self.weight
        shift = self.bias - mean.float() * scale
        return (x.float() * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def remember(self, mean: Tensor, var: Tensor, n: int) -> None:
        """The moving averages, of which the variance is that of a sample, as torch has it."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / int(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_((var * (n / (n - 1))).to(self.running_var), share)


def sync_norms(net: nn.Module) -> None:
    """Makes every batch norm of `net` a `SyncNorm`, in place; names, weights and statistics stay."""
    for layer in net.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = SyncNorm
