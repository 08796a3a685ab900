"""The training loop: one, for every recipe. It yields after each step; what to do then is the caller's business."""

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .data.batches import Batches
from .models.net import Net
from .recipes import Recipe

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h


@dataclass(frozen=True)
class Step:
    """What a step did: `n` steps are now done, the last at `rate` with `loss`, a tensor: reading it is the caller's choice to wait."""

    n: int
    loss: Tensor
    rate: float


def fit(
    net: nn.Module,
    recipe: Recipe,
    batches: Batches,
    opt: torch.optim.Optimizer | None = None,
    start: int = 0,
    errors: Sequence[float] = (),
) -> Iterator[Step]:
    """Trains `net` in place from step `start` to the recipe's last, and yields after each.

    Step n sees `batches[n]` and nothing depends on what came before but the network, `opt` and torch's own generator;
    whoever keeps these three can go on from any step to the same bits. Schedules that wait for a plateau read `errors`,
    to which the caller appends the test errors it measures.
    """
    opt = opt or recipe.optimiser(net)
    learn(net, recipe)
    for n in range(start, recipe.steps):
        if not net.training:
            learn(net, recipe)
        recipe.optimiser.look(opt, net, batches, n)
        x, y = batches[n]
        rate = recipe.rate(n, recipe.steps, errors)
        for group in opt.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        loss = step_loss(net, recipe, x, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if isinstance(net, Net):
            net.after_step()
        yield Step(n + 1, loss.detach(), rate)


def step_loss(net: nn.Module, recipe: Recipe, x: Tensor, y: Tensor) -> Tensor:
    """The loss of a batch, in the recipe's precision and layout of memory."""
    if recipe.layout == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        found = net(x)
    return recipe.loss(found.float(), y)


def learn(net: nn.Module, recipe: Recipe) -> None:
    """Training mode, but for batch norms whose statistics the recipe keeps."""
    net.train()
    if recipe.tuning is not None and recipe.tuning.kept_norms:
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()


def keep_memory() -> None:
    """Lets glibc keep the memory of a step for the next one, for as long as the process lives; other systems' allocators are left alone.

    By default each large map is given back to the system and its pages are asked for anew: a fifth of a step of ResNet-20.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    for option, value in ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, (1 << 31) - 1), (M_TOP_PAD, 1 << 26)):
        if mallopt is not None:
            mallopt(option, value)


@contextmanager
def machine(recipe: Recipe) -> Iterator[None]:
    """The processor set up as the recipe wants it, and afterwards as it was.

    A batch of one gives oneDNN nothing to share out: without it a step of LeNet-5 takes 0.74 ms instead of 1.36. Gradients
    of what is learned already are smaller than normal numbers reach; taken for zero, they save a fifth of a step late in a run.
    """
    threads, onednn = torch.get_num_threads(), torch.backends.mkldnn.enabled
    torch.set_num_threads(recipe.threads or threads)
    torch.backends.mkldnn.enabled = recipe.batch > 1
    keep_memory()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.mkldnn.enabled = onednn
        torch.set_flush_denormal(False)
