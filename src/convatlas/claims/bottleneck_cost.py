"""He et al. 2015, section 4.1 and figure 5: a bottleneck of 256 maps costs about what a basic block of 64 does."""

from ..analysis import analyse
from ..models.resnet import basic, bottleneck
from . import Claim
from .finding import Budget, Finding, counted


def test(_: Budget) -> Finding:
    two, three = analyse(basic(64, 64, 1), 56, 64), analyse(bottleneck(256, 64, 256, 1), 56, 256)
    figures = {name: {"parameters": found.parameters, "macs": found.macs} for name, found in (("basic", two), ("bottleneck", three))}
    right = 0.8 < three.macs / two.macs < 1.2
    says = f"{two.macs:,} multiply-accumulates of two 3x3 with 64 maps, {three.macs:,} of a bottleneck with 256"
    return counted(right, says, figures, {"basic": two.macs / 1e6, "bottleneck": three.macs / 1e6}, "million multiply-accumulates")


CLAIM = Claim(
    "A bottleneck with four times the maps costs about as much as a basic block.", "He et al. 2015, section 4.1", test, trained=False
)
