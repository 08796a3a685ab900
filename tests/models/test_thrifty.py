"""That a dense block which computes again gives what its plain twin gives, forwards and backwards."""

import gc
import weakref

import pytest
import torch
from torch import nn

from convatlas.models import build
from convatlas.models.net import Net

DOUBLE = {"rtol": 1e-9, "atol": 1e-12}
CHANGES = [
    pytest.param("densenet121", {"depths": (2, 3, 2, 2), "stem_width": 8, "growth": 4}, id="bottlenecks"),
    pytest.param("densenet_40_12", {"depths": (3, 2, 3)}, id="one convolution a layer"),
]


def twins(name: str, changes: dict) -> tuple[Net, Net]:
    plain = build(name, **changes, num_classes=5, thrifty=False).double()
    thrifty = build(name, **changes, num_classes=5, thrifty=True).double()
    with torch.no_grad():
        for p in plain.parameters():
            p.add_(torch.randn_like(p) * 0.1)
    thrifty.load_state_dict(plain.state_dict())
    return plain, thrifty


def step(net: Net, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    x = x.clone().requires_grad_()
    y = net(x)
    nn.functional.cross_entropy(y, torch.arange(len(x)) % 5).backward()
    return y, x.grad, *(p.grad for p in net.parameters())


@pytest.mark.parametrize(("name", "changes"), CHANGES)
@pytest.mark.parametrize("momentum", [0.1, None])
def test_scores_gradients_and_statistics_are_those_of_the_plain_twin(name, changes, momentum):
    plain, thrifty = twins(name, changes)
    for net in (plain, thrifty):
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.momentum = momentum
    for _ in range(2):
        x = torch.randn(4, 3, 40, 33, dtype=torch.float64)
        for ours, theirs in zip(step(thrifty, x), step(plain, x), strict=True):
            torch.testing.assert_close(ours, theirs, **DOUBLE)
    state = plain.state_dict()
    for key, tensor in thrifty.state_dict().items():
        torch.testing.assert_close(tensor, state[key], **DOUBLE)
    plain.load_state_dict(thrifty.state_dict())
    assert torch.equal(thrifty.eval()(x), plain.eval()(x))


def test_norms_of_different_eps_in_one_block():
    plain, thrifty = twins("densenet121", {"depths": (3, 2, 2, 2), "stem_width": 8, "growth": 4})
    for net in (plain, thrifty):
        for i, norm in enumerate(m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.eps = 0.1 * (i + 1)
    x = torch.randn(4, 3, 40, 33, dtype=torch.float64)
    for ours, theirs in zip(step(thrifty, x), step(plain, x), strict=True):
        torch.testing.assert_close(ours, theirs, **DOUBLE)


def kept(net: Net) -> int:
    """Bytes that a forward pass keeps for the way back, each storage once."""
    seen = {}

    def note(t: torch.Tensor) -> torch.Tensor:
        seen[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        y = net(torch.randn(2, 3, 64, 64))
    assert y.requires_grad  # and so alive up to here, with all that it keeps
    return sum(seen.values())


def test_it_keeps_less_than_half_of_what_the_plain_twin_keeps():
    changes = {"depths": (6, 12, 6, 4)}
    plain, thrifty = (build("densenet121", **changes, thrifty=on) for on in (False, True))
    weights = sum(t.nbytes for t in plain.parameters())
    assert kept(thrifty) - weights < 0.5 * (kept(plain) - weights)


def test_what_is_not_used_is_freed_at_once_and_the_way_back_can_be_taken_twice():
    net = build("densenet121", depths=(2, 2, 2, 2), thrifty=True)
    x = torch.randn(2, 3, 64, 64)
    gc.disable()
    try:
        maps = net.features[:3](x)
        node = weakref.ref(maps.grad_fn)
        del maps
        assert node() is None
    finally:
        gc.enable()
    maps = net.features[:3](x)
    maps.sum().backward(retain_graph=True)
    once = [p.grad.clone() for p in net.features[:3].parameters()]
    maps.sum().backward()
    for p, g in zip(net.features[:3].parameters(), once, strict=True):
        torch.testing.assert_close(p.grad, 2 * g)


def test_under_autocast_it_computes_in_full_precision():
    _, thrifty = twins("densenet121", {"depths": (2, 2, 2, 2)})
    thrifty = thrifty.float()
    with torch.autocast("cpu", torch.bfloat16):
        y = thrifty(torch.randn(2, 3, 64, 64))
    y.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in thrifty.parameters())


def test_it_has_no_dropout():
    with pytest.raises(ValueError, match="no dropout"):
        build("densenet_40_12", thrifty=True, dropout=0.2)
