"""A trained network in a folder of its own, laid out as a repository of the Hugging Face hub.

    model.safetensors   the weights; no other file of weights is ever read
    config.json         what it takes to use them: network, classes, how pictures are prepared; and how wrong they were
    README.md           the card that the hub shows, its front matter as JSON, which is YAML

config.json has the weights' sha256: the hub's client compares no more than sizes.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .data import SOURCES
from .data.batches import Preprocess
from .data.decode import fit
from .disk import named, whole
from .download import sha256_of
from .mistake import Mistake
from .models import MODELS, build
from .models.net import Net
from .protocols import named as protocol_named
from .recipes import Recipe
from .run import Run, write_weights
from .weights import adopt, read_weights

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
SIDE = 4096  # pixels; no network here looks at half of that


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What config.json says that it takes to use the weights. Raises Mistake for what this package cannot do.

    `config` are changes to the network's settings. `picture` says how any picture becomes one that `preprocess` takes: {"like":
    "mnist"} as that data does, {"resize": 256, "crop": 224} its middle square scaled, of that the middle.
    """

    model: str
    config: dict[str, Any]
    classes: tuple[str, ...]
    picture: dict[str, Any]
    preprocess: Preprocess
    protocol: str
    sha256: str

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise Mistake(f"no model {self.model!r}; there are: {', '.join(MODELS)}.")
        settings = asdict(MODELS[self.model][1]) | self.config
        protocol_named(self.protocol)
        colours, _ = placing(self.picture)
        if {len(self.preprocess.mean), len(self.preprocess.std)} - {1, colours}:
            raise Mistake(f"mean and std are of {len(self.preprocess.mean)} and {len(self.preprocess.std)} channels, not of {colours}.")
        told = {"num_classes": len(self.classes), "in_channels": colours}
        for setting, count in told.items():
            if settings[setting] != count:
                raise Mistake(f"{setting} of the network is {settings[setting]}, but classes and pictures need {count}.")

    def net(self) -> Net:
        """Without weights, on the meta device: a size that was invented takes no memory."""
        with torch.device("meta"):
            return build(self.model, **self.config)


def seen(recipe: Recipe) -> dict[str, Any]:
    """How a picture from elsewhere becomes one of those that a run by this recipe was tested on, as `Packed.picture` says it."""
    if recipe.tuning is None and recipe.data in SOURCES:
        return {"like": recipe.data}
    size = recipe.preprocess.size
    return {"resize": recipe.view.resize, "crop": recipe.view.crop} if recipe.view else {"resize": size, "crop": size}


def placing(picture: dict[str, Any]) -> tuple[int, Callable[[Tensor], Tensor]]:
    """How many channels a picture needs, and what makes one (channels, H, W) uint8 fit."""
    if "like" in picture:
        if picture["like"] not in SOURCES:
            raise Mistake(f"no pictures like {picture['like']!r} are known; there are: {', '.join(SOURCES)}.")
        data = SOURCES[picture["like"]]
        return data.channels, data.adapt
    resize, crop = int(picture["resize"]), int(picture["crop"])
    if not 0 < crop <= resize <= SIDE:
        raise Mistake(f"a picture cannot be scaled to {resize} and cut to {crop} pixels.")
    edge = (resize - crop) // 2
    return 3, lambda x: fit(x, resize, "crop")[:, edge : edge + crop, edge : edge + crop]


def pack(run: Run, out: Path, licence: str | None = None, place: str | None = None) -> None:
    """Writes a finished run into the folder `out`, with a card which says that it is at `place`: hf://USER/NAME, or else the folder.

    `licence` is one of the hub's identifiers, such as "mit". No path of this machine is written. Raises Mistake for a run that is not
    finished and for a folder that is not empty.
    """
    result, net = run.result(), run.trained()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Mistake(f"{out} is there already and is not empty; choose another place.")
    with named(out):
        out.mkdir(parents=True, exist_ok=True)
    write_weights(out / WEIGHTS, net, run.recipe.model)
    config = config_of(run, result, sha256_of(out / WEIGHTS))
    packed(config)  # what is written can be read
    write(out / CARD, card(place or out.resolve().name, config, result, licence))
    write(out / CONFIG, json.dumps(config, indent=1) + "\n")


def write(path: Path, text: str) -> None:
    with whole(path) as draft:
        draft.write_text(text, encoding="utf-8")


def config_of(run: Run, result: dict[str, Any], sha256: str) -> dict[str, Any]:
    """config.json of a run: what `packed` reads, and below it what only people read."""
    recipe, tuning = run.recipe, run.recipe.tuning
    weights = tuning.weights if tuning else None
    return {
        "convatlas": version("convatlas"),
        "model": recipe.model,
        "config": dict(recipe.config),
        "classes": [row["name"] for row in result["metrics"]["per_class"]],
        "picture": seen(recipe),
        "preprocess": {"size": recipe.preprocess.size, "mean": list(recipe.preprocess.mean), "std": list(recipe.preprocess.std)},
        "protocol": recipe.protocol,
        "sha256": sha256,
        "recipe": run.name,
        "changed": {key: value for key, value in run.changed.items() if key != "data"},
        "seed": run.seed,
        "data": Path(recipe.data).resolve().name,
        "began_with": weights if weights is None or "://" in weights else Path(weights).name,
        "measured": {key: result[key] for key in ("top1_error", "top5_error", "n", "interval", "judged", "protocol")},
        "published": {"top1_error": result["published"], "source": recipe.source},
    }


def card(place: str, config: dict[str, Any], result: dict[str, Any], licence: str | None) -> str:
    """README.md: front matter for the hub, and for people what was measured, what was published, and how to use it."""
    measured, published, name = config["measured"], config["published"], place.removeprefix("hf://")
    low, high = measured["interval"]
    rows = [
        f"| measured | {measured['top1_error']:.2f} % | {low:.2f} to {high:.2f} | {measured['n']:,} | {config['data']}, "
        f"{measured['judged']}, {measured['protocol']} |"
    ]
    if published["top1_error"] is not None:
        rows.append(f"| published | {published['top1_error']} % | | | {published['source']} |")
    changed = f", changed: `{json.dumps(config['changed'])}`" if config["changed"] else ""
    began = f", beginning with the weights `{config['began_with']}`" if config["began_with"] else ""
    machine = result["environment"]
    return "\n".join([
        "---", *(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in front(name, config, result, licence).items()), "---",
        f"# {name}", "",
        f"`{config['model']}` for {len(config['classes']):,} classes, trained by convatlas {config['convatlas']} with the recipe "
        f"`{config['recipe']}`, seed {config['seed']}{changed}{began}.", "",
        "| | top-1 error | 95 % interval | pictures | |", "|---|---|---|---|---|", *rows, "",
        f"Measured once, with torch {machine['torch']} on {machine['processor']}.", "",
        "```python", "import convatlas", "", f'net = convatlas.load("{place}")', "```", "",
        "```sh", f"convatlas predict photo.jpg --weights {place}", "```", "",
    ])  # fmt: skip


def front(name: str, config: dict[str, Any], result: dict[str, Any], licence: str | None) -> dict[str, Any]:
    """The card's front matter as the hub knows it; accuracies as shares."""
    measured, data = config["measured"], config["data"]
    shares = {"top-1": 1 - measured["top1_error"] / 100, "macro F1": result["metrics"]["macro_f1"]}
    if len(config["classes"]) > 5:
        shares["top-5"] = 1 - measured["top5_error"] / 100
    metrics = [{"type": "f1" if "F1" in key else "accuracy", "name": key, "value": round(value, 6)} for key, value in shares.items()]
    task, dataset = {"type": "image-classification"}, {"name": data, "type": data, "split": measured["judged"]}
    began = config["began_with"] or ""
    return {
        "library_name": "convatlas",
        **({"license": licence} if licence else {}),
        **({"base_model": began.removeprefix("hf://").partition("@")[0]} if began.startswith("hf://") else {}),
        "pipeline_tag": "image-classification",
        "tags": ["convatlas", "image-classification", config["model"]],
        "model-index": [{"name": name, "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}],
    }


def packed(said: Any) -> Packed:
    """What the contents of a config.json mean. Raises Mistake, KeyError, TypeError or ValueError for anything else."""
    how = said["preprocess"]
    preprocess = Preprocess(size=int(how["size"]), mean=tuple(map(float, how["mean"])), std=tuple(map(float, how["std"])))
    texts = {key: str(said[key]) for key in ("model", "protocol", "sha256")}
    return Packed(
        config=dict(said["config"]), classes=tuple(map(str, said["classes"])), picture=said["picture"], preprocess=preprocess, **texts
    )


def read(folder: Path) -> Packed:
    """config.json in a folder. Raises Mistake if it is not one of ours, or tells of a network that cannot be built."""
    path = folder / CONFIG
    try:
        found = packed(json.loads(path.read_text(encoding="utf-8")))
        found.net()
    except OSError as error:
        raise Mistake(f"{path} cannot be read: {error.strerror}.") from error
    except Mistake as error:
        raise Mistake(f"{path}: {error}") from error
    except KeyError as error:
        raise Mistake(f"{path} says nothing of {error}: it is not of a network that convatlas has written.") from error
    except (ValueError, TypeError, ArithmeticError, RuntimeError) as error:
        raise Mistake(f"{path} is damaged ({str(error).splitlines()[0]}).") from error
    return found


def load(folder: Path) -> tuple[Packed, Net]:
    """What a folder in this layout holds, the network in evaluation mode. Raises Mistake for one that is damaged or does not fit."""
    about, path = read(folder), folder / WEIGHTS
    complete(str(folder), [file.name for file in folder.iterdir()])
    if not right(folder):
        raise Mistake(f"{path} is not the file that {CONFIG} tells of: it is damaged, or was changed. Its sha256 is another.")
    state, net = read_weights(path), about.net()
    if strange := sorted(state.keys() ^ net.state_dict().keys()):
        where = "the file" if strange[0] in state else "the network"
        raise Mistake(f"{path} does not fit {about.model}: only {where} has {strange[0]}.")
    try:
        adopt(net.to_empty(device="cpu"), state).load_state_dict(state)  # adopt says best what differs, and leaves out counters
    except (Mistake, RuntimeError) as error:
        raise Mistake(f"{path} does not fit {about.model}: {' '.join(str(error).split())}") from error
    return about, net.eval()


def right(folder: Path) -> bool:
    return sha256_of(folder / WEIGHTS) == read(folder).sha256


def complete(place: str, names: list[str]) -> None:
    """Raises Mistake if the files of a repository are not those that it takes."""
    pickles = [name for name in names if name.lower().endswith(PICKLES)]
    if WEIGHTS not in names and pickles:
        raise Mistake(f"{place} has no {WEIGHTS}, only {', '.join(pickles)}: pickles can run code and are not read. Ask for safetensors.")
    if missing := [name for name in (CONFIG, WEIGHTS) if name not in names]:
        raise Mistake(f"{place} has no {missing[0]}: it holds no network that convatlas has written.")
