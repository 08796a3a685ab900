"""What every network here is: named stages that see, and a head that decides. And the few parts that several papers share."""

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn


class Net(nn.Module):
    """`features` holds one child per row of the paper's table, under the paper's own name for it; `head` ends in scores.

    Takes (N, C, H, W) pictures, gives (N, classes) scores of which the largest is the answer.
    Features up to the third stage are `net.features[:3](x)`; no hooks are needed.
    """

    counts: ClassVar[tuple[str, ...]] = ("parameters", "macs")  # the totals that its paper states

    head: nn.Sequential

    def __init__(self, size: int):
        super().__init__()
        self.size = size  # height and width of the pictures that its paper feeds it, or that it was built for
        self.features = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def after_step(self) -> None:
        """What its paper does to the weights after each training step, beyond the optimiser: mostly nothing."""


class ConvBN(nn.Sequential):
    """Convolution without bias, batch norm and, unless `act` is None, a non-linearity; "same" padding."""

    def __init__(self, cin: int, cout: int, k: int, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, k, stride, padding=k // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        if act is not None:
            self.act = act()


class SqueezeExcite(nn.Module):
    """Each map scaled by a gate in 0..1 that has seen all maps' means (Hu et al. 2017, Fig. 3)."""

    def __init__(self, c: int, squeezed: int, act: type[nn.Module] = nn.ReLU, gate: type[nn.Module] = nn.Sigmoid):
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, squeezed, 1), act(), nn.Conv2d(squeezed, c, 1), gate())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class StochasticDepth(nn.Module):
    """In training each picture skips the branch with chance `p` < 1, and the others' branches are scaled up to make up for it."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        kept = x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(1 - self.p)
        return x * kept / (1 - self.p)


def start(net: nn.Module, draw: Callable[[nn.Conv2d | nn.Linear], object]) -> None:
    """Fresh weights: `draw` gives a layer its own; biases are 0. Norms stay as PyTorch makes them, with weights 1."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pooled_head(cin: int, num_classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Global average pool, then one linear layer: the head of nearly everything after 2014."""
    head = nn.Sequential()
    head.pool, head.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    if dropout:
        head.dropout = nn.Dropout(dropout)
    head.output = nn.Linear(cin, num_classes)
    return head
