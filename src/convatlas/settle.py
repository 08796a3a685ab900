"""What a recipe leaves open until a run begins: the number of classes, and the precision and layout of memory that are fastest here."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .data import SOURCES
from .data.batches import Batches, generator
from .data.crops import Crops
from .data.pictures import Pictures
from .mistake import Mistake
from .models import MODELS, build
from .models.net import Net
from .precision import WAYS, choose
from .protocols import named
from .recipes import CHOICES, Recipe
from .recipes.text import differences, encode
from .sets import fitted
from .train import learn, machine, step_loss

TRIED = 32  # pictures at most in a step that is timed


def settled(recipe: Recipe) -> tuple[Recipe, dict[str, Any] | None]:
    """`recipe` with nothing left open, and the first line of the log: how long a step takes in each way; None if none was tried.

    Raises Mistake for a place or a protocol of testing that is not there, and for whatever the recipe's `prepare` lacks.
    """
    recipe = placed(recipe)
    named(recipe.protocol)
    if "auto" not in (recipe.precision, recipe.layout):
        return recipe, None
    net, batches = build(recipe.model, **dict(recipe.config)), noise(recipe)
    if recipe.prepare:
        recipe.prepare(net, batches)
    chosen, ways = fastest(net, recipe, batches)
    return chosen, {"event": "settled", "precision": chosen.precision, "layout": chosen.layout, **ways}


def placed(recipe: Recipe) -> Recipe:
    """`recipe` for as many classes as its place has, which is named whole; of other classes than its source's, that published no error.

    Raises Mistake for a place that is not there.
    """
    if recipe.data not in SOURCES and not Path(recipe.data).exists():
        raise Mistake(
            f"{recipe.data!r} is neither a data set by name ({', '.join(SOURCES)}) nor a place on this machine; "
            "name one with --recipe.data PLACE, as `convatlas data PLACE` takes it."
        )
    if recipe.model not in MODELS:
        raise Mistake(f"no model {recipe.model!r}; convatlas models lists them.")
    channels = SOURCES[recipe.data].channels if recipe.data in SOURCES else 3
    wanted = dict(recipe.config).get("in_channels", MODELS[recipe.model][1].in_channels)
    if recipe.tuning is None and channels != wanted:
        raise Mistake(f"{recipe.model} here takes pictures of {wanted} channels; those of {recipe.data} have {channels}.")
    found = fitted(recipe if recipe.data in SOURCES else replace(recipe, data=str(Path(recipe.data).resolve())))
    return found if classes(found) == classes(recipe) else replace(found, published=None)


def classes(recipe: Recipe) -> int:
    wanted: dict[str, Any] = dict(recipe.config)
    return int(wanted.get("num_classes", MODELS[recipe.model][1].num_classes))


def settled_as(recipe: Recipe, begun: Recipe) -> Recipe:
    """`recipe` as `settled` would have made it when a run began with `begun`."""
    return replace(placed(recipe), **{name: getattr(begun, name) for name in CHOICES if getattr(recipe, name) == "auto"})


def changed_since(begun: Recipe, recipe: Recipe) -> list[str]:
    """Where `recipe` is another than the one that a run began with, a line for each field."""
    return differences(encode(begun), encode(recipe))


def fastest(net: Net, recipe: Recipe, batches: Batches | Crops) -> tuple[Recipe, dict[str, Any]]:
    """`recipe` in the precision and layout in which a step of `net` takes least here, of those that it leaves open; and the times.

    They are seconds of a step of so many "pictures", for each "precision layout" in "ways"; {} if nothing was open.
    """
    if "auto" not in (recipe.precision, recipe.layout):
        return recipe, {}
    x, y = (part[: max(1, min(TRIED, recipe.batch // recipe.accumulate))] for part in batches[0])
    ways = [way for way in WAYS if recipe.precision in ("auto", way.precision) and recipe.layout in ("auto", way.layout)]
    learn(net, recipe)
    with machine(recipe):
        way, took = choose(net, lambda twin, way: step_loss(twin, replace(recipe, **way._asdict()), x, y).backward(), ways)
    return replace(recipe, **way._asdict()), {"pictures": len(x), "ways": {" ".join(way): round(s, 4) for way, s in took.items()}}


def noise(recipe: Recipe) -> Batches:
    """Batches of the size that `recipe` trains on: how long a step takes does not depend on what the pictures show."""
    size, count = recipe.crop.size if recipe.crop else recipe.preprocess.size, min(TRIED, recipe.batch)
    x = torch.randint(256, (count, len(recipe.preprocess.mean), size, size), dtype=torch.uint8, generator=generator(0))
    pictures = Pictures(x, torch.zeros(count, dtype=torch.int64), ("noise",))
    return Batches(pictures, count, 0, replace(recipe.preprocess, size=size), recipe.augment)
