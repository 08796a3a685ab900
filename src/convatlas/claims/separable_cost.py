"""Howard et al. 2017, section 3.1: a depthwise separable convolution costs 1/N + 1/k^2 of a full one."""

from torch import nn

from ..analysis import analyse
from . import Claim
from .finding import Budget, Finding, counted


def test(_: Budget) -> Finding:
    figures, right = {}, True
    for maps, k in ((64, 3), (512, 3), (512, 5)):
        full = nn.Sequential(nn.Conv2d(maps, maps, k, padding=k // 2, bias=False))
        apart = nn.Sequential(nn.Conv2d(maps, maps, k, padding=k // 2, groups=maps, bias=False), nn.Conv2d(maps, maps, 1, bias=False))
        costs = [analyse(net, 14).macs for net in (full, apart)]
        figures[f"{maps} maps, {k}x{k}"] = {"macs": costs, "share": costs[1] / costs[0], "formula": 1 / maps + 1 / k**2}
        right = right and abs(costs[1] / costs[0] - 1 / maps - 1 / k**2) < 1e-12
    says = "the shares are " + ", ".join(f"{100 * row['share']:.1f} %" for row in figures.values()) + ", as the formula says"
    return counted(right, says, figures, {name: row["share"] for name, row in figures.items()}, "share of the work")


CLAIM = Claim("A separable convolution does 1/N + 1/k^2 of the work: 8 to 9 times less for 3x3.", "Howard et al. 2017, section 3.1",
              test, trained=False)  # fmt: skip
