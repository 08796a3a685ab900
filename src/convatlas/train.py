"""The training loop: one, for every recipe. It yields after each step; what to do then is the caller's business."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.nn.parallel import DistributedDataParallel

from .data.batches import Batches, generator
from .data.crops import Crops
from .machine import keep_memory
from .models.net import Net
from .recipes import Average, Recipe


@dataclass(frozen=True)
class Step:
    """What a step did: `n` steps are now done, the last at `rate` with `loss`, a tensor: reading it is the caller's choice to wait."""

    n: int
    loss: Tensor
    rate: float


def fit(
    net: nn.Module,
    recipe: Recipe,
    batches: Batches | Crops,
    opt: torch.optim.Optimizer | None = None,
    start: int = 0,
    errors: Sequence[float] = (),
    average: "Averaged | None" = None,
    through: nn.Module | None = None,
) -> Iterator[Step]:
    """Trains `net` in place from step `start` to the recipe's last, and yields after each.

    Step n sees `batches[n]` and nothing depends on what came before but the network, `opt`, `average` and torch's own generator;
    whoever keeps these can go on from any step to the same bits. Schedules that wait for a plateau read `errors`, to which the
    caller appends the test errors it measures. `average` follows the weights. `through` is `net` in a wrapper that pictures go
    through instead, such as DistributedDataParallel; `batches` then give each process its share.
    """
    opt, through, whole = opt or recipe.optimiser(net), through or net, batches.whole
    if recipe.prepare and start == 0 and isinstance(net, Net):
        recipe.prepare(net, whole)
    learn(net, recipe)
    for n in range(start, recipe.steps):
        if not net.training:
            learn(net, recipe)
        recipe.optimiser.look(opt, net, whole, n)
        rate = recipe.rate(n, recipe.steps, errors)
        for group in opt.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        opt.zero_grad()
        loss = backward(
            through, recipe, *pictures(recipe, batches, n), batches.heard if recipe.rest and isinstance(batches, Batches) else None
        )
        if recipe.clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), recipe.clip)
        opt.step()
        if isinstance(net, Net):
            net.after_step()
        if average:
            average.see(net, n + 1)
        yield Step(n + 1, loss, rate)


def pictures(recipe: Recipe, batches: Batches | Crops, n: int) -> tuple[Tensor, Tensor]:
    """Batch n as step n sees it: blended and resized as the recipe says. Classes (N,), or their shares (N, classes).

    Of several processes, each is given its share of what one alone would see. Only pictures from the disk are blended within a
    share: a process does not read what it does not train on.
    """
    shared = batches if recipe.mix is not None and isinstance(batches, Batches) else None
    x, y = shared.whole[n] if shared else batches[n]
    size = next((size for share, size in reversed(recipe.sizes) if n >= share * recipe.steps), x.shape[2])
    if size != x.shape[2]:
        x = interpolate(x, (size, size), mode="bilinear", antialias=True)
    if recipe.mix is not None:
        x, y = recipe.mix(x, y, len(batches.classes), generator(batches.seed, n))
    return (x[shared.share], y[shared.share]) if shared else (x, y)


def backward(net: nn.Module, recipe: Recipe, x: Tensor, y: Tensor, heard: Callable[[Tensor], None] | None = None) -> Tensor:
    """The mean loss of a batch, whose gradients it leaves in the weights; in as many parts as the recipe wants.

    Processes that train together add up their gradients once, with the last part. `heard` is told how far each picture is from its
    class: the cross-entropy (N,) of a whole batch.
    """
    if recipe.accumulate == 1:
        scores = answers(net, recipe, x)
        loss = recipe.loss(scores, y)
        loss.backward()
        if heard:
            heard(cross_entropy(scores.detach(), y, reduction="none"))
        return loss.detach()
    losses = []
    parts = list(zip(x.chunk(recipe.accumulate), y.chunk(recipe.accumulate), strict=True))
    for i, (part, classes) in enumerate(parts, 1):
        with net.no_sync() if isinstance(net, DistributedDataParallel) and i < len(parts) else nullcontext():
            loss = step_loss(net, recipe, part, classes) * (len(part) / len(x))
            loss.backward()
        losses.append(loss.detach())
    return torch.stack(losses).sum()


def step_loss(net: nn.Module, recipe: Recipe, x: Tensor, y: Tensor) -> Tensor:
    return recipe.loss(answers(net, recipe, x), y)


def answers(net: nn.Module, recipe: Recipe, x: Tensor) -> Any:
    """What the network says of a batch, in the recipe's precision and layout of memory: scores, or a tuple of them with auxiliary heads."""
    if recipe.layout == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        found = net(x)
    return found.float() if isinstance(found, Tensor) else type(found)(*(part.float() for part in found))


class Averaged:
    """A network whose weights and statistics are the mean that `Average` describes of those that another one goes through."""

    def __init__(self, net: Net, how: Average, steps: int):
        self.net, self.how, self.begin, self.count = deepcopy(net).requires_grad_(requires_grad=False).eval(), how, how.start * steps, 0

    @torch.no_grad()
    def see(self, net: nn.Module, n: int) -> None:
        """Takes in the weights after step `n`, if it is their turn."""
        if n < self.begin or n % self.how.every:
            return
        self.count += 1
        share = 1 / self.count if self.how.decay is None else 1 - min(self.how.decay, (1 + self.count) / (10 + self.count))
        mine, theirs = ([*net.parameters(), *net.buffers()] for net in (self.net, net))
        pairs = list(zip(mine, theirs, strict=True))
        whole = [(a, b) for a, b in pairs if not a.is_floating_point()]
        a, b = zip(*((a, b) for a, b in pairs if a.is_floating_point()), strict=True)
        torch._foreach_lerp_(a, b, share)  # pyright: ignore[reportPrivateImportUsage]: as torch's own do
        for old, new in whole:
            old.copy_(new)


@torch.no_grad()
def recalibrate(net: nn.Module, recipe: Recipe, batches: Batches | Crops) -> None:
    """Batch norms that learn take the mean statistics of the `recalibrate` batches after the run's last, not their moving averages.

    That is what He et al.'s released nets have ("exact" averages), and what averaged weights need.
    """
    learn(net, recipe)
    norms = [layer for layer in net.modules() if isinstance(layer, nn.BatchNorm2d) and layer.training]
    before = [layer.momentum for layer in norms]
    net.eval()
    for layer in norms:
        layer.reset_running_stats()
        layer.train().momentum = None  # the plain mean
    for n in range(recipe.steps, recipe.steps + recipe.recalibrate):
        step_loss(net, recipe, *batches[n])
    for layer, momentum in zip(norms, before, strict=True):
        layer.eval().momentum = momentum


def learn(net: nn.Module, recipe: Recipe) -> None:
    """Training mode, but for batch norms whose statistics the recipe keeps."""
    net.train()
    if recipe.tuning is not None and recipe.tuning.kept_norms:
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()


def in_layout(net: Net, recipe: Recipe) -> Net:
    return net.to(memory_format=torch.channels_last) if recipe.layout == "channels_last" else net


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
