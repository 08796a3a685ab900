"""Photos of any size, as pretrained networks take them: the rule under which the weights' accuracy was published."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .batches import Preprocess

INTERPOLATION = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, kw_only=True)
class Photo:
    """From a photo (3, H, W) uint8 to (3, size, size) float.

    With `crop` "after", the shorter side becomes `resize` pixels and the middle is cut out (torchvision, timm). With "before",
    the middle is cut out, `size` / `resize` of the shorter side, and then resized (TensorFlow: tensorflow/tpu,
    models/official/efficientnet/preprocessing.py). Both resize with antialiasing, which TensorFlow did not.
    Then (x / 255 - mean) / std.
    """

    size: int
    resize: int
    crop: Literal["after", "before"] = "after"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def box(self, height: int, width: int) -> tuple[float, float, float, float]:
        """What is kept of a picture, in its own pixels: left, top, right, bottom."""
        short = min(height, width)
        if self.crop == "before":
            side = max(1, int(self.size / self.resize * short))
            left, top = (width - side + 1) // 2, (height - side + 1) // 2
            return left, top, left + side, top + side
        wide, high = (int(self.resize * side / short) for side in (width, height))
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        across, down = width / wide, height / high
        return left * across, top * down, (left + self.size) * across, (top + self.size) * down

    def place(self, x: Tensor) -> Tensor:
        """A picture (3, H, W) uint8 as (3, size, size) uint8. Only what is kept is resized, so a long strip costs no more than a square."""
        picture = Image.fromarray(x.permute(1, 2, 0).contiguous().numpy())
        small = picture.resize((self.size, self.size), INTERPOLATION[self.interpolation], self.box(*x.shape[1:]))
        return torch.from_numpy(np.array(small)).permute(2, 0, 1).contiguous()

    @property
    def normalise(self) -> Preprocess:
        """What is left to do for pictures (N, 3, size, size) uint8 that are in place."""
        return Preprocess(size=self.size, mean=self.mean, std=self.std)

    def __call__(self, x: Tensor) -> Tensor:
        """A picture (3, H, W) uint8 as (1, 3, size, size) float, for the network."""
        return self.normalise(self.place(x)[None])
