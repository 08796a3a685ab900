"""Lin et al. 2013, section 3.1: a 1x1 convolution is a linear layer at every place; it makes 64 maps of 56 x 56 into 32, or into one."""

import torch
from torch import nn

from ..analysis import analyse
from . import Claim
from .finding import Budget, Finding, counted


@torch.no_grad()
def test(_: Budget) -> Finding:
    torch.manual_seed(0)
    x, figures, right = torch.randn(2, 64, 56, 56), {}, True
    for cout in (32, 1):
        conv = nn.Conv2d(64, cout, 1)
        linear = nn.functional.linear(x.movedim(1, -1), conv.weight[:, :, 0, 0], conv.bias).movedim(-1, 1)
        found = analyse(nn.Sequential(conv), 56, 64)
        apart = float((conv(x) - linear).abs().max())
        figures[f"to {cout}"] = {"shape": list(found.layers[0].shape), "parameters": found.parameters, "macs": found.macs, "apart": apart}
        right = right and apart < 1e-5 and found.layers[0].shape == (cout, 56, 56)
    says = "64 x 56 x 56 becomes 32 x 56 x 56 by {:,} weights and 1 x 56 x 56 by {}".format(
        *(row["parameters"] for row in figures.values())
    )
    return counted(right, says, figures, {name: row["macs"] / 1e6 for name, row in figures.items()}, "million multiply-accumulates")


CLAIM = Claim(
    "A 1x1 convolution mixes maps at each place by itself, as a small linear layer would.",
    "Lin et al. 2013, section 3.1",
    test,
    trained=False,
)
