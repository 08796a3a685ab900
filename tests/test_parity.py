"""That our networks compute what torchvision's and timm's do: equal scores, with random weights that `adopt` has taken over."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from convatlas.models import build
from convatlas.weights import TIMM, TORCHVISION, adopt, in_order, peer

PAIRS = [(name, "torchvision", theirs) for name, theirs in TORCHVISION.items()] + [(name, "timm", theirs) for name, theirs in TIMM.items()]
SMALL = {  # a network of each kind; the others are slow only because they are many
    ("vgg11", "timm"), ("vgg11_bn", "torchvision"), ("googlenet_bn", "torchvision"), ("alexnet_owt", "torchvision"),
    ("resnet18", "torchvision"), ("resnet50_v1_5", "torchvision"), ("resnext50_32x4d", "torchvision"), ("wide_resnet50_2", "torchvision"),
    ("se_resnet18_timm", "timm"), ("se_resnet50", "timm"), ("densenet121", "torchvision"), ("squeezenet1_1", "torchvision"),
    ("xception", "timm"), ("mobilenet_v2", "torchvision"), ("mobilenet_v3_small", "torchvision"), ("mobilenet_v1_relu6", "timm"),
    ("efficientnet_b0", "torchvision"), ("efficientnet_lite0", "timm"), ("efficientnet_lite0_timm", "timm"),
}  # fmt: skip


def test_the_table_covers_all_that_it_should():
    assert len(PAIRS) == 69
    assert len({name for name, _, _ in PAIRS}) == 55
    assert len({name for name, library, _ in PAIRS if (name, library) in SMALL}) == len(SMALL) == 19


@torch.no_grad()
def made(net: nn.Module) -> nn.Module:
    """`net`, from the meta device, with random weights and running statistics, and a sense of scale from layer to layer."""
    for name, tensor in net.to_empty(device="cpu").state_dict().items():
        if tensor.dim() > 1:
            tensor.normal_(0, tensor[0].numel() ** -0.5)
        elif name.endswith(("bias", "running_mean")):
            tensor.uniform_(-0.3, 0.3)
        elif name.endswith("num_batches_tracked"):
            tensor.zero_()
        else:
            tensor.uniform_(0.5, 1.5)
    return net


@torch.no_grad()
def scores(net: nn.Module, x: Tensor) -> Tensor:
    """All that the network says in evaluation, its auxiliary classifiers as well."""
    net.eval()
    net.training = hasattr(net, "aux1")  # of the whole alone: dropout and norms are still as in evaluation
    y = net(x)
    if hasattr(y, "logits"):  # torchvision's
        y = (y.logits, y.aux_logits1, y.aux_logits2)
    return y if isinstance(y, Tensor) else torch.cat(y)


def difference(name: str, library: str, theirs: str) -> float:
    """The largest difference in scores relative to the largest score, once the weights of the one are the other's."""
    with torch.device("meta"):
        net, other = build(name), peer(library, theirs)
    net, other = made(net), made(other)
    adopt(net, other.state_dict())
    side = 75 if name == "xception" else 64
    x = torch.randn(1, 3, side, side)
    expected = scores(other, x)
    assert expected.std() > 1e-3
    return float((scores(net, x) - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("name", "library", "theirs"),
    [pytest.param(*pair, id="-".join(pair[:2]), marks=[] if pair[:2] in SMALL else [pytest.mark.slow]) for pair in PAIRS],
)
def test_scores_are_equal(name, library, theirs):
    if library == "timm":
        pytest.importorskip("timm")
    assert difference(name, library, theirs) <= 1e-5


@pytest.mark.slow
def test_the_order_that_safetensors_files_lose_is_found_again():
    pytest.importorskip("timm")
    for name, library, theirs in PAIRS:
        with torch.device("meta"):
            net, state = build(name), peer(library, theirs).state_dict()
        found = in_order(name, net, dict(sorted(state.items())), Path("x.safetensors"))
        assert list(found) == list(state), name


@pytest.mark.parametrize(
    ("name", "library", "theirs"),
    [("resnet50", "torchvision", "resnet50"), ("vgg11_lrn", "torchvision", "vgg11"), ("efficientnet_lite0", "timm", "efficientnet_lite0")],
)
def test_what_fits_and_is_another_network_does_not_pass(name, library, theirs):
    assert difference(name, library, theirs) > 1e-2


def test_timms_larger_efficientnets_have_another_eps():
    pytest.importorskip("timm")
    assert difference("efficientnet_b5", "timm", "efficientnet_b5") > 1e-5
