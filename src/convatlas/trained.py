"""A trained network with all that is needed to use it, wherever it comes from: published weights, a file, a run, the hub."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from . import packed
from .data import source
from .data.batches import Preprocess
from .hub import find
from .mistake import Mistake
from .models import MODELS
from .packed import placing, seen
from .photo import Photo
from .pretrained import Weights, choose, fetch, load_weights, of, table
from .run import open_run
from .weights import network_of


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode.

    `place` turns any picture (channels, H, W) uint8 into one of the size that the network takes; `preprocess` turns a batch of these
    (N, channels, H, W) into what it reads. `interpolation` is that of pictures as it learned from them, "bilinear" or "bicubic".
    Of published weights, `photo` is what `place` and `preprocess` come from, and `file` where they were read.
    """

    name: str
    net: nn.Module
    channels: int
    place: Callable[[Tensor], Tensor]
    preprocess: Preprocess
    classes: tuple[str, ...]
    protocol: str = "single view"
    interpolation: str = "bilinear"
    photo: Photo | None = None
    file: Path | None = None


def load(what: str | Path, model: str | None = None, offline: bool = False) -> nn.Module:
    """A trained network in evaluation mode: `load("efficientnet_lite0")`, `load("runs/demo")`, `load("mine.pth", "resnet18")`.

    `what` is a network or weights from `convatlas weights`, which are fetched if they are not here and `offline` is not set; a run's
    folder; a file of weights, with the `model` that they belong to if the file does not say it; "hf://USER/NAME" or
    "hf://USER/NAME@REVISION" on the Hugging Face hub, as `convatlas push` puts it there, or a folder with the same files.
    Raises Mistake for anything else, and for a network without published weights.
    """
    path = Path(what)
    if (path / "recipe.json").exists():
        return open_run(path).trained()
    if found := find(str(what), offline):
        return of_packed(*found, model).net
    if path.is_file():
        return of_file(path, model)
    if str(what) in table() or str(what).partition(".")[0] in MODELS:
        return load_weights(choose(str(what)), offline=offline)
    raise Mistake(
        f"{what} is neither a run's folder, nor a file of weights, nor a network from: convatlas weights. On the hub: hf://USER/NAME."
    )


def of_file(path: Path, model: str | None) -> nn.Module:
    """The network with the weights in a file; one that has the name of a published file must be that file, and for its network."""
    published = published_as(path)
    said = model_in(path)
    if model and said and model != said:
        raise Mistake(f"{path} says that it is for {said}, not for {model}.")
    if published is None:
        return network_of(known(model or said, path), path).eval()
    if model not in (None, published.model):
        raise Mistake(f"{path} is {published.name}: weights for {published.model}, not for {model}.")
    return load_weights(published, path)


def published_as(path: Path) -> Weights | None:
    """The weights that are published in a file of this name."""
    return next((weights for weights in table().values() if weights.file == path.name), None)


def model_in(file: Path) -> str | None:
    """The network that a safetensors file of ours says it is for."""
    if file.suffix.lower() != ".safetensors":
        return None
    try:
        with safe_open(file, "pt") as opened:
            return (opened.metadata() or {}).get("model")
    except (SafetensorError, OSError):  # which reading the whole file explains
        return None


def known(model: str | None, file: Path) -> str:
    if model is None:
        raise Mistake(f"{file} does not say which network it is for; name that, too.")
    if model not in MODELS:
        raise Mistake(f"no model {model!r}, for {file}; there are: {', '.join(MODELS)}.")
    return model


def of_run(folder: Path) -> Trained:
    run = open_run(folder)
    recipe = run.recipe
    channels, place = placing(seen(recipe))
    classes = recipe.tuning.classes if recipe.tuning else source(recipe.data, recipe.preprocess.size).load("test").classes
    return Trained(run.name, run.trained(), channels, place, recipe.preprocess, classes, recipe.protocol)


def of_packed(folder: Path, name: str, model: str | None = None) -> Trained:
    """The network in a folder in the hub's layout, which is to be `model` if that is given. Raises Mistake."""
    about, net = packed.load(folder)
    if model not in (None, about.model):
        raise Mistake(f"{name} is for {about.model}, not for {model}.")
    channels, place = placing(about.picture)
    return Trained(name, net, channels, place, about.preprocess, about.classes, about.protocol)


def of_weights(name: str, place: Path | None = None, offline: bool = False) -> Trained:
    """Published weights by their name or their network's. With `place`, from there: their file, its folder, or a file of one's own,
    which then sees pictures as the published weights do.
    """
    weights = choose(name)
    if place is not None and place.is_file():
        weights = next((w for w in of(weights.model) if w.file == place.name), weights)
        net, named, file = of_file(place, weights.model), str(place), place
    else:
        file = fetch(weights, place, offline)
        net, named = network_of(weights.model, file).eval(), weights.name
    photo, of_it = weights.photo, {"interpolation": weights.photo.interpolation, "photo": weights.photo, "file": file}
    return Trained(named, net, 3, photo.place, photo.normalise, weights.classes, **of_it)
