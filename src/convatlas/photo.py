"""Photos of any size, as pretrained networks take them: the rule under which the weights' accuracy was published.

Here and in pixels.py torch is not imported before it is needed: a network in another engine can answer before torch would be there.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

    from .data.batches import Preprocess

LONG = 8  # sides; a picture that is longer is not resized whole
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

    def place(self, x: "Tensor") -> "Tensor":
        """A picture (3, H, W) uint8 as (3, size, size) uint8."""
        import torch

        return torch.from_numpy(self.placed(x.permute(1, 2, 0).contiguous().numpy())).permute(2, 0, 1).contiguous()

    def placed(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture (H, W, 3) as (size, size, 3)."""
        picture = Image.fromarray(pixels)
        return np.array(self.before(picture) if self.crop == "before" else self.after(picture))

    def before(self, picture: Image.Image) -> Image.Image:
        side = max(1, int(self.size / self.resize * min(picture.size)))
        left, top = ((whole - side + 1) // 2 for whole in picture.size)
        return picture.crop((left, top, left + side, top + side)).resize((self.size, self.size), INTERPOLATION[self.interpolation])

    def after(self, picture: Image.Image) -> Image.Image:
        wide, high = (int(self.resize * side / min(picture.size)) for side in picture.size)
        left, top = round((wide - self.size) / 2), round((high - self.size) / 2)
        box = left, top, left + self.size, top + self.size
        if max(wide, high) <= LONG * self.resize:
            return picture.resize((wide, high), INTERPOLATION[self.interpolation]).crop(box)
        across, down = picture.width / wide, picture.height / high  # of a long strip only the middle, to which rounding does a little
        part = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        return picture.resize((self.size, self.size), INTERPOLATION[self.interpolation], part)

    @property
    def normalise(self) -> "Preprocess":
        """What is left to do for pictures (N, 3, size, size) uint8 that are in place."""
        from .data.batches import Preprocess

        return Preprocess(size=self.size, mean=self.mean, std=self.std)

    def __call__(self, x: "Tensor") -> "Tensor":
        """A picture (3, H, W) uint8 as (1, 3, size, size) float, for the network."""
        return self.normalise(self.place(x)[None])
