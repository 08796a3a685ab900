"""The verb for looking inside: explain."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..mistake import Mistake
from .output import Json, complain, print_json

if TYPE_CHECKING:
    from torch import Tensor

    from ..trained import Trained

ITSELF = {"filters": "first filters", "reuse": "feature reuse", "maximise": "what a class wants to see", "receptive": "effective field"}
OTHERS = {"maps": "feature maps", "patches": "the nine strongest", "invariance": "invariance", "evolution": "on the way"}
AT_ONCE = 32  # pictures

Out = Annotated[Path, Parameter(name=("--out", "-o"), help="A folder for the pictures.")]
Target = Annotated[
    str | None, Parameter(help="The class that is explained, its name or number; by default the one that the network answers.")
]
Layer = Annotated[str | None, Parameter(help="Of which layer, where a method looks at one or a map is chosen. By default the features.")]
Maps = Annotated[
    str | None, Parameter(name="--map", help="Which maps of it, numbers with commas; deconvnet and guided explain the first's strongest.")
]
Data = Annotated[
    str | None,
    Parameter(help="For patches and evolution: a data set instead of files, mnist, cifar10 (their tests) or a place, as `data` takes it."),
]
Weights = Annotated[str | None, Parameter(help="Other weights for the network, as `convatlas predict` takes them.")]
Offline = Annotated[bool, Parameter(negative=(), help="Do not ask the network for weights that are not here.")]


def explain(
    method: str,
    what: str,
    *images: Path,
    out: Out = Path("explained"),
    target: Target = None,
    layer: Layer = None,
    map_: Maps = None,
    data: Data = None,
    weights: Weights = None,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Look inside a trained network: `convatlas explain gradcam efficientnet_lite0 photo.jpg -o DIR` writes pictures.

    With --json it prints what was found, and writes what goes back to pixels beside its picture as numbers (.npy).

    Of each picture: gradcam, gradcam++, layercam, scorecam, occlusion (where it looks); gradient, deconvnet, guided, integrated (at which
    pixels); maps (what its stages give). Of many pictures: patches (of a map, the nine that excite it most, beside their projections),
    invariance (to shifts, scales and turns), evolution (what maps looked for while a run learned, after its recipe's `kept` steps). Of
    the network itself: filters, maximise (the picture that a class wants), receptive (what the middle unit depends on), reuse (which
    layers a dense layer reads).

    Parameters
    ----------
    method
        Of these.
    what
        A network from `convatlas weights`, or a run's folder.
    images
        Picture files, folders of them or patterns.
    """
    from ..explain.methods import BACK, HEAT
    from ..pixels import expanded
    from .use import opened

    if method not in (known := (*HEAT, *BACK, *OTHERS, *ITSELF)):
        raise Mistake(f"no method {method!r}; there are: {', '.join(known)}.")
    understood(method, images, data, target, layer, map_)
    folder = Path(what) if (Path(what) / "recipe.json").exists() else None
    trained = opened(folder, None if folder else what, weights, offline)
    out.mkdir(parents=True, exist_ok=True)
    pictures = seen(trained, expanded([str(image) for image in images]), data)
    problems, rows = [], []
    for row in told(method, trained, folder, pictures, out, target, layer, map_):
        values = row.pop("values", None)
        if json and values is not None:
            row["values"] = str(as_numbers(values, Path(row["picture"]).with_suffix(".npy")))
        (problems if "error" in row else rows).append(row)
        if "error" in row:
            complain(row["error"])
        elif not json:
            print(f"{row['picture']}: {row['about']}")
    if json:
        print_json([*rows, *problems])
    if problems:
        raise SystemExit(2)


def understood(method: str, images: tuple[Path, ...], data: str | None, target: str | None, layer: str | None, map_: str | None) -> None:
    """Raises Mistake for words that the method has no use for, or that it misses."""
    from ..explain.methods import BACK, HEAT

    many = ("patches", "evolution")
    if method in ITSELF and (images or data):
        raise Mistake(f"{method} is of the network itself and takes no pictures.")
    if method not in ITSELF and not images and not data:
        raise Mistake(f"{method} needs pictures: name files, folders or patterns{', or --data SOURCE' if method in many else ''}.")
    if data and (images or method not in many):
        raise Mistake(f"--data is for {' and '.join(many)}, in place of files.")
    if map_ and method not in (*BACK, *many):
        raise Mistake(f"{method} takes no --map; these do: {', '.join((*BACK, *many))}.")
    if layer and (method == "occlusion" or (method in ITSELF and method != "receptive")):
        raise Mistake(f"{method} takes no --layer.")
    if layer and method in BACK and not map_:
        raise Mistake(f"{method} explains the class; of a layer, name a map by --map.")
    if target is None and method == "maximise":
        raise Mistake("maximise needs a class: --target, its name or number.")
    if target is not None and method not in (*HEAT, *BACK, "maximise", "invariance"):
        raise Mistake(f"{method} is of no class and takes no --target.")


@dataclass
class Seen:
    """Pictures that are read when they are wanted, each by its name; those that cannot be are left out and told in `problems`."""

    trained: "Trained"
    names: list[str]
    read: Callable[[int], "Tensor"]
    problems: dict[str, str] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)  # of the last time through, in order

    def placed(self, i: int) -> "Tensor | None":
        try:
            return self.trained.place(self.read(i))
        except Mistake as error:
            self.problems[self.names[i]] = str(error)
            return None

    def __iter__(self) -> Iterator["Tensor"]:
        """Batches (N, C, H, W) as the network takes them."""
        import torch

        from .use import watched

        self.used.clear()
        starts = range(0, len(self.names), AT_ONCE)
        for start in watched(starts, len(starts)):
            part = [(i, picture) for i in range(start, min(start + AT_ONCE, len(self.names))) if (picture := self.placed(i)) is not None]
            self.used += [self.names[i] for i, _ in part]
            if part:
                yield self.trained.preprocess(torch.stack([picture for _, picture in part]))
        if not self.used:
            raise Mistake(f"none of the pictures can be read: {next(iter(self.problems.values()))}")


def seen(trained: "Trained", files: list[Path], data: str | None) -> Seen:
    from ..data import SOURCES
    from ..data.listed import opened as opened_data
    from ..data.pictures import read_picture

    if data is None:
        return Seen(trained, [str(file) for file in files], lambda i: read_picture(files[i], trained.channels))
    if data in SOURCES:
        held, channels = SOURCES[data].load("test").x, SOURCES[data].channels
        names, reads = [f"{data} test {i}" for i in range(len(held))], [partial(held.__getitem__, i) for i in range(len(held))]
    else:
        splits, channels = opened_data(data).values(), 3
        names = [name for split in splits for name in split.names]
        reads = [partial(split.read, i) for split in splits for i in range(len(split))]
    if channels != trained.channels:
        raise Mistake(f"pictures of {data} have {channels} colours; {trained.name} takes {trained.channels}.")
    return Seen(trained, names, lambda i: reads[i]())


def as_numbers(values: "Tensor", file: Path) -> Path:
    import numpy as np

    from ..disk import whole

    with whole(file) as draft, draft.open("wb") as opened_:
        np.save(opened_, values.numpy())
    return file


def titled(stem: str, method: str, target: str | None, layer: str | None, maps: list[int]) -> str:
    """A file's name, which tells what was asked."""
    asked = [stem, method, target, layer, f"map{'+'.join(map(str, maps))}" if maps else None]
    return re.sub(r"[^\w.+-]+", "_", "-".join(part for part in asked if part)) + ".png"


def told(
    method: str,
    trained: "Trained",
    folder: Path | None,
    pictures: Seen,
    out: Path,
    target: str | None,
    layer: str | None,
    map_: str | None,
) -> Iterator[dict[str, Any]]:
    maps = [number(part, "--map") for part in map_.split(",")] if map_ else []
    of, itself = class_of(trained, target), Path(trained.name).name
    if method in ITSELF:
        yield of_itself(method, trained, out / titled(itself, method, target, layer, maps), of, layer)
    elif method in OTHERS and method != "maps":
        yield of_many(method, trained, folder, pictures, out / titled(itself, method, target, layer, maps), of, layer, maps)
    else:
        stems: Counter[str] = Counter()
        for i, name in enumerate(pictures.names):
            if (picture := pictures.placed(i)) is None:
                continue
            stems[stem := Path(name).stem] += 1
            file = out / titled(stem if stems[stem] == 1 else f"{stem}-{stems[stem]}", method, target, layer, maps)
            yield {"file": name, "method": method, **of_one(method, trained, picture, file, of, layer, maps)}
    for name, problem in pictures.problems.items():
        yield {"file": name, "error": problem}


def number(text: str, option: str) -> int:
    if not text.strip().isdecimal():
        raise Mistake(f"{option} takes numbers, not {text!r}.")
    return int(text)


def class_of(trained: "Trained", target: str | None) -> int | None:
    if target is None:
        return None
    if target in trained.classes:
        return trained.classes.index(target)
    if target.isdecimal() and int(target) < len(trained.classes):
        return int(target)
    raise Mistake(f"{trained.name} has no class {target!r}; name one of its {len(trained.classes):,}, or its number from 0.")


def of_one(
    method: str, trained: "Trained", picture: "Tensor", file: Path, target: int | None, layer: str | None, maps: list[int]
) -> dict[str, Any]:
    """What one picture shows, drawn into `file`."""
    import torch

    from ..explain import draw
    from ..explain.methods import BACK, HEAT, explainer
    from ..explain.what import Score, Unit

    net, x = trained.net, trained.preprocess(picture[None])
    with torch.no_grad():
        share = net(x).softmax(1)[0]
    of = int(share.argmax()) if target is None else target
    about = f"{trained.classes[of]} {100 * float(share[of]):.1f} %"
    row = {"class": trained.classes[of], "probability": round(float(share[of]), 6), "picture": str(file), "about": about}
    if method == "maps":
        return row | stages(trained, x, layer, file)
    if method in HEAT:
        found = explainer(method)(net, x, of, **({"layer": layer} if layer else {}))[0]
        draw.heat(picture, found, f"{trained.name}: {about}", HEAT[method], file)
        return row | {"heat": rounded(found)}
    what = Unit(layer or "features", maps[0]) if maps else Score(of)
    found = explainer(method)(net, x, what)[0].detach()
    named = f"map {maps[0]} of {layer or 'features'}" if maps else about
    draw.projection(picture, found, f"{trained.name}: {named}", BACK[method], file)
    return row | {"about": named, "largest": float(found.abs().max()), "sum": float(found.sum()), "values": found}


def rounded(found: "Tensor") -> list[list[float | None]]:
    return [[None if isnan(value) else round(value, 6) for value in row] for row in found.tolist()]


def stages(trained: "Trained", x: "Tensor", layer: str | None, file: Path) -> dict[str, Any]:
    """The first 64 maps of a layer, or of each stage the map that is strongest."""
    import torch

    from ..explain import draw
    from ..explain.what import as_maps, given

    with torch.no_grad():
        if layer:
            maps = as_maps(given(trained.net, x, layer), layer)[0]
            draw.grid([m.numpy() for m in maps[:64]], f"{trained.name}: {layer}", file, "magma")
            return {"about": f"{len(maps)} maps of {layer}", "shape": list(maps.shape), "values": maps}
        found = trained.net.pyramid(x, [name for name, _ in trained.net.features.named_children()])  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
    shown = {name: maps[0][maps[0].flatten(1).mean(1).argmax()].numpy() for name, maps in found.items() if maps.ndim == 4}
    draw.grid(list(shown.values()), f"{trained.name}: of each stage the map of the largest mean", file, "magma", list(shown))
    return {"about": f"{len(shown)} stages", "shapes": {name: list(found[name].shape[1:]) for name in shown}}


def of_many(
    method: str,
    trained: "Trained",
    folder: Path | None,
    pictures: Seen,
    file: Path,
    target: int | None,
    layer: str | None,
    maps: list[int],
) -> dict[str, Any]:
    from dataclasses import asdict

    import torch

    from ..explain import draw

    if method == "invariance":
        from ..explain.invariance import invariance

        names = [name for name, _ in trained.net.features.named_children()]  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]
        layers = [f"features.{names[0]}", f"features.{names[-1]}"] if layer is None else [layer]
        x = torch.cat(list(pictures))
        found = invariance(trained.net, x, layers, None if target is None else torch.full((len(x),), target))
        draw.curves(found, f"{trained.name}, {len(x)} pictures", file)
        return {"method": method, "picture": str(file), "about": f"{len(found)} curves", "curves": [asdict(curve) for curve in found]}
    of, names = layer or "features", []
    if method == "patches":
        from ..explain.patches import strongest

        found = strongest(trained.net, pictures, of, maps)
    else:
        from safetensors.torch import load_file

        from ..explain.evolution import evolution

        kept = kept_in(folder)
        found, names = evolution(trained.net, map(load_file, kept.values()), pictures, of, maps), [f"step {n}" for n in kept]
    title = f"{trained.name}: {of}, {len(pictures.used):,} pictures"
    draw.patches(found, trained.preprocess.mean, trained.preprocess.std, title, file, names)
    rows = {
        str(m): [{"file": pictures.used[p.picture], "value": p.value, "place": p.place, "box": p.box} for p in best]
        for m, best in found.items()
    }
    return {"method": method, "picture": str(file), "about": f"{len(found)} maps", "maps": rows} | ({"columns": names} if names else {})


def kept_in(folder: Path | None) -> dict[int, Path]:
    """The weights that a run kept on the way, by step."""
    files = {int(file.stem.partition("-")[2]): file for file in folder.glob("kept-*.safetensors")} if folder else {}
    if not files:
        raise Mistake("evolution needs a run that kept weights on its way: convatlas train RECIPE --recipe.kept 10,30,100,300")
    return dict(sorted(files.items()))


def of_itself(method: str, trained: "Trained", file: Path, target: int | None, layer: str | None) -> dict[str, Any]:
    import torch

    from ..explain import draw
    from ..models.backbone import stem

    net, row = trained.net, {"method": method, "picture": str(file)}
    if method == "filters":
        filters = stem(net).weight.detach()  # pyright: ignore[reportArgumentType]
        draw.grid([draw.contrast(f if len(f) == 3 else f[:1]) for f in filters], f"{trained.name}: {len(filters)} first filters", file)
        return row | {"about": f"{len(filters)} filters of {filters.shape[2]} x {filters.shape[3]}"}
    if method == "reuse":
        from ..explain.reuse import reuse

        found = reuse(net)
        draw.grid([heat.numpy() for heat in found], f"{trained.name}: from which layer (down) each layer (across) reads", file, "viridis")
        return row | {"about": f"{len(found)} blocks", "blocks": [rounded(heat) for heat in found]}
    size = trained.preprocess.size
    if method == "receptive":
        from ..explain.receptive import effective, receptive

        found = receptive(net, layer or "features", torch.randn(8, trained.channels, size, size))
        draw.grid([found.sqrt().numpy()], f"{trained.name}: what the middle of {layer or 'features'} depends on", file, "magma")
        return row | {"about": f"as large as a square of {effective(found):.0f} pixels", "side": effective(found), "values": found}
    from ..explain.maximise import maximise

    of = target or 0
    found = maximise(net, of, (trained.channels, size, size))
    draw.grid([draw.contrast(found[0], 0.97)], f"{trained.name}: {trained.classes[of]}", file)
    with torch.no_grad():
        said = net(found)[0]
    return row | {"about": trained.classes[of], "score": float(said[of]), "probability": float(said.softmax(0)[of]), "values": found[0]}
