"""The convolutional networks that made computer vision, as published, and everything a person does with them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import analyse as analyse
    from .inference.choose import fast as fast
    from .models import MODELS as MODELS
    from .models import build as build
    from .recipes import RECIPES as RECIPES
    from .recipes import Recipe as Recipe
    from .run import begin as begin
    from .train import fit as fit
    from .trained import load as load
    from .weights import adopt as adopt

NAMES = {
    "MODELS": "models",
    "RECIPES": "recipes",
    "Recipe": "recipes",
    "adopt": "weights",
    "analyse": "analysis",
    "begin": "run",
    "build": "models",
    "fast": "inference.choose",
    "fit": "train",
    "load": "trained",
}
__all__ = ["MODELS", "RECIPES", "Recipe", "adopt", "analyse", "begin", "build", "fast", "fit", "load"]


def __dir__() -> list[str]:
    """So that a notebook completes the public names, too, before they are imported."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: the command must answer --help before torch is loaded."""
    if name not in NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{NAMES[name]}"), name)
