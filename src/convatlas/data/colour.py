"""Augmentation by torchvision's operations on bytes: colours, shears, turns. Each picture draws for itself from the given generator.

Values are rounded to 0..255 before the operations, as the published ones are all defined on bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from math import atan, degrees
from typing import Any

import torch
from torch import Generator, Tensor

from ..mistake import Mistake

# Of the colours of ImageNet's pixels in 0..1, in columns: fb.resnet.torch's datasets/imagenet.lua, whence all other code has them.
PRINCIPAL = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
EIGENVALUES = (0.2175, 0.0188, 0.0045)


class Functional:
    """torchvision's operations, imported when one is asked for: a second that commands which change no pictures need not wait."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module("torchvision.transforms.v2.functional"), name)


F = Functional()


@dataclass(frozen=True)
class Lighting:
    """Along each principal component of ImageNet's colours a shift, N(0, std) times its eigenvalue; Krizhevsky et al. 2012, section 4.1.

    One draw for all pixels of a picture. Nothing is cut off at 0 or 255. Raises Mistake for pictures that have no three colours.
    """

    std: float = 0.1

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        if x.shape[1] != 3:
            raise Mistake(
                f"Lighting shifts red, green and blue, but there are {x.shape[1]} channels; leave it out of the recipe's augment."
            )
        draw = torch.randn(len(x), 3, generator=generator) * self.std * torch.tensor(EIGENVALUES)
        return x + 255 * (draw @ torch.tensor(PRINCIPAL).T)[:, :, None, None]


@dataclass(frozen=True, kw_only=True)
class Photometric:
    """Brightness, contrast, saturation and hue changed in an order that is drawn: "photometric distortions" (Howard 2013, arXiv:1312.5402).

    Each is multiplied by a factor drawn evenly from 1 - bound to 1 + bound, but for hue, to which -bound to bound turns are added.
    Howard changes the first three.
    """

    brightness: float = 0.5
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.0

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        kinds = [
            (F.adjust_brightness, self.brightness, 1),
            (F.adjust_contrast, self.contrast, 1),
            (F.adjust_saturation, self.saturation, 1),
        ]
        kinds = [kind for kind in (*kinds, (F.adjust_hue, self.hue, 0)) if kind[1]]
        draws = torch.rand(2, len(x), len(kinds), generator=generator)
        out = as_bytes(x)
        for picture, order, draw in zip(out, draws[0].argsort().tolist(), draws[1].mul(2).sub(1).tolist(), strict=True):
            for i in order:
                change, bound, neutral = kinds[i]
                picture.copy_(change(picture, neutral + bound * draw[i]))
        return out.float()


# What each space asks of an operation at its weakest and its strongest; () where it has no strength, None where it is not of the space.
# Translations are shares of the side or, above 1, pixels; enhancements what is added to a factor of 1; bits are cut to whole ones, and
# their ranges are such that this rounds as each source does.
# fmt: off
SPACES = ("torchvision",      "wide",         "timm",         "timm increasing")
RANGES = {
    "identity":     ((),              (),             None,           None),
    "shear x":      ((0, 0.3),        (0, 0.99),      (0, 0.3),       (0, 0.3)),
    "shear y":      ((0, 0.3),        (0, 0.99),      (0, 0.3),       (0, 0.3)),
    "translate x":  ((0, 150 / 331),  (0, 32),        (0, 0.45),      (0, 0.45)),
    "translate y":  ((0, 150 / 331),  (0, 32),        (0, 0.45),      (0, 0.45)),
    "rotate":       ((0, 30),         (0, 135),       (0, 30),        (0, 30)),
    "brightness":   ((0, 0.9),        (0, 0.99),      (-0.9, 0.9),    (0, 0.9)),
    "saturation":   ((0, 0.9),        (0, 0.99),      (-0.9, 0.9),    (0, 0.9)),
    "contrast":     ((0, 0.9),        (0, 0.99),      (-0.9, 0.9),    (0, 0.9)),
    "sharpness":    ((0, 0.9),        (0, 0.99),      (-0.9, 0.9),    (0, 0.9)),
    "posterize":    ((8.5, 4.5),      (8.5, 2.5),     (0, 4),         (4.999, 0.999)),
    "solarize":     ((255, 0),        (255, 0),       (0, 256),       (256, 0)),
    "solarize add": (None,            None,           (0, 110),       (0, 110)),
    "autocontrast": ((),              (),             (),             ()),
    "equalize":     ((),              (),             (),             ()),
    "invert":       (None,            None,           (),             ()),
}
# fmt: on
EITHER_WAY = tuple(RANGES)[1:10]  # where they begin at 0
OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "identity": lambda x, _: x,
    "brightness": lambda x, amount: F.adjust_brightness(x, 1 + amount),
    "saturation": lambda x, amount: F.adjust_saturation(x, 1 + amount),
    "contrast": lambda x, amount: F.adjust_contrast(x, 1 + amount),
    "sharpness": lambda x, amount: F.adjust_sharpness(x, 1 + amount),
    "posterize": lambda x, amount: F.posterize(x, int(amount)),
    "solarize": lambda x, amount: F.solarize(x, amount) if amount <= 255 else x,
    "solarize add": lambda x, amount: torch.where(x < 128, x + int(amount), x),
    "autocontrast": lambda x, _: F.autocontrast(x),
    "equalize": lambda x, _: F.equalize(x),
    "invert": lambda x, _: F.invert(x),
}


@dataclass(frozen=True, kw_only=True)
class Look:
    """What comes from beyond the edge, a value in 0..255 for each colour or black, and how pixels are read: "nearest" or "bilinear"."""

    fill: tuple[float, ...] = ()
    interpolation: str = "bilinear"


@dataclass(frozen=True, kw_only=True)
class RandAugment(Look):
    """`n` operations drawn for each picture, of strength `m` (Cubuk et al. 2019, arXiv:1909.13719), as torchvision or timm has it.

    "torchvision": 14 operations, `m` of 30. "timm": 15, each left out with chance .5, `m` of 10; `m` is drawn from N(m, std) and cut to
    its bounds; unless `increasing`, some operations grow weaker with `m`, as in the code it descends from. "rand-m7-mstd0.5-inc1" is
    RandAugment(m=7, std=.5, increasing=True, kind="timm"). Departures from timm: translations are by whole pixels, and of its two
    kinds of interpolation, which it draws, there is the one named.
    """

    n: int = 2
    m: float = 9.0
    std: float = 0.0
    increasing: bool = False
    kind: str = "torchvision"

    def __post_init__(self) -> None:
        if self.kind not in ("torchvision", "timm"):
            raise Mistake(f"kind of RandAugment is {self.kind!r}; it must be torchvision or timm.")

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        timm = self.kind == "timm"
        column, most, chance = ("timm increasing" if self.increasing else "timm", 10, 0.5) if timm else ("torchvision", 30, 1.0)
        out = as_bytes(x)
        for _ in range(self.n):
            level = torch.randn(len(x), generator=generator).mul(self.std).add(self.m).clamp(0, most) / most
            used = torch.rand(len(x), generator=generator) < chance
            operate(out, column, level, used, self, generator)
        return out.float()


@dataclass(frozen=True, kw_only=True)
class TrivialAugment(Look):
    """One operation for each picture, its strength drawn too, of 31: the wide space of Müller & Hutter 2021 (arXiv:2103.10158)."""

    def __call__(self, x: Tensor, generator: Generator, at: Tensor | None = None) -> Tensor:
        out, level = as_bytes(x), torch.randint(31, (len(x),), generator=generator) / 30
        operate(out, "wide", level, torch.ones(len(x), dtype=torch.bool), self, generator)
        return out.float()


def as_bytes(x: Tensor) -> Tensor:
    return x.round().clamp(0, 255).to(torch.uint8)


def operate(x: Tensor, column: str, level: Tensor, used: Tensor, look: Look, generator: Generator) -> None:
    """Changes, in place, the pictures of x (N, C, H, W) uint8 that `used` (N,) bool says, each by an operation of the space, drawn for it.

    `level` (N,) in 0..1 is how strongly. Pictures of which the same is asked are changed together.
    """
    space = {name: row[SPACES.index(column)] for name, row in RANGES.items()}
    names = [name for name, span in space.items() if span is not None]
    drawn = torch.randint(len(names), (len(x),), generator=generator)
    signs = torch.randint(2, (len(x),), generator=generator) * 2 - 1
    alike: dict[tuple[str, float], list[int]] = {}
    for i in used.nonzero().flatten().tolist():
        name = names[drawn[i]]
        low, high = space[name] or (0.0, 0.0)
        amount = low + (high - low) * level[i].item()
        alike.setdefault((name, signs[i].item() * amount if low == 0 and name in EITHER_WAY else amount), []).append(i)
    for (name, amount), rows in alike.items():
        x[rows] = OPERATIONS[name](x[rows], amount) if name in OPERATIONS else moved(x[rows], name, amount, look)


def moved(x: Tensor, name: str, amount: float, look: Look) -> Tensor:
    """Pictures sheared about their top left corner, moved by whole pixels, or turned by degrees about their middle."""
    how = {"interpolation": F.InterpolationMode(look.interpolation), "fill": list(look.fill) or None}
    kind, _, axis = name.partition(" ")
    if kind == "rotate":
        return F.rotate(x, amount, **how)
    if kind == "translate":
        side = x.shape[3 if axis == "x" else 2]
        amount = int(amount * side if abs(amount) <= 1 else amount)
        return F.affine(x, 0.0, [amount, 0] if axis == "x" else [0, amount], 1.0, [0.0, 0.0], **how)
    turn = degrees(atan(amount))
    return F.affine(x, 0.0, [0, 0], 1.0, [turn, 0.0] if axis == "x" else [0.0, turn], center=[0, 0], **how)
