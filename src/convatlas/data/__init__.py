"""Where pictures come from. A source in the package has a name."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..mistake import Mistake
from . import mnist
from .pictures import Pictures


@dataclass(frozen=True)
class Source:
    """`load("train")` and `load("test")` give its pictures; `adapt` makes a picture from elsewhere, (channels, H, W) uint8, like them."""

    load: Callable[[str], Pictures]
    adapt: Callable[[Tensor], Tensor]
    channels: int


SOURCES = {"mnist": Source(mnist.load, mnist.as_digit, channels=1)}


def source(name: str) -> Source:
    """The source of that name. Raises Mistake for one that does not exist."""
    if name not in SOURCES:
        raise Mistake(f"no data called {name!r}; there are: {', '.join(SOURCES)}.")
    return SOURCES[name]
