"""What every network here is: named stages that see, and a head that decides."""

from typing import ClassVar

from torch import Tensor, nn


class Net(nn.Module):
    """`features` holds one child per row of the paper's table, under the paper's own name for it; `head` ends in scores.

    Takes (N, C, H, W) pictures, gives (N, classes) scores of which the largest is the answer.
    Features up to the third stage are `net.features[:3](x)`; no hooks are needed.
    """

    size: ClassVar[int] = 224  # of the pictures that its paper feeds it, in pixels
    counts: ClassVar[tuple[str, ...]] = ("parameters", "macs")  # the totals that its paper states

    features: nn.Sequential
    head: nn.Sequential

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))
