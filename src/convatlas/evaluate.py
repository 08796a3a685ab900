"""How often a network is wrong, and how sure one can be of that."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor, nn

from .data.batches import Preprocess
from .intervals import Interval, wilson
from .protocols import Protocol, join, named

PIXELS = 2**20  # a batch of views that keeps the network's maps within a few hundred MB


@dataclass(frozen=True)
class Evaluation:
    """Errors in percent over `n` pictures; `interval` is Wilson's, at 95 %, of the top-1 error."""

    top1_error: float
    top5_error: float
    n: int
    interval: Interval
    protocol: str = "single view"


@torch.inference_mode()
def scores(net: nn.Module, x: Tensor, preprocess: Preprocess, batch: int = 500, protocol: str | Protocol = "single view") -> Tensor:
    """The scores (N, classes) of a network in evaluation mode for pictures x (N, C, H, W) uint8, `batch` or fewer at a time.

    By a protocol that means probabilities they are the logarithms of the mean. Raises Mistake for one that there is not, or not for
    this network.
    """
    how = named(protocol) if isinstance(protocol, str) else protocol
    through = how.through(net.eval())
    x = x if how.whole(preprocess.size) else preprocess.place(x)
    parts = x.split(min(batch, max(1, PIXELS // preprocess.size**2)))
    return torch.cat([answer(through, part, preprocess, how) for part in parts])


def scores_each(net: nn.Module, pictures: Iterable[Tensor], preprocess: Preprocess, protocol: str | Protocol) -> Tensor:
    """`scores` of pictures (C, H, W) uint8 of any sizes, in their order; those of one size that come in a row go together."""
    alike = groupby(pictures, key=lambda picture: picture.shape)
    return torch.cat([scores(net, torch.stack(list(rows)), preprocess, protocol=protocol) for _, rows in alike])


def answer(net: nn.Module, x: Tensor, preprocess: Preprocess, how: Protocol) -> Tensor:
    """(N, classes): what all views of the pictures say together. At no time is there more than one batch of views."""
    said = []
    for group in together(how.views(x, preprocess.size, how.interpolation)):
        view = torch.cat(group)
        most = max(1, PIXELS // view[0, 0].numel())
        each = torch.cat([net(laid_out(net, preprocess.normalise(part))).cpu() for part in view.split(most)])
        said.append(each.unflatten(0, (len(group), len(x))))
    return join(torch.cat(said), how.weights, how.scores)


def together(views: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Views of the same size that come in a row, as many as make a batch, or a single one that makes more."""
    group: list[Tensor] = []
    for view in views:
        if group and (view.shape != group[0].shape or (len(group) + 1) * view[:, 0].numel() > PIXELS):
            yield group
            group = []
        group.append(view)
    yield group


def laid_out(net: nn.Module, x: Tensor) -> Tensor:
    """x on the device of the network's weights, its channels last in memory if theirs are; with them first, it would be slow."""
    x = x.to(next((p.device for p in net.parameters()), x.device))
    last = any(p.dim() == 4 and p.shape[1] > 1 and not p.is_contiguous() for p in net.parameters())
    return x.contiguous(memory_format=torch.channels_last) if last else x


def evaluate(scores: Tensor, y: Tensor, protocol: str = "single view") -> Evaluation:
    """The errors of scores (N, classes) for pictures of the classes y (N,)."""
    n, wrong = len(y), int((scores.argmax(1) != y).sum())
    best = scores.topk(min(5, scores.shape[1]), dim=1).indices
    missed = int((best != y[:, None]).all(1).sum())
    return Evaluation(100 * wrong / n, 100 * missed / n, n, wilson(wrong, n), protocol)
