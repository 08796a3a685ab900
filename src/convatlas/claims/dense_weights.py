"""Huang et al. 2016, sections 1 and 5: a DenseNet needs a fraction of a ResNet's weights at the same depth."""

from ..analysis import analyse
from ..models import build
from . import Claim
from .finding import Budget, Finding, counted

PAIRS = (("densenet_bc_100_12", "resnet110"), ("densenet121", "resnet101"), ("densenet201", "resnet152"))
PLAIN = ("densenet_40_12", "resnet44")  # without bottlenecks and compression


def test(_: Budget) -> Finding:
    figures = {f"{a} / {b}": [analyse(build(a)).parameters, analyse(build(b)).parameters] for a, b in (*PAIRS, PLAIN)}
    *shares, plain = (a / b for a, b in figures.values())
    right = all(share < 0.5 for share in shares)
    said = "; ".join(f"{name}: {a:,} and {b:,}" for name, (a, b) in figures.items())
    says = f"{said}; the last, without bottlenecks and compression, has {plain:.2f} times the ResNet's"
    return counted(right, says, figures, dict(zip(figures, (*shares, plain), strict=True)), "share of the weights")


CLAIM = Claim(
    "At about equal depth, DenseNets with bottlenecks and compression (BC) have less than half the weights of ResNets.",
    "Huang et al. 2016, section 5",
    test,
    trained=False,
)
