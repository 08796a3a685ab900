"""Huang et al. 2016, sections 1 and 5: a DenseNet needs a fraction of a ResNet's weights at the same depth."""

from ..analysis import analyse
from ..models import build
from . import Claim
from .finding import Budget, Finding, counted

PAIRS = (("densenet_40_12", "resnet44"), ("densenet121", "resnet101"), ("densenet201", "resnet152"))


def test(_: Budget) -> Finding:
    figures = {f"{a} / {b}": [analyse(build(a)).parameters, analyse(build(b)).parameters] for a, b in PAIRS}
    shares = {name: a / b for name, (a, b) in figures.items()}
    large = [share for (a, _), share in zip(PAIRS, shares.values(), strict=True) if "_" not in a]
    right = all(share < 0.5 for share in large)
    says = "; ".join(f"{name}: {a:,} and {b:,}" for name, (a, b) in figures.items())
    return counted(
        right, says, figures | {"note": "CIFAR's DenseNet-40 is wider than ResNet-44, not smaller"}, shares, "share of the weights"
    )


CLAIM = Claim(
    "At about equal depth, DenseNets for ImageNet have less than half the weights of ResNets.",
    "Huang et al. 2016, section 5",
    test,
    trained=False,
)
