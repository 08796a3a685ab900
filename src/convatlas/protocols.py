"""The papers' tests: which views of a picture a network is shown, and how what it says of each becomes one answer.

A protocol's numbers of pixels are those of the paper, for a network that takes pictures of 224 pixels; for one of another size
they stand in proportion (`scaled`). Pictures are resized with antialiasing; the papers do not say how they did it.
A network of small pictures, below 64 pixels, is given pictures of its size, and there is nothing around them to cut crops out of:
its ten crops are windows of the picture padded by an eighth on each side, 4 pixels for 32, with what the edge mirrors.

Read again: the 144 crops and VGG's section 3.2 in others' quotations, the authors' page of ResNet's 1-crop test, the code of the six
views. The rest, AlexNet's ten crops, VGG's Q and ResNet's five sizes, is from memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol as Interface

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from .mistake import Mistake
from .models.dense import convolutional
from .models.net import Net

SMALL = 64  # pixels
LONG = 8  # sides; of a picture that is longer, only the middle is seen


class Views(Interface):
    """From pictures (N, C, H, W) uint8 of one size to their views, (N, C, h, w) each, for a network of `size` pixels."""

    def __call__(self, x: Tensor, size: int, interpolation: str) -> Iterator[Tensor]: ...


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What is looked at, and what is made of it.

    Each view counts as `weights` say, which are in the order of the views; by default they are alike. Of their probabilities the
    mean is taken, or with `scores` of what the network says before the softmax. `dense`: the classifier becomes convolutions.
    `placed`: the views are made of the picture as it was brought to the network's size, not of the whole picture.
    """

    source: str
    views: Views
    weights: tuple[float, ...] = ()
    scores: bool = False
    dense: bool = False
    placed: bool = False
    interpolation: str = "bilinear"  # or "bicubic"

    def whole(self, size: int) -> bool:
        """Whether a network of this size is shown views of the whole picture."""
        return not self.placed and size >= SMALL

    def through(self, net: nn.Module) -> nn.Module:
        """The network that looks at the views. Raises Mistake for one that cannot."""
        if not self.dense or not isinstance(net, Net):
            return net
        try:
            return convolutional(net)
        except ValueError as error:
            raise Mistake(f"a test on whole pictures does not go: {error}.") from error


def named(name: str) -> Protocol:
    """Raises Mistake for a protocol that there is not."""
    if name not in PROTOCOLS:
        raise Mistake(f"no protocol {name!r}; there are: {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


def join(said: Tensor, weights: Sequence[float] = (), scores: bool = False) -> Tensor:
    """What (V, N, classes) several views or networks say, as one answer (N, classes): the logarithms of their mean probabilities.

    With `scores`, their mean scores.
    """
    share = said.new_tensor(weights or [1.0] * len(said)).view(-1, 1, 1)
    share = share / share.sum()
    return (said * share).sum(0) if scores else (said.log_softmax(2) + share.log()).logsumexp(0)


def scaled(pixels: int, size: int) -> int:
    """A paper's number of pixels for a network of `size`. AlexNet's and SqueezeNet's 227 are what they print as 224: only that changes."""
    return pixels if size == 227 and pixels != 224 else round(pixels * size / 224)


def resized(x: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    if x.shape[2:] == (height, width):
        return x
    x = x.contiguous(memory_format=torch.channels_last) if x.shape[1] == 3 else x  # for which the kernel is fast
    return interpolate(x, (height, width), mode=interpolation, antialias=True)


def shorter(x: Tensor, side: int, interpolation: str) -> Tensor:
    """Pictures whose shorter side is `side`."""
    short = min(x.shape[2:])
    x = middle(x, *(min(n, LONG * short) for n in x.shape[2:]))
    height, width = (round(n * side / short) for n in x.shape[2:])
    return resized(x, height, width, interpolation)


def middle(x: Tensor, height: int, width: int) -> Tensor:
    if height > x.shape[2] or width > x.shape[3]:
        raise Mistake(
            f"a part of {height} x {width} pixels does not fit into {x.shape[2]} x {x.shape[3]}: the protocol crops more than it keeps."
        )
    top, left = round((x.shape[2] - height) / 2), round((x.shape[3] - width) / 2)
    return x[:, :, top : top + height, left : left + width]


def five(x: Tensor, side: int) -> Iterator[Tensor]:
    """The upper two corners, the lower two, and the middle."""
    for part in (x[:, :, :side], x[:, :, -side:]):
        yield from (part[..., :side], part[..., -side:])
    yield middle(x, side, side)


@dataclass(frozen=True)
class AsPlaced:
    """The picture as it is."""

    def __call__(self, x: Tensor, size: int, interpolation: str) -> Iterator[Tensor]:
        yield x


@dataclass(frozen=True)
class Centre:
    """Its middle, `crop` x `crop`, once its shorter side is `resize`. For a network of small pictures, all of the middle square."""

    resize: int = 256
    crop: int = 224

    def __call__(self, x: Tensor, size: int, interpolation: str) -> Iterator[Tensor]:
        crop = scaled(self.crop, size)
        yield middle(shorter(x, crop if size < SMALL else scaled(self.resize, size), interpolation), crop, crop)


@dataclass(frozen=True)
class Corners:
    """The four corners and the middle, `crop` x `crop`, of its middle square, once that is `resize` x `resize`."""

    resize: int = 256
    crop: int = 224

    def __call__(self, x: Tensor, size: int, interpolation: str) -> Iterator[Tensor]:
        crop = scaled(self.crop, size)
        if size < SMALL:
            square = pad(middle(shorter(x, size, interpolation), size, size), (round(size / 8),) * 4, mode="reflect")
        else:
            side = scaled(self.resize, size)
            square = middle(shorter(x, side, interpolation), side, side)
        yield from five(square, crop)


@dataclass(frozen=True)
class Squares:
    """At each size of the shorter side, three squares: left, middle and right, or top, middle and bottom. Of each the four corners and
    the middle, `crop` x `crop`, and the square itself, made as small.
    """

    sides: tuple[int, ...] = (256, 288, 320, 352)
    crop: int = 224

    def __call__(self, x: Tensor, size: int, interpolation: str) -> Iterator[Tensor]:
        crop = scaled(self.crop, size)
        for side in (scaled(side, size) for side in self.sides):
            picture = shorter(x, side, interpolation)
            for square in (picture[:, :, :side, :side], middle(picture, side, side), picture[:, :, -side:, -side:]):
                yield from five(square, crop)
                yield resized(square, crop, crop, interpolation)


@dataclass(frozen=True)
class Uncropped:
    """All of it, at each size of the shorter side."""

    sides: tuple[int, ...] = (256,)

    def __call__(self, x: Tensor, size: int, interpolation: str) -> Iterator[Tensor]:
        for side in self.sides:
            yield shorter(x, scaled(side, size), interpolation)


@dataclass(frozen=True)
class Shifted:
    """As it is; moved up and left by so many pixels; moved down and right. What comes in is what the edge mirrors."""

    by: int = 1

    def __call__(self, x: Tensor, size: int, interpolation: str) -> Iterator[Tensor]:
        yield x
        padded = pad(x, (self.by,) * 4, mode="reflect")
        yield padded[:, :, 2 * self.by :, 2 * self.by :]
        yield padded[:, :, : x.shape[2], : x.shape[3]]


@dataclass(frozen=True)
class Mirrored:
    """Each view, and its mirror image after it."""

    views: Views

    def __call__(self, x: Tensor, size: int, interpolation: str) -> Iterator[Tensor]:
        for view in self.views(x, size, interpolation):
            yield view
            yield view.flip(3)


VGG = "Simonyan & Zisserman 2014 (arXiv:1409.1556), section"
RESNET = "He et al. 2015 (arXiv:1512.03385)"
SHIFTS = (0.25, 0.25, 0.125, 0.125, 0.125, 0.125)

# fmt: off
PROTOCOLS = {
    "single view": Protocol(
        source="whoever published the weights, or the data set", views=AsPlaced(), scores=True, placed=True),
    "flip": Protocol(
        source=f"{VGG} 3.2: mirror images, and nothing else of it", views=Mirrored(AsPlaced()), placed=True),
    "flip+shift": Protocol(
        source="Jordan 2024 (arXiv:2404.00498), six views", views=Mirrored(Shifted(1)), weights=SHIFTS, scores=True, placed=True),
    "shift": Protocol(
        source="flip+shift, without the mirror images", views=Shifted(1), weights=(0.5, 0.25, 0.25), scores=True, placed=True),
    "flip+shift2": Protocol(
        source="flip+shift, by two pixels", views=Mirrored(Shifted(2)), weights=SHIFTS, scores=True, placed=True),
    "centre": Protocol(
        source=f"{RESNET}, authors' page: 1-crop", views=Centre(256, 224), scores=True),
    "ten-crop": Protocol(
        source="Krizhevsky et al. 2012 (NIPS 25), sections 2 and 4.1", views=Mirrored(Corners(256, 224))),
    "144-crop": Protocol(
        source="Szegedy et al. 2014 (arXiv:1409.4842), section 7", views=Mirrored(Squares((256, 288, 320, 352), 224))),
    "dense": Protocol(
        source=f"{VGG} 3.2, Q = 256", views=Mirrored(Uncropped((256,))), dense=True),
    "dense-384": Protocol(
        source=f"{VGG} 3.2, Q = 384", views=Mirrored(Uncropped((384,))), dense=True),
    "multi-scale": Protocol(
        source=f"{VGG} 4.2, of networks trained at 256 to 512", views=Mirrored(Uncropped((256, 384, 512))), dense=True),
    "multi-scale-256": Protocol(
        source=f"{VGG} 4.2, of networks trained at S = 256", views=Mirrored(Uncropped((224, 256, 288))), dense=True),
    "multi-scale-384": Protocol(
        source=f"{VGG} 4.2, of networks trained at S = 384", views=Mirrored(Uncropped((352, 384, 416))), dense=True),
    "multi-scale average": Protocol(
        source=f"{RESNET}, section 3.4; it names no mirror images", views=Uncropped((224, 256, 384, 480, 640)), scores=True, dense=True),
}
# fmt: on
