"""A trained network with all that is needed to use it, wherever it comes from: published weights, a file, a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from .data import source
from .data.batches import Preprocess
from .data.decode import fit
from .data.imagenet import classes
from .mistake import Mistake
from .models import MODELS
from .pretrained import choose, fetch, load_weights, of, table
from .run import open_run
from .weights import network_of


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode.

    `place` turns any picture (channels, H, W) uint8 into one of the size that the network takes; `preprocess` turns a batch of these
    (N, channels, H, W) into what it reads.
    """

    name: str
    net: nn.Module
    channels: int
    place: Callable[[Tensor], Tensor]
    preprocess: Preprocess
    classes: tuple[str, ...]
    protocol: str = "single view"


def load(what: str | Path, model: str | None = None, offline: bool = False) -> nn.Module:
    """A trained network in evaluation mode: `load("efficientnet_lite0")`, `load("runs/demo")`, `load("mine.pth", "resnet18")`.

    `what` is a network or weights from `convatlas weights`, which are fetched if they are not here and `offline` is not set; a run's
    folder; or a file of weights, with the `model` that they belong to if the file does not say it. Raises Mistake for anything
    else, and for a network without published weights.
    """
    path = Path(what)
    if (path / "recipe.json").exists():
        return open_run(path).trained()
    if path.is_file():
        return network_of(known(model or model_in(path), path), path).eval()
    if str(what) in table() or str(what).partition(".")[0] in MODELS:
        return load_weights(choose(str(what)), offline=offline)
    raise Mistake(f"{what} is neither a run's folder, nor a file of weights, nor a network from: convatlas weights.")


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
    preprocess, tuning = run.recipe.preprocess, run.recipe.tuning
    if tuning is not None:
        size = preprocess.size
        return Trained(run.name, run.trained(), 3, lambda x: fit(x, size, "crop"), preprocess, tuning.classes, run.recipe.protocol)
    data = source(run.recipe.data, preprocess.size)
    return Trained(run.name, run.trained(), data.channels, data.adapt, preprocess, data.load("test").classes)


def of_weights(name: str, place: Path | None = None, offline: bool = False) -> Trained:
    """Published weights by their name or their network's; or a file of one's own at `place`, for pictures as the published ones take."""
    weights = choose(name)
    if place is not None and place.is_file() and place.name not in {w.file for w in of(weights.model)}:
        net, named = network_of(weights.model, place).eval(), str(place)
    else:
        weights = next((w for w in of(weights.model) if place and w.file == place.name), weights)
        net, named = network_of(weights.model, fetch(weights, place, offline)).eval(), weights.name
    photo = weights.photo
    return Trained(named, net, 3, photo.place, photo.normalise, classes())
