"""Random crops of a picture whose size is drawn first: scale jitter."""

from dataclasses import dataclass

import numpy as np

from ..mistake import Mistake


@dataclass(frozen=True, kw_only=True)
class JitteredCrop:
    """A window of `size` x `size` of a picture whose shorter side is scaled to a length in `shorter`; both are drawn evenly.

    (256, 512) is VGG's (Simonyan & Zisserman 2014, section 3.1.1), (256, 480) ResNet's, (256, 256) AlexNet's. `flip` is the share of
    windows that are mirrored. The window is found in the picture as it is on the disk, to a whole pixel there, and only that is scaled.
    Raises Mistake where the picture could be smaller than the window.
    """

    size: int = 224
    shorter: tuple[int, int] = (256, 512)
    flip: float = 0.5

    def __post_init__(self) -> None:
        if not self.size <= self.shorter[0] <= self.shorter[1]:
            raise Mistake(
                f"shorter of JitteredCrop is {self.shorter}; it must be two lengths that do not fall, of {self.size} pixels at least."
            )

    def box(self, height: int, width: int, draw: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of the window in a picture of that height and width."""
        scaled, down, right = draw.random(3).tolist()
        low, high = self.shorter
        side = max(1, round(min(height, width) * self.size / (low + int(scaled * (high - low + 1)))))
        return int(down * (height - side + 1)), int(right * (width - side + 1)), side, side
