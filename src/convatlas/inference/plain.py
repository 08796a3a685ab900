"""A lean twin in plain PyTorch: what is left to gain without another engine.

Maps lie with their channels together (channels_last), which oneDNN's kernels want, and what follows a convolution is computed with it
(fused.py).
"""

import torch
from torch import Tensor, fx

from .fused import fused, there

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Plain:
    """(N, C, H, W) float32 to (N, classes) float32, computed in `precision`."""

    def __init__(self, twin: fx.GraphModule, precision: str):
        self.type = TYPES[precision]
        net = twin.to(self.type).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]: its types lack it
        on = next((p.device.type for p in net.parameters()), "cpu")
        self.net = fused(net) if on == "cpu" and there(self.type) else net

    @torch.inference_mode()
    def __call__(self, x: Tensor) -> Tensor:
        return self.net(x.to(self.type, memory_format=torch.channels_last)).float()
