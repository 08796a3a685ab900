"""A lean twin in plain PyTorch: what is left to gain without another engine.

Maps lie with their channels together (channels_last), which oneDNN's kernels want, and what follows a convolution is computed with it
(fused.py). Local response normalisation, seven passes over the maps in torch, becomes a 1x1 convolution of their squares by a band of
ones and what is left of it.
"""

import torch
from torch import Tensor, fx, nn

from ..models.lean import steps
from ..models.response_norm import band, inverse_power
from .fused import fused, there

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Plain:
    """(N, C, H, W) float32 to (N, classes) float32, computed in `precision`."""

    def __init__(self, twin: fx.GraphModule, precision: str):
        self.type = TYPES[precision]
        net = banded(twin).to(self.type).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]: its types lack it
        on = next((p.device.type for p in net.parameters()), "cpu")
        self.net = fused(net) if on == "cpu" and there(self.type) else net

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        return self.net(x.to(self.type, memory_format=torch.channels_last)).float()


def banded(twin: fx.GraphModule) -> fx.GraphModule:
    """`twin`, its response normalisations computed by a convolution, in place."""
    for node, layer in steps(twin, nn.LocalResponseNorm):
        twin.set_submodule(str(node.target), Banded(layer))
    return twin


class Banded(nn.Module):
    """nn.LocalResponseNorm."""

    def __init__(self, norm: nn.LocalResponseNorm):
        super().__init__()
        self.norm = norm
        self.band = torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        if len(self.band) != x.shape[1] or (self.band.dtype, self.band.device) != (x.dtype, x.device):
            self.band = band(x, self.norm.size) * (self.norm.alpha / self.norm.size)
        return inverse_power(torch.conv2d(x.square(), self.band).add_(self.norm.k), self.norm.beta).mul_(x)
