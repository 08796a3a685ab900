"""Gradient checkpointing (Chen et al. 2016, arXiv:1604.06174): a block keeps its input, and on the way back computes the rest again."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import MethodType

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def blocks(features: nn.Sequential) -> Iterator[nn.Module]:
    """The children that have parts; of a stage that is a row of blocks, those blocks."""
    for child in features.children():
        parts = list(child.children())
        if isinstance(child, nn.Sequential) and parts and all(any(True for p in part.children() if has_parts(p)) for part in parts):
            yield from parts
        elif parts:
            yield child


def has_parts(module: nn.Module) -> bool:
    return next(module.children(), None) is not None


def switch(features: nn.Sequential, on: bool) -> None:
    for block in blocks(features):
        vars(block).pop("forward", None)
        if on:
            vars(block)["forward"] = MethodType(recomputed, block)


def recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """What the block gives, nothing kept but `x`. Where no gradient is asked for, and in tracing, it is the plain block."""
    plain = MethodType(type(block).forward, block)
    if isinstance(x, fx.Proxy) or not torch.is_grad_enabled():
        return plain(x)
    return checkpoint(plain, x, use_reentrant=False, context_fn=partial(contexts, block))


def contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    return nullcontext(), unmoved(block)


@contextmanager
def unmoved(block: nn.Module) -> Iterator[None]:
    """Batch norms compute as they did, but their running statistics have seen this batch and stay."""
    norms = [norm for norm in block.modules() if isinstance(norm, _BatchNorm)]
    were = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, were, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
