"""What recipes on CIFAR-10 share: 50,000 pictures of 32 x 32 pixels and 10 classes."""

from ..data.augment import Flip, Shift
from ..data.batches import Preprocess

PICTURES = 50_000
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the 50,000 pictures, by colour
CIFAR = Preprocess(size=32, mean=MEAN, std=STD)
SHIFTED = (Shift(4, fill=tuple(255 * m for m in MEAN)), Flip())  # four pixels of zeros all around, a crop of 32 x 32, a flip


def passes(count: float, batch: int) -> int:
    """How many steps `count` passes over the pictures take."""
    return round(count * PICTURES / batch)
