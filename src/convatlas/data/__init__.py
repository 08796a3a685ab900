"""Where pictures come from. A source in the package has a name; any other is a place on the disk."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..mistake import Mistake
from . import mnist
from .decode import fit
from .listed import open_data
from .pictures import Pictures
from .standard import CIFAR10, FASHION


@dataclass(frozen=True)
class Source:
    """`load("train")` and `load("test")` give its pictures; `adapt` makes a picture from elsewhere, (channels, H, W) uint8, like them."""

    load: Callable[[str], Pictures]
    adapt: Callable[[Tensor], Tensor]
    channels: int


SOURCES = {
    "mnist": Source(mnist.load, mnist.as_digit, channels=1),
    "fashion-mnist": Source(FASHION.load, lambda x: fit(x, 28, "crop"), channels=1),
    "cifar10": Source(CIFAR10.load, lambda x: fit(x, 32, "crop"), channels=3),
}


def source(name: str, size: int = 224) -> Source:
    """The source of that name, or the place of that name as pictures in memory, the middle of each at `size`.

    Raises Mistake for one that does not exist.
    """
    if name in SOURCES:
        return SOURCES[name]
    if not Path(name).exists():
        raise Mistake(f"no data called {name!r}; there are: {', '.join(SOURCES)}, and any folder or file that `convatlas data` takes.")
    return Source(lambda split: open_data(name, split).pictures(size), lambda x: fit(x, size, "crop"), channels=3)
